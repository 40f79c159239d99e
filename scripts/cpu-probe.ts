import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findPostgresOf } from '../packages/server/src/database/process-table.ts';
import { openLoad } from './load.ts';
import { clusterOf, withScratch } from './scratch.ts';
import { seedInstallation } from './seed.ts';
import { authenticate, createSite, profileArguments, readBacklog, readMetric, startServer, waitForDrain } from './server-process.ts';

function cpu(pid: number): { name: string; ms: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const name = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 60);
  return { name, ms: (Number(rest[11]) + Number(rest[12])) * 10 };
}
await withScratch(async (scratch) => {
  const site = await createSite(scratch);
  const seed = await seedInstallation(site.dataDirectory, { trailers: 200, products: ['traccar'] });
  const server = startServer(scratch, site, profileArguments(process.argv[2] === '-' ? undefined : process.argv[2]));
  await server.ready();
  const token = await authenticate(site, 'partner', seed.partnerKeys.traccar!);
  const load = openLoad(scratch);
  const common = { port: site.httpPort, token, vins: seed.vins, connections: Number(process.argv[3] ?? 100), pace: { kind: 'closed' } as const };
  const warm = await load.run({ ...common, seconds: 2, firstSequence: 0 });
  await waitForDrain(site);
  const sample = async () => new Map([server.pid, ...(await findPostgresOf(clusterOf(site.dataDirectory)))].map((pid) => [pid, cpu(pid)]));
  const before = await sample();
  const addedBefore = await readMetric(site, 'gladhand_mapping_records_total{outcome="added"}');
  const result = await load.run({ ...common, seconds: Number(process.argv[4] ?? 6), firstSequence: warm.nextSequence });
  const after = await sample();
  const backlog = await readBacklog(site);
  const added = (await readMetric(site, 'gladhand_mapping_records_total{outcome="added"}')) - addedBefore;
  console.log({ perSecond: Math.round(result.perSecond), answered: result.answered, added, backlog, p50: result.p50Ms, own: result.ownCpu, errors: result.errors });
  let total = 0;
  for (const [pid, { name, ms }] of after) {
    const used = ms - (before.get(pid)?.ms ?? 0);
    total += used;
    if (used > 20) console.log(`${used} ms ${((used * 1000) / result.answered).toFixed(0)} us/request ${name}`);
  }
  console.log('total', total, 'us/request', ((total * 1000) / result.answered).toFixed(0), 'cores', total / 1000 / result.seconds);
  const bare = fork(join(import.meta.dirname, 'bench/bare-server.ts'));
  const port = await new Promise<number>((resolve) => { bare.on('message', (m: any) => resolve(m.value)); bare.send({ id: 0, value: null }); });
  await load.run({ ...common, port, seconds: 1, firstSequence: 0 });
  const b0 = cpu(bare.pid!).ms;
  const bareResult = await load.run({ ...common, port, seconds: 3, firstSequence: 0 });
  console.log('bare', Math.round(bareResult.perSecond), '/s', (((cpu(bare.pid!).ms - b0) * 1000) / bareResult.answered).toFixed(0), 'us/request; load own us/request', (bareResult.ownCpu * 1e6 / bareResult.perSecond).toFixed(0));
  bare.kill();
  await server.stop();
});
