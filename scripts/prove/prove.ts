import { Command } from 'commander';
import { present } from '../report.ts';
import { proveKill } from './kill.ts';

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

await program.parseAsync();
