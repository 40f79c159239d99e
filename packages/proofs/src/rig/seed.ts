import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { vinCheckDigit } from '@gladhand/contract/vin.ts';
import { issueKey } from '@gladhand/server/access/issue-key.ts';
import { SYSTEM_ORIGIN } from '@gladhand/server/access/principal.ts';
import { createSecrets, readSecretFile } from '@gladhand/server/access/secrets.ts';
import { openBackends, secretFile } from '@gladhand/server/app/backends.ts';
import { loadConfig } from '@gladhand/server/config.ts';
import { narrow } from '@gladhand/server/database/within.ts';
import { insertOrganization } from '@gladhand/server/organizations/store.ts';
import { createAdministration } from '@gladhand/server/registry/administer.ts';

/** An installation that is created before a server runs: an operator with a key per product, and a customer with trailers. */
export interface Seed {
  /** The partner's API key, by product. */
  readonly partnerKeys: Readonly<Record<string, string>>;
  readonly customerKey: string;
  /** The VINs of the customer's trailers. */
  readonly vins: readonly string[];
}

export const AROUND = { clock: systemClock, ids: systemIds, log: silentLogger };

/** The configuration of a server on this data folder. It does not depend on the caller's environment variables. */
export function configOf(dataDirectory: string) {
  return loadConfig({ env: {}, flags: { 'data.directory': dataDirectory, 'demo.enabled': false } });
}

export async function seedInstallation(
  dataDirectory: string,
  options: { trailers: number; products: readonly string[] },
): Promise<Seed> {
  const config = configOf(dataDirectory);
  const { clock, ids } = AROUND;
  const secrets = createSecrets(readSecretFile(secretFile(config), (length) => ids.randomBytes(length)));
  const backends = await openBackends(config, AROUND);
  try {
    return await backends.database.system.transaction().execute(async (trx) => {
      const [operatorId, customerId] = [ids.uuid(), ids.uuid()];
      const at = new Date(clock.nowMs());
      await insertOrganization(trx, { id: operatorId, slug: 'operator', name: 'Operator', kind: 'operator', at });
      await insertOrganization(trx, { id: customerId, slug: 'customer', name: 'Customer', kind: 'customer', at });
      const issue = async (organizationId: string, audience: 'partner' | 'customer', name: string, scopes: string[]) =>
        (
          await issueKey(
            trx,
            { ...AROUND, secrets },
            { organizationId, audience, partnerId: name, name, scopes, createdBy: null },
          )
        ).plaintext;
      const partnerKeys: Record<string, string> = {};
      for (const product of options.products) {
        partnerKeys[product] = await issue(operatorId, 'partner', product, ['telemetry:write', `product:${product}`]);
      }
      const scopes = ['fleets:read', 'trailers:read', 'devices:read', 'telemetry:read', 'livefeed:connect'];
      const customerKey = await issue(customerId, 'customer', 'customer', scopes);
      await narrow(trx, customerId);
      const { fleets, trailers } = createAdministration({
        database: { within: (_, work) => work(trx) },
        clock,
        ids,
        onRegistered: () => {},
      });
      const fleet = await fleets.create(customerId, { name: 'Trailers' }, SYSTEM_ORIGIN);
      const vins = Array.from({ length: options.trailers }, (_, number) => vinOf(number));
      for (const vin of vins) await trailers.create(customerId, { vin, name: vin, fleetId: fleet.id }, SYSTEM_ORIGIN);
      return { partnerKeys, customerKey, vins };
    });
  } finally {
    await backends.close();
  }
}

/** A VIN with a valid check digit (49 CFR 565.15). Its first three characters belong to no manufacturer. */
function vinOf(number: number): string {
  const draft = `1ZZV25320P7${String(number).padStart(6, '0')}`;
  return draft.slice(0, 8) + vinCheckDigit(draft) + draft.slice(9);
}
