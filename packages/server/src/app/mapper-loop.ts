import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { createLogger } from '@gladhand/base/log.ts';
import { openMapper } from '../processing/mapper.ts';
import { loadProducts } from '../products/products.ts';
import { openThreadBackends } from './backends.ts';
import type { FromThread, MapperThreadData, ToThread } from './mapper-thread.ts';
import { productDirectories } from './products-directory.ts';

/** The thread of `mapper-thread.ts`: the mapper with connections, products and a doorbell of its own. */
const { config, connection, place } = workerData as MapperThreadData;
const port = parentPort!;
const tell = (message: FromThread) => port.postMessage(message);
const log = createLogger({ level: config.log.level });
const backends = await openThreadBackends({ connection, place, state: 'ready', close: async () => {} }, log);
const mapper = openMapper({
  ...backends,
  products: loadProducts(...productDirectories(config)),
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

async function close(): Promise<void> {
  await mapper.close();
  await backends.close();
  port.close();
}
