import { Command } from 'commander';
import { present } from '../rig/report.ts';
import { proveKill } from './kill.ts';
import { PART_NAMES, proveLimits } from './limits.ts';
import { proveOrganizations } from './organizations.ts';

/** `npm run prove -- <name>`: each proof prints its figures on the last line and exits with 1 if a promise is broken. */
const program = new Command('prove')
  .description('cause failures on purpose and check that the promises hold')
  .showHelpAfterError();

program
  .command('kill')
  .description(
    'kill the server and PostgreSQL under load; every payload answered with 202 must be stored exactly once and in order',
  )
  .option('--n <kills>', 'kills', Number, 30)
  .option('--seed <number>', 'repeats the choices of a run', Number)
  .option('--rate <perSecond>', 'requests per second', Number, 1_000)
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => proveKill(scratch, { ...options, kills: options.n }), options));

program
  .command('tenants')
  .description(
    'call every route with every kind of credential for data of another organization: nothing may be shown or changed',
  )
  .option(
    '--n <probes>',
    'probes in each of two passes: as shipped, and with row-level security alone',
    Number,
    100_000,
  )
  .option('--seed <number>', 'repeats the choices of a run', Number)
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => proveOrganizations(scratch, { ...options, probes: options.n }), options));

program
  .command('limits')
  .description(
    'several servers and many clients on one limit; nodes and Redis killed; one customer against another; overload',
  )
  .option('--n <windows>', 'number of windows for which each limit is under load', Number, 5)
  .option('--rounds <rounds>', 'rounds of the comparison of two customers', Number, 8)
  .option('--seconds <seconds>', 'of overload', Number, 60)
  .option('--records <perBatch>', 'records in each batch of the overload', Number, 1_500)
  .option('--redis-wait-ms-max <ms>', 'how long the nodes wait for Redis', Number, 25)
  .option('--parts <names...>', `parts to run: ${PART_NAMES.join(', ')}`, [...PART_NAMES])
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => proveLimits(scratch, { ...options, windows: options.n }), options));

await program.parseAsync();
