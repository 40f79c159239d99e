import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { systemIds } from '../base/ids.ts';
import { createLogger } from '../base/log.ts';
import { openMapper } from '../mapping/mapper.ts';
import { loadProducts } from '../mapping/products.ts';
import { openThreadBackends } from './backends.ts';
import type { FromThread, MapperThreadData, ToThread } from './mapper-thread.ts';
import { PRODUCTS_DIRECTORY } from './products-directory.ts';

/** sched(7): each step is a quarter less, so that this is a third. */
const NICENESS = 5;

/** The thread of `mapper-thread.ts`: the mapper with connections, products and a doorbell of its own. */
const { config, connection, place } = workerData as MapperThreadData;
stepBack();
const port = parentPort!;
const tell = (message: FromThread) => port.postMessage(message);
const log = createLogger({ level: config.log.level });
const backends = await openThreadBackends({ connection, place, state: 'ready', close: async () => {} }, log);
const mapper = openMapper({
  ...backends,
  products: loadProducts(PRODUCTS_DIRECTORY),
  clock: systemClock,
  ids: systemIds,
  log,
  onSettled: (settled, envelopes) => tell({ kind: 'settled', settled, envelopes }),
});
backends.doorbell.on('telemetry', () => tell({ kind: 'telemetry' }));
port.on('message', (message: ToThread) => {
  if (message === 'close') void close();
  else {
    backends.doorbell.ring('intake');
    tell({ kind: 'awake' });
  }
});

/**
 * Taking in comes before mapping: a third of the other threads' share when the processor does not suffice for both. What
 * waits to be mapped is on disk; what intake has no time for is refused. Only Linux has priorities of threads.
 */
function stepBack(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), NICENESS);
  } catch {
    // Then both get the same share.
  }
}

async function close(): Promise<void> {
  await mapper.close();
  await backends.close();
  port.close();
}
