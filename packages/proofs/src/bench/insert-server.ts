import type { AddressInfo } from 'node:net';
import { openAccess } from '@gladhand/server/access/access.ts';
import { registerAccessRoutes } from '@gladhand/server/access/routes.ts';
import { createSecrets, readSecretFile } from '@gladhand/server/access/secrets.ts';
import { openBackends, secretFile } from '@gladhand/server/app/backends.ts';
import { PRODUCTS_DIRECTORY } from '@gladhand/server/app/products-directory.ts';
import { openEpoch } from '@gladhand/server/database/epoch.ts';
import { createGuard } from '@gladhand/server/edge/guard.ts';
import { createHttp } from '@gladhand/server/edge/http.ts';
import { createIntake } from '@gladhand/server/intake/accept.ts';
import { registerIntakeRoutes } from '@gladhand/server/intake/routes.ts';
import type { IntakeLog } from '@gladhand/server/intake-log/intake-log.ts';
import { loadProducts } from '@gladhand/server/products/products.ts';
import { sql } from 'kysely';
import { answerParent } from '../rig/child.ts';
import { AROUND, configOf } from '../rig/seed.ts';

/**
 * The server to compare the group commit with: our own intake route, but with one INSERT per request on a pool of
 * connections, and without mapping.
 */
async function listen(dataDirectory: string): Promise<number> {
  const config = configOf(dataDirectory);
  const { clock, ids, log } = AROUND;
  const { database, partitions, doorbell } = await openBackends(config, AROUND);
  const secrets = createSecrets(readSecretFile(secretFile(config), (length) => ids.randomBytes(length)));
  const { issuer, tokenTtlSeconds } = config.access;
  const epoch = await openEpoch({ ...AROUND, database, doorbell });
  const access = await openAccess({ ...AROUND, database, epoch, secrets, issuer, tokenTtlSeconds });
  const products = loadProducts(PRODUCTS_DIRECTORY);
  const insertEach: Pick<IntakeLog, 'append'> = {
    async append(envelope) {
      const { id, receivedAtMs, organizationId, keyId, partnerId, product, asset, body } = envelope;
      await partitions.ensure('envelope', [receivedAtMs]);
      await sql`insert into envelope (id, received_at, organization_id, key_id, partner_id, product, vin, plant_id, body)
        values (${id}, ${new Date(receivedAtMs)}, ${organizationId}, ${keyId}, ${partnerId}, ${product},
          ${'vin' in asset ? asset.vin : null}, ${'plantId' in asset ? asset.plantId : null}, ${body})`.execute(
        database.system,
      );
      return { kind: 'appended', envelopeId: id, receivedAtMs };
    },
  };
  const intake = createIntake({
    log: insertEach as IntakeLog,
    ids,
    findProduct: (name) => products.find(name),
    onAccepted: () => {},
  });
  const http = createHttp({ log, ids, clock, trustedProxies: [] });
  http.decorateRequest('principal', null);
  http.addHook('onRequest', createGuard(access));
  registerAccessRoutes(http, { access });
  registerIntakeRoutes(http, { intake, bodyBytesMax: config.intake.bodyBytesMax, checkSignature: async () => {} });
  await http.listen({ host: '127.0.0.1', port: 0 });
  return (http.server.address() as AddressInfo).port;
}

await answerParent(listen);
