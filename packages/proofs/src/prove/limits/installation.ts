import { randomBytes } from 'node:crypto';
import { vinCheckDigit } from '@gladhand/contract/vin.ts';
import { issueKey } from '@gladhand/server/access/issue-key.ts';
import { SYSTEM_ORIGIN } from '@gladhand/server/access/principal.ts';
import { createSecrets, parseSecret } from '@gladhand/server/access/secrets.ts';
import { openBackends } from '@gladhand/server/app/backends.ts';
import { loadConfig } from '@gladhand/server/config.ts';
import { narrow } from '@gladhand/server/database/within.ts';
import { insertOrganization } from '@gladhand/server/organizations/store.ts';
import { createFirstAdmin } from '@gladhand/server/people/first-admin.ts';
import { createAdministration } from '@gladhand/server/registry/administer.ts';
import { AROUND } from '../../rig/seed.ts';

/** The data that the proof of the limits needs before a server runs: an operator, customers, trailers and keys. */
export interface Installation {
  /** The setting `access.secret` of every node. */
  readonly secret: string;
  /** The platform operator. */
  readonly operator: { readonly email: string; readonly password: string };
  /** The API key of one partner per product, by product. */
  readonly partnerKeys: Readonly<Record<string, string>>;
  readonly customers: Readonly<Record<string, Customer>>;
}

export interface Customer {
  readonly id: string;
  readonly slug: string;
  readonly fleetId: string;
  readonly vins: readonly string[];
  readonly keys: readonly string[];
}

export interface InstallationOrder {
  readonly products: readonly string[];
  readonly customers: Readonly<Record<string, { readonly trailers: number; readonly keys: number }>>;
}

const SCOPES = ['fleets:read', 'trailers:read', 'devices:read', 'telemetry:read', 'livefeed:connect'];

/** Creates it. If `databaseUrl` is empty, it uses the embedded PostgreSQL of `dataDirectory`, where no server may run yet. */
export async function createInstallation(
  dataDirectory: string,
  databaseUrl: string,
  order: InstallationOrder,
): Promise<Installation> {
  const flags = { 'data.directory': dataDirectory, 'database.url': databaseUrl, 'demo.enabled': false };
  const secret = randomBytes(32).toString('hex');
  const keyParts = { ...AROUND, secrets: createSecrets(parseSecret(secret, 'access.secret')) };
  const operator = { email: 'root@example.com', password: randomBytes(20).toString('hex') };
  const backends = await openBackends(loadConfig({ env: {}, flags }), AROUND);
  try {
    const { database } = backends;
    const { id: operatorId } = await createFirstAdmin(
      { ...AROUND, database },
      { ...operator, name: 'Root', organization: undefined, force: false },
    );
    const partnerKeys: Record<string, string> = {};
    const customers: Record<string, Customer> = {};
    let vinsMade = 0;
    await database.system.transaction().execute(async (trx) => {
      for (const product of order.products) {
        const key = { organizationId: operatorId, audience: 'partner', partnerId: product, name: product } as const;
        const scopes = ['telemetry:write', `product:${product}`];
        partnerKeys[product] = (await issueKey(trx, keyParts, { ...key, scopes, createdBy: null })).plaintext;
      }
    });
    for (const [slug, { trailers, keys: keyCount }] of Object.entries(order.customers)) {
      await database.system.transaction().execute(async (trx) => {
        const id = AROUND.ids.uuid();
        const at = new Date(AROUND.clock.nowMs());
        await insertOrganization(trx, { id, slug, name: slug, kind: 'customer', at });
        const keys: string[] = [];
        for (let number = 0; number < keyCount; number += 1) {
          const key = { organizationId: id, audience: 'customer', partnerId: slug, name: `${slug} ${number}` } as const;
          keys.push((await issueKey(trx, keyParts, { ...key, scopes: SCOPES, createdBy: null })).plaintext);
        }
        await narrow(trx, id);
        const registration = createAdministration({
          ...AROUND,
          database: { within: (_, work) => work(trx) },
          onRegistered: () => {},
        });
        const { id: fleetId } = await registration.fleets.create(id, { name: slug }, SYSTEM_ORIGIN);
        const vins: string[] = [];
        for (let number = 0; number < trailers; number += 1) {
          const vin = vinOf(vinsMade++);
          await registration.trailers.create(id, { vin, name: vin, fleetId }, SYSTEM_ORIGIN);
          vins.push(vin);
        }
        customers[slug] = { id, slug, fleetId, vins, keys };
      });
    }
    return { secret, operator, partnerKeys, customers };
  } finally {
    await backends.close();
  }
}

/** A VIN with a valid check digit (49 CFR 565.15). Its first three characters belong to no manufacturer. */
export function vinOf(number: number): string {
  const draft = `1ZZV25320P7${String(number).padStart(6, '0')}`;
  return draft.slice(0, 8) + vinCheckDigit(draft) + draft.slice(9);
}
