import { Command } from 'commander';
import { present } from '../rig/report.ts';
import { benchAuth } from './auth.ts';
import { benchIntake } from './intake.ts';
import { benchLimits } from './limits.ts';
import { benchPages } from './pages.ts';
import { benchPipeline } from './pipeline.ts';

/** `npm run bench -- <name>`: each benchmark prints its figures on the last line and exits with 1 if a goal is missed. */
const program = new Command('bench')
  .description('measure how fast the server is, against alternatives where there are some')
  .showHelpAfterError();

program
  .command('intake')
  .description('our intake, against a bare node:http server and against one INSERT per request')
  .option('--n <rounds>', 'rounds', Number, 5)
  .option('--seconds <seconds>', 'length of a round for each of the three', Number, 5)
  .option('--connections <count>', 'connections, each with one request at a time', Number, 100)
  .option('--profile <folder>', 'write a CPU profile of the server there')
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => benchIntake(scratch, { ...options, rounds: options.n }), options));

program
  .command('pipeline')
  .description('records per second from POST until they can be read, and the backlog under constant load')
  .option('--seconds <seconds>', 'length of the constant load', Number, 20)
  .option('--n <records>', 'records sent in batches', Number, 100_000)
  .option('--connections <count>', 'connections, each with one request at a time', Number, 100)
  .option('--profile <folder>', 'write a CPU profile of the server there')
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => benchPipeline(scratch, { ...options, batchRecords: options.n }), options));

program
  .command('pages')
  .description('pages of an installation in use for a year beside one in use for two weeks')
  .option('--n <times>', 'how often each page is asked for', Number, 21)
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => benchPages(scratch, { times: options.n }), options));

program
  .command('limits')
  .description(
    'the cost of a limit decision: without limits, in memory, in Redis, and by the local share while Redis is unavailable',
  )
  .option('--seconds <seconds>', 'length of each round', Number, 3)
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => benchLimits(scratch, options), options));

program
  .command('auth')
  .description('verifying a token and exchanging a key for a token, against a bare node:http server')
  .option('--n <rounds>', 'rounds', Number, 5)
  .option('--seconds <seconds>', 'length of a round for each', Number, 3)
  .option('--connections <count>', 'connections, each with one request at a time', Number, 50)
  .option('--json', 'one line of JSON on stdout and nothing else')
  .action((options) => present((scratch) => benchAuth(scratch, { ...options, rounds: options.n }), options));

await program.parseAsync();
