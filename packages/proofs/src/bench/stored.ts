import { openLoad } from '../rig/load.ts';
import { say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { seedInstallation } from '../rig/seed.ts';
import { authenticate, createSite, readMetric, startServer, waitForDrain } from '../rig/server-process.ts';
import { readStoredBytes } from '../rig/stored-bytes.ts';

/** What one single record takes on disk: its envelope, its receipt and itself, each with its indexes. */
export interface StoredBytes {
  readonly records: number;
  /** Bytes a record, by table, of all tables that grew. */
  readonly byTable: ReadonlyMap<string, number>;
  readonly perRecord: number;
}

/** What is kept of each record. Other tables grow with assets and keys, or are emptied again. */
const KEPT = ['envelope', 'receipt', 'record'];
const TRAILERS = 50;
const SECONDS = 4;
/** Below this, an empty page of an index would be seen in the figure. */
const BYTES_SHOWN_MIN = 1;

/** On a data folder of its own, so that nothing but these records is in it. */
export async function measureStoredBytes(scratch: Scratch): Promise<StoredBytes> {
  say(`bytes on disk: single records for ${SECONDS} s`);
  const site = await createSite(scratch);
  const seed = await seedInstallation(site.dataDirectory, { trailers: TRAILERS, products: ['traccar'] });
  const before = await readStoredBytes(site.dataDirectory);
  const server = startServer(scratch, site);
  await server.ready();
  const token = await authenticate(site, 'partner', seed.partnerKeys.traccar!);
  const load = openLoad(scratch);
  await load.run({
    port: site.httpPort,
    token,
    vins: seed.vins,
    connections: 50,
    pace: { kind: 'closed' },
    seconds: SECONDS,
    firstSequence: 0,
  });
  await waitForDrain(site);
  const records = await readMetric(site, 'gladhand_mapping_records_total{outcome="added"}');
  await server.stop();
  const after = await readStoredBytes(site.dataDirectory);
  const byTable = new Map(
    [...after]
      .map(([table, bytes]) => [table, (bytes - (before.get(table) ?? 0)) / records] as const)
      .filter(([, bytes]) => bytes >= BYTES_SHOWN_MIN)
      .sort(([, one], [, other]) => other - one),
  );
  return { records, byTable, perRecord: KEPT.reduce((sum, table) => sum + (byTable.get(table) ?? 0), 0) };
}
