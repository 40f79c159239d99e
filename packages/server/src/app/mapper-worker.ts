import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { systemIds } from '../base/ids.ts';
import { createLogger } from '../base/log.ts';
import { openDatabase } from '../database/open-database.ts';
import { createPartitions } from '../database/partitions.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { openPostgresIntakeLog } from '../intake-log/postgres.ts';
import { openMapper } from '../mapping/mapper.ts';
import { loadProducts } from '../mapping/products.ts';
import type { FromThread, MapperThreadData, ToThread } from './mapper-thread.ts';
import { PRODUCTS_DIRECTORY } from './products-directory.ts';

/** The thread of `mapper-thread.ts`: the mapper with connections, products and a doorbell of its own. */
const POOL_SIZE_MAX = 4;

const { config, connection, place } = workerData as MapperThreadData;
const port = parentPort!;
const tell = (message: FromThread) => port.postMessage(message);
const log = createLogger({ level: config.log.level });
const host = { connection, place, state: 'ready' as const, close: async () => {} };
const database = await openDatabase(host, { poolSizeMax: POOL_SIZE_MAX, log, applicationName: 'gladhand mapper' });
const partitions = createPartitions(database);
const doorbell = createLocalDoorbell();
const mapper = openMapper({
  database,
  intakeLog: openPostgresIntakeLog({ database, partitions }),
  partitions,
  products: loadProducts(PRODUCTS_DIRECTORY),
  doorbell,
  clock: systemClock,
  ids: systemIds,
  log,
  onSettled: (settled, envelopes) => tell({ kind: 'settled', settled, envelopes }),
});
doorbell.on('telemetry', () => tell({ kind: 'telemetry' }));
port.on('message', (message: ToThread) => {
  if (message === 'close') void close();
  else {
    doorbell.ring('intake');
    tell({ kind: 'awake' });
  }
});

async function close(): Promise<void> {
  await mapper.close();
  await doorbell.close();
  await database.close();
  port.close();
}
