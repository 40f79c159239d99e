import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { loadConfig } from '../config.ts';
import { openDoors, type Rooms } from './routes.ts';

/** Makes the OpenAPI 3.1 document from the routes. Opens no database and no port. */
export async function openApiDocument(): Promise<unknown> {
  const rooms = { config: loadConfig({ env: {} }), isClosing: () => false } as unknown as Rooms;
  const http = await openDoors(rooms, { log: silentLogger, ids: systemIds, clock: systemClock, trustedProxies: [] });
  await http.ready();
  const document = http.swagger();
  await http.close();
  return document;
}
