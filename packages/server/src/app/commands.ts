import { Fault } from '@gladhand/base/fault.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { Command } from 'commander';
import { type Config, ConfigError, loadConfig, withoutSecrets } from '../config.ts';
import type { AdminFlags } from './verbs/admin.ts';
import type { AuditFlags } from './verbs/audit.ts';
import type { CheckFlags, TryFlags } from './verbs/products.ts';

/**
 * The commands of the command line. A flag overrides the same setting of the configuration. Each command loads only the
 * modules it needs, because loading the whole server takes 0.6 s of CPU time.
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
  .description('Telematics server: partners post their own JSON, customers read one feed.')
  .showHelpAfterError();

const configured = (command: Command) =>
  command
    .option('-c, --config <file>', 'configuration file (TOML); default: ./gladhand.toml if it exists')
    .option('--data-directory <folder>', 'folder for all data; default: ./.gladhand')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent');

configured(program.command('serve', { isDefault: true }).description('run the server'))
  .option('--http-port <port>', 'REST port; default: 8080')
  .option('--grpc-port <port>', 'LiveFeed port; default: 8081')
  .option('--no-demo', 'do not create or run the demo')
  .action(async (flags: Flags) => (await import('./serve.ts')).serve(read(flags)));

configured(program.command('config').description('print the configuration in force, without secrets')).action(
  (flags: Flags) => {
    const config = read(flags);
    console.log(JSON.stringify(withoutSecrets(config), null, 2));
  },
);

const admin = program
  .command('admin')
  .description('create admins without signing in; also while a server runs on the same data folder');
configured(
  admin.command('create').description('create the first admin, and the operator organization if there is none'),
)
  .requiredOption('--email <address>', 'email address to sign in with')
  .requiredOption('--name <name>', 'display name')
  .option(
    '--organization <slug>',
    "slug of the admin's organization; default: the operator's, or `operator` if there is none yet",
  )
  .option(
    '--password-stdin',
    'read the password from standard input; default: a password is generated and printed once',
  )
  .option('--force', 'create another admin although there is one')
  .action(async (flags: Flags & AdminFlags) => (await import('./verbs/admin.ts')).createAdmin(read(flags), flags));

const audit = program.command('audit').description('the audit log');
configured(
  audit
    .command('verify')
    .description('check every chain of events and print where it is broken; exit code 1 if one is broken'),
)
  .option('--organization <slug>', 'check only the organization with this slug')
  .option('--events', 'print every event')
  .action(async (flags: Flags & AuditFlags) => (await import('./verbs/audit.ts')).verifyAudit(read(flags), flags));

const tokenKey = program.command('token-key').description('the key that access tokens are signed with');
configured(
  tokenKey
    .command('rotate')
    .description('publish the next key now and sign with it in ten minutes; existing tokens stay valid'),
).action(async (flags: Flags) => (await import('./verbs/token-key.ts')).rotateTokenKey(read(flags)));

const products = program.command('products').description('check and try products: their input schemas and mappings');
const directory = [
  '--directory <folder>',
  'folder of products; default: the built-in products and the setting products.directory',
] as const;
configured(
  products
    .command('check')
    .description('check every product and print every error in its files; exit code 1 if there is one'),
)
  .option(...directory)
  .option('--frozen', 'also compare with the frozen versions of this installation, as every start does')
  .action(async (flags: Flags & CheckFlags) => (await import('./verbs/products.ts')).checkProducts(read(flags), flags));
configured(products.command('try').description('map a payload and print the result; nothing is stored'))
  .argument('<product>', 'its name')
  .argument('<file>', 'a payload, as JSON')
  .option(...directory)
  .option('--vin <vin>', 'the VIN of the request path', '1UYVS2533P7204518')
  .option('--version <number>', 'the mapping version, such as a draft; default: the live version')
  .option('--received-at <instant>', 'the time of receipt (RFC 3339); default: now')
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
  .description('ask a running server whether it is ready; exit code 1 if it is not')
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
  // For an error with a sentence for the user, the stack is left out. For any other error it helps to find the defect.
  const isOwn = error instanceof ConfigError || error instanceof StartRefusal || error instanceof Fault;
  console.error(isOwn ? `gladhand: ${(error as Error).message}` : error);
  process.exitCode = 1;
}
