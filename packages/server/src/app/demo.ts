import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSimulator } from '@gladhand/demo/simulator.ts';
import { createDemoWorld, type DemoProduct, type DemoWorld } from '@gladhand/demo/world.ts';
import type { Kysely } from 'kysely';
import { issueKey, type KeyOrder } from '../access/issue-key.ts';
import { SYSTEM_ORIGIN } from '../access/principal.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';
import { narrow } from '../database/within.ts';
import { hasOrganizations, insertOrganization } from '../organizations/store.ts';
import { hashPassword } from '../people/password.ts';
import { insertPerson } from '../people/store.ts';
import { type Administration, createAdministration } from '../registry/administer.ts';
import type { Surroundings } from './backends.ts';
import type { App } from './build.ts';

/**
 * The contents of `demo.json`: all keys, VINs and ids that a user needs to try the demo. Only the file's owner may read it.
 *
 * The demo is an operator, a customer with two fleets, and partners that send for its vehicles through the public API. It is
 * created once, on an installation without organizations. A later start continues with the same vehicles.
 */
export interface DemoCredentials {
  readonly http: string;
  /** Base URL of the authentication API, if it has its own port. */
  readonly authentication?: string;
  readonly grpc: string;
  readonly operator: { readonly email: string; readonly password: string };
  readonly partners: readonly { readonly product: string; readonly key: string; readonly vins: readonly string[] }[];
  readonly customer: {
    readonly key: string;
    readonly fleets: readonly string[];
    readonly trailers: readonly { readonly id: string; readonly vin: string }[];
    readonly devices: readonly string[];
    readonly deliverSafe: readonly string[];
  };
}

const SEED = 20_261_123;
const PRODUCTS: readonly DemoProduct[] = ['traccar', 'deliversafe', 'flespi', 'samsara'];
const CUSTOMER_SCOPES = [
  'fleets:read',
  'trailers:read',
  'devices:read',
  'deliversafe:read',
  'telemetry:read',
  'livefeed:connect',
];

export async function openDemo(
  app: App,
  config: Config,
  around: Surroundings,
): Promise<{ credentials: DemoCredentials; close(): Promise<void> } | undefined> {
  const file = join(config.data.directory, 'demo.json');
  const world = createDemoWorld({ seed: SEED });
  if (!(await hasOrganizations(app.backends.database.system)))
    writeCredentials(file, await createDemo(world, app, around));
  if (!existsSync(file)) return undefined;
  const stored = JSON.parse(readFileSync(file, 'utf8')) as DemoCredentials;
  const { authentication: _before, ...kept } = stored;
  const credentials = { ...kept, ...addresses(app, config) };
  writeCredentials(file, credentials);
  const simulator = createSimulator({
    world,
    keys: credentials.partners,
    baseUrl: credentials.http,
    authenticationUrl: credentials.authentication,
    clock: around.clock,
    log: around.log,
  });
  simulator.start();
  return { credentials, close: () => simulator.stop() };
}

type Addresses = Pick<DemoCredentials, 'http' | 'authentication' | 'grpc'>;

function addresses(app: App, { http, authentication, grpc }: Config): Addresses {
  const reachable = (host: string) => (host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host);
  const written = (host: string) => (host.includes(':') ? `[${host}]` : host);
  const base = (host: string, port: number) => `http://${written(reachable(host))}:${port}`;
  return {
    http: base(http.host, app.httpPort),
    ...(authentication.ownPort && { authentication: base(authentication.host, app.authenticationPort) }),
    grpc: `${written(reachable(grpc.host))}:${app.grpcPort}`,
  };
}

/** Writes the file under another name and renames it, so that a reader never sees an incomplete file. */
function writeCredentials(file: string, credentials: Omit<DemoCredentials, keyof Addresses>): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

async function createDemo(
  world: DemoWorld,
  app: App,
  around: Surroundings,
): Promise<Omit<DemoCredentials, keyof Addresses>> {
  const { ids, clock } = around;
  const at = new Date(clock.nowMs());
  const password = ids.randomBytes(12).toString('base64url');
  const passwordHash = await hashPassword(password, (length) => ids.randomBytes(length));
  return app.backends.database.system.transaction().execute(async (trx) => {
    const { operator, customer } = world;
    const [operatorId, customerId, personId] = [ids.uuid(), ids.uuid(), ids.uuid()];
    await insertOrganization(trx, { ...namesOf(operator), id: operatorId, kind: 'operator', at });
    await insertOrganization(trx, { ...namesOf(customer), id: customerId, kind: 'customer', at });
    const { email, name } = operator;
    const admin = { id: personId, organizationId: operatorId, email, name, role: 'ADMIN', passwordHash, at } as const;
    await insertPerson(trx, admin);
    const issue: Issue = async (order) => {
      const keyParts = { secrets: app.secrets, clock, ids };
      return (await issueKey(trx, keyParts, { ...order, createdBy: personId })).plaintext;
    };
    const partners = await issuePartnerKeys(world, operatorId, issue);
    const key = await issueCustomerKey(customerId, issue);
    const entered = await enterVehicles(world, customerId, await administerWithin(trx, customerId, around));
    return { operator: { email, password }, partners, customer: { key, ...entered } };
  });
}

/** Gives the plaintext of a new key. */
type Issue = (order: Omit<KeyOrder, 'createdBy'>) => Promise<string>;

const namesOf = ({ slug, name }: { slug: string; name: string }) => ({ slug, name });

async function issuePartnerKeys(
  world: DemoWorld,
  organizationId: string,
  issue: Issue,
): Promise<DemoCredentials['partners']> {
  const partners = [];
  for (const product of PRODUCTS) {
    const scopes = ['telemetry:write', `product:${product}`];
    const named = { partnerId: `demo-${product}`, name: `Demo ${product}` };
    const key = await issue({ organizationId, audience: 'partner', ...named, scopes });
    const vins = world.assets.filter((asset) => asset.product === product).map((asset) => asset.vin);
    partners.push({ product, key, vins });
  }
  return partners;
}

function issueCustomerKey(organizationId: string, issue: Issue): Promise<string> {
  const named = { partnerId: 'demo-customer', name: 'Demo customer' };
  return issue({ organizationId, audience: 'customer', ...named, scopes: CUSTOMER_SCOPES });
}

/** The administration of one organization, in a transaction that is under way. */
async function administerWithin(
  trx: Kysely<Schema>,
  organizationId: string,
  around: Surroundings,
): Promise<Administration> {
  await narrow(trx, organizationId);
  const database: Pick<Database, 'within'> = { within: (_, work) => work(trx) };
  return createAdministration({ ...around, database, onRegistered: () => {} });
}

async function enterVehicles(
  world: DemoWorld,
  customerId: string,
  registration: Administration,
): Promise<Omit<DemoCredentials['customer'], 'key'>> {
  const fleets = new Map<string, string>();
  for (const fleet of world.fleets)
    fleets.set(fleet.slug, (await registration.fleets.create(customerId, { name: fleet.name }, SYSTEM_ORIGIN)).id);
  const trailers = [];
  const deliverSafe = [];
  const devices = [];
  for (const asset of world.assets) {
    const vehicle = {
      vin: asset.vin,
      name: asset.name,
      unitNumber: asset.unitNumber,
      fleetId: asset.fleet === undefined ? null : (fleets.get(asset.fleet) ?? null),
    };
    const { id } =
      asset.kind === 'trailer'
        ? await registration.trailers.create(customerId, vehicle, SYSTEM_ORIGIN)
        : await registration.deliverSafe.create(
            customerId,
            { ...vehicle, serialNumber: asset.serialNumber ?? asset.unitNumber },
            SYSTEM_ORIGIN,
          );
    if (asset.kind === 'trailer') trailers.push({ id, vin: asset.vin });
    else deliverSafe.push(id);
    for (const device of asset.devices)
      devices.push(
        (
          await registration.devices.create(
            customerId,
            { ...device, assetId: id, product: asset.product },
            SYSTEM_ORIGIN,
          )
        ).id,
      );
  }
  return { fleets: [...fleets.values()], trailers, devices, deliverSafe };
}
