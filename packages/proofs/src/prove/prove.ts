import { Command } from 'commander';
import { present } from '../rig/report.ts';
import { proveKill } from './kill.ts';
import { PART_NAMES, proveLimits } from './limits.ts';
import { proveOrganizations } from './organizations.ts';

/** `npm run prove -- <name>`: each prints its figures on its last line and exits with 1 when the promise is broken. */
const program = new Command('prove').description('break things on purpose and check the promises').showHelpAfterError();

program
  .command('kill')
  .description('SIGKILL the server and PostgreSQL under load; every 202 must be stored exactly once and in order')
  .option('--n <kills>', 'kills', Number, 30)
  .option('--seed <number>', 'repeats the choices of a run', Number)
  .option('--rate <perSecond>', 'requests per second', Number, 1_000)
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => proveKill(scratch, { ...options, kills: options.n }), options));

program
  .command('tenants')
  .description('ask every route as everybody for what belongs to another organization: nothing may be shown or changed')
  .option('--n <probes>', 'probes, once as shipped and once with row-level security alone', Number, 100_000)
  .option('--seed <number>', 'repeats the choices of a run', Number)
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => proveOrganizations(scratch, { ...options, probes: options.n }), options));

program
  .command('limits')
  .description(
    'several servers and many clients on one limit; nodes and Redis killed; one customer against another; overload',
  )
  .option('--n <windows>', 'windows each limit is hammered for', Number, 5)
  .option('--rounds <rounds>', 'rounds of one customer beside another', Number, 8)
  .option('--seconds <seconds>', 'of overload', Number, 60)
  .option('--records <perBatch>', 'in a batch of the overload', Number, 1_500)
  .option('--redis-wait-ms-max <ms>', 'the nodes wait for Redis', Number, 25)
  .option('--parts <names...>', `some of ${PART_NAMES.join(', ')}`, [...PART_NAMES])
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => proveLimits(scratch, { ...options, windows: options.n }), options));

await program.parseAsync();
