import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findPostgresOf } from '../packages/server/src/database/process-table.ts';
import { openLoad } from './load.ts';
import { clusterOf, withScratch } from './scratch.ts';
import { seedInstallation } from './seed.ts';
import { authenticate, createSite } from './server-process.ts';
function cpu(pid: number) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const rest = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { name: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 60), ms: (Number(rest[11]) + Number(rest[12])) * 10 };
}
await withScratch(async (scratch) => {
  const site = await createSite(scratch);
  const seed = await seedInstallation(site.dataDirectory, { trailers: 200, products: ['traccar'] });
  const load = openLoad(scratch);
  const [file = 'bench/tmp-intake-server.ts', prof = '-', connections = '100', seconds = '6'] = process.argv.slice(2);
  const child = fork(join(import.meta.dirname, file), [], { execArgv: prof === '-' ? [] : ['--cpu-prof', `--cpu-prof-dir=${prof}`] });
  scratch.defer(() => child.kill());
  const port = await new Promise<number>((resolve) => { child.on('message', (m: any) => resolve(m.value)); child.send({ id: 0, value: site.dataDirectory }); });
  const token = file.includes('bare') ? '' : await authenticate({ ...site, httpPort: port }, 'partner', seed.partnerKeys.traccar!);
  const common = { port, token, vins: seed.vins, connections: Number(connections), pace: { kind: 'closed' } as const };
  const warm = await load.run({ ...common, seconds: 3, firstSequence: 0 });
  const sample = async () => new Map([child.pid!, ...(await findPostgresOf(clusterOf(site.dataDirectory)))].map((pid) => [pid, cpu(pid)]));
  const before = await sample();
  const result = await load.run({ ...common, seconds: Number(seconds), firstSequence: warm.nextSequence });
  const after = await sample();
  let total = 0;
  for (const [pid, { name, ms }] of after) {
    const used = ms - (before.get(pid)?.ms ?? 0);
    total += used;
    if (used > 20) console.log(`${((used * 1000) / result.answered).toFixed(0)} us/request ${name}`);
  }
  console.log(file, Math.round(result.perSecond), '/s p50', result.p50Ms.toFixed(1), 'p99', result.p99Ms.toFixed(1), 'cores', (total / 1000 / result.seconds).toFixed(2), JSON.stringify(result.errors));
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.disconnect();
  await exited;
});
