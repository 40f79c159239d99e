import type { Secrets } from '../access/secrets.ts';
import type { Config } from '../config.ts';
import type { Products } from '../products/products.ts';
import { createAdministrationRooms } from './administration-rooms.ts';
import type { Backends, Surroundings } from './backends.ts';
import { openCallerRooms } from './caller-rooms.ts';
import { createClosers } from './closers.ts';
import { openFoundation } from './foundation.ts';
import type { LimitRoom } from './limit-room.ts';
import { type Network, openToNetwork } from './open-to-network.ts';
import { openTelemetryRooms } from './telemetry-rooms.ts';

/**
 * The house, put together from the ground up. `close` goes the other way: doors first, so that what was accepted is
 * finished before what it needs goes away.
 */
export interface App extends Network {
  readonly backends: Backends;
  readonly products: Products;
  readonly limitRoom: LimitRoom;
  readonly secrets: Secrets;
  close(): Promise<void>;
}

export async function openApp(config: Config, around: Surroundings): Promise<App> {
  const closers = createClosers();
  try {
    const foundation = await openFoundation(config, around, closers);
    const callers = await openCallerRooms(config, around, foundation, closers);
    const administration = createAdministrationRooms(around, foundation, callers.limitRoom);
    const telemetry = openTelemetryRooms(config, around, foundation, closers);
    const rooms = { ...foundation, ...callers, ...administration, ...telemetry };
    const network = await openToNetwork(config, around, rooms, closers);
    const { backends, products, limitRoom, secrets } = rooms;
    return { ...network, backends, products, limitRoom, secrets, close: closers.close };
  } catch (error) {
    await closers.close();
    throw error;
  }
}
