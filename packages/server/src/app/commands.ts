import { Fault } from '@gladhand/base/fault.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { Command } from 'commander';
import { type Config, ConfigError, loadConfig, withoutSecrets } from '../config.ts';
import type { AdminFlags } from './verbs/admin.ts';
import type { AuditFlags } from './verbs/audit.ts';
import type { CheckFlags, TryFlags } from './verbs/products.ts';

/**
 * The verbs of the server. Flags that a verb shares with the configuration win over it. A verb loads its own modules only:
 * loading all of the server takes 0.6 s of processor time.
 */
interface Flags {
  config?: string;
  dataDirectory?: string;
  httpPort?: string;
  grpcPort?: string;
  logLevel?: string;
  demo?: boolean;
}

const program = new Command('gladhand')
  .description('Telematics coupling: partners’ own JSON in, one clean feed out.')
  .showHelpAfterError();

const configured = (command: Command) =>
  command
    .option('-c, --config <file>', 'configuration file (TOML); default ./gladhand.toml when it exists')
    .option('--data-directory <folder>', 'where everything is kept; default ./.gladhand')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent');

configured(program.command('serve', { isDefault: true }).description('run the server'))
  .option('--http-port <port>', 'REST port; default 8080')
  .option('--grpc-port <port>', 'LiveFeed port; default 8081')
  .option('--no-demo', 'no demo organization and no simulator')
  .action(async (flags: Flags) => (await import('./serve.ts')).serve(read(flags)));

configured(program.command('config').description('print the configuration in force, secrets left out')).action(
  (flags: Flags) => {
    const config = read(flags);
    console.log(JSON.stringify(withoutSecrets(config), null, 2));
  },
);

const admin = program
  .command('admin')
  .description('people who administer, without signing in; the server must not be running on the same data folder');
configured(
  admin.command('create').description('make the first admin, and the operator organization when there is none'),
)
  .requiredOption('--email <address>', 'email address to sign in with')
  .requiredOption('--name <name>', 'display name')
  .option('--organization <slug>', "default: the operator's; `operator` when there is none yet")
  .option('--password-stdin', 'read the password from standard input; else one is made and printed once')
  .option('--force', 'make another admin where there is one')
  .action(async (flags: Flags & AdminFlags) => (await import('./verbs/admin.ts')).createAdmin(read(flags), flags));

const audit = program.command('audit').description('the audit log');
configured(
  audit.command('verify').description('walk every chain of events and say where it is broken; exit code 0 or 1'),
)
  .option('--organization <slug>', 'one organization only')
  .option('--events', 'print every event')
  .action(async (flags: Flags & AuditFlags) => (await import('./verbs/audit.ts')).verifyAudit(read(flags), flags));

const tokenKey = program.command('token-key').description('the key that access tokens are signed with');
configured(
  tokenKey
    .command('rotate')
    .description('publish the next key now and sign with it from ten minutes on; live tokens stay good'),
).action(async (flags: Flags) => (await import('./verbs/token-key.ts')).rotateTokenKey(read(flags)));

const products = program.command('products').description('what partners send, and what it means');
const directory = [
  '--directory <folder>',
  'folder of products; default: those that come with the server, and products.directory',
] as const;
configured(
  products.command('check').description('read every product, and name every fault of every file; exit code 0 or 1'),
)
  .option(...directory)
  .option('--frozen', 'compare also with the versions that have mapped payloads in this installation, as a start does')
  .action(async (flags: Flags & CheckFlags) => (await import('./verbs/products.ts')).checkProducts(read(flags), flags));
configured(products.command('try').description('print what a payload becomes; nothing is stored'))
  .argument('<product>', 'its name')
  .argument('<file>', 'a payload, as JSON')
  .option(...directory)
  .option('--vin <vin>', 'the VIN of the request path', '1UYVS2533P7204518')
  .option('--version <number>', 'the version that maps it, a draft for example; default: the live one')
  .option('--received-at <instant>', 'when it is received, RFC 3339; default: now')
  .action(async (name: string, file: string, flags: Flags & TryFlags) =>
    (await import('./verbs/products.ts')).tryProduct(read(flags), name, file, flags),
  );

program
  .command('openapi')
  .description('print the OpenAPI document')
  .action(async () => {
    const { openApiDocument } = await import('./openapi.ts');
    console.log(JSON.stringify(await openApiDocument(), null, 2));
  });

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
