import { Command } from 'commander';
import { openApiDocument } from './app/openapi.ts';
import { serve } from './app/serve.ts';
import { Fault } from './base/fault.ts';
import { StartRefusal } from './base/start-refusal.ts';
import { type Config, ConfigError, loadConfig } from './config.ts';

/**
 * The verbs of the server: `serve`, `migrate`, `openapi`, `healthcheck`, `config`. Flags that a verb shares with the
 * configuration win over it.
 */
interface Flags {
  config?: string;
  dataDirectory?: string;
  httpPort?: string;
  grpcPort?: string;
  logLevel?: string;
  demo?: boolean;
}

const program = new Command('gladhand').description('Telematics coupling: partners’ own JSON in, one clean feed out.').showHelpAfterError();

const configured = (command: Command) =>
  command
    .option('-c, --config <file>', 'configuration file (TOML); default ./gladhand.toml when it exists')
    .option('--data-directory <folder>', 'where everything is kept; default ./.gladhand')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent');

configured(program.command('serve', { isDefault: true }).description('run the server'))
  .option('--http-port <port>', 'REST port; default 8080')
  .option('--grpc-port <port>', 'LiveFeed port; default 8081')
  .option('--no-demo', 'no demo organization and no simulator')
  .action((flags: Flags) => serve(read(flags)));

configured(program.command('config').description('print the configuration in force, secrets left out')).action((flags: Flags) => {
  const config = read(flags);
  console.log(JSON.stringify({ ...config, access: { ...config.access, secret: config.access.secret === '' ? '' : '[secret]' } }, null, 2));
});

program
  .command('openapi')
  .description('print the OpenAPI document')
  .action(async () => console.log(JSON.stringify(await openApiDocument(), null, 2)));

program
  .command('healthcheck')
  .description('ask a running server whether it is ready; exit code 0 or 1')
  .option('--url <url>', 'base URL', 'http://127.0.0.1:8080')
  .action(async ({ url }: { url: string }) => {
    const answer = await fetch(`${url}/health/ready`).catch((error: Error) => error);
    console.log(answer instanceof Error ? `not reachable: ${answer.message}` : await answer.text());
    process.exitCode = answer instanceof Error || !answer.ok ? 1 : 0;
  });

function read(flags: Flags): Config {
  const given: Record<string, unknown> = {};
  if (flags.dataDirectory !== undefined) given['data.directory'] = flags.dataDirectory;
  if (flags.httpPort !== undefined) given['http.port'] = Number(flags.httpPort);
  if (flags.grpcPort !== undefined) given['grpc.port'] = Number(flags.grpcPort);
  if (flags.logLevel !== undefined) given['log.level'] = flags.logLevel;
  if (flags.demo === false) given['demo.enabled'] = false;
  return loadConfig({ file: flags.config, flags: given });
}

try {
  await program.parseAsync();
} catch (error) {
  // A person started this: they get the sentence, and the stack only where it says more.
  const isOwn = error instanceof ConfigError || error instanceof StartRefusal || error instanceof Fault;
  console.error(isOwn ? `gladhand: ${(error as Error).message}` : error);
  process.exitCode = 1;
}
