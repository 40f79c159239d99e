import { createCursors } from '@gladhand/base/cursor.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { openAccess } from '../access/access.ts';
import { createApiKeys } from '../access/administer-keys.ts';
import { issueKey } from '../access/issue-key.ts';
import { createSecrets, parseSecret, readSecretFile, type Secrets } from '../access/secrets.ts';
import { createSignedRequests } from '../access/signed-requests.ts';
import { forgetNonces } from '../access/store.ts';
import { openRefusals } from '../audit/refused-access.ts';
import type { Config } from '../config.ts';
import { createApiAddresses } from '../edge/api-addresses.ts';
import type { Http } from '../edge/http.ts';
import { openListeners } from '../edge/listeners.ts';
import { createIntake } from '../intake/accept.ts';
import { openLiveFeed } from '../live/rpc.ts';
import { findOperatorId } from '../organizations/operator.ts';
import { createOrganizations } from '../organizations/organizations.ts';
import { createIdentityProvider } from '../people/identity-provider.ts';
import { createPeople } from '../people/people.ts';
import { forgetSessions, openSessions } from '../people/sessions.ts';
import { forgetUsage } from '../plans/usage.ts';
import { openMapper } from '../processing/mapper.ts';
import { forgetArrivals, forgetLeafPaths } from '../processing/store.ts';
import { refuseChangedVersions } from '../products/freeze-versions.ts';
import { loadProducts, type Products } from '../products/products.ts';
import { createAdministration } from '../registry/administer.ts';
import { createRegistry } from '../registry/registry.ts';
import { createTelemetryReader } from '../telemetry/read.ts';
import { type Backends, openBackends, type Surroundings, secretFile } from './backends.ts';
import { openHousekeeper } from './housekeeper.ts';
import { createAttemptLimit, type LimitRoom, openLimitRoom } from './limit-room.ts';
import { openMapperThread } from './mapper-thread.ts';
import { createMetrics } from './metrics.ts';
import { noteStreamRefusal } from './note-refusal.ts';
import { productDirectories } from './products-directory.ts';
import { openDoors } from './routes.ts';

/**
 * The house, put together in the order the data flows: backends, access, intake, mapping, telemetry, reading, live.
 * `close` goes the other way: doors first, so that what was accepted is finished before what it needs goes away.
 */
export interface App {
  readonly http: Http;
  readonly httpPort: number;
  /** That of `httpPort` unless the authentication API has one of its own. */
  readonly authenticationPort: number;
  readonly grpcPort: number;
  readonly backends: Backends;
  readonly products: Products;
  readonly limitRoom: LimitRoom;
  readonly secrets: Secrets;
  close(): Promise<void>;
}

export async function openApp(config: Config, around: Surroundings): Promise<App> {
  const { clock, ids, log } = around;
  const closers: (() => unknown)[] = [];
  let isClosing = false;
  let livefeedPort: number | null = null;
  const close = async () => {
    isClosing = true;
    for (const closeOne of closers.splice(0).reverse()) await closeOne();
  };
  try {
    const products = loadProducts(...productDirectories(config));
    const secrets = createSecrets(openSecret(config, around));
    const cursors = createCursors(secrets.derive('cursor/1'));
    const backends = await openBackends(config, around);
    closers.push(() => backends.close());
    const { database, partitions, intakeLog, doorbell, limits } = backends;
    requireDurability(config, backends);
    await refuseChangedVersions(database, products);
    const metrics = createMetrics(backends);

    const access = await openAccess({
      ...around,
      database,
      doorbell,
      secrets,
      issuer: config.access.issuer,
      tokenTtlSeconds: config.access.tokenTtlSeconds,
      beginAttempt: createAttemptLimit(config, around, { limits, metrics }),
    });
    closers.push(() => access.close());
    const limitRoom = await openLimitRoom(config, around, { backends, access, products, metrics });
    closers.push(() => limitRoom.close());
    const signedRequests = createSignedRequests({ database, secrets, clock });
    const refusals = openRefusals({ database, clock, log, findOperatorId: () => findOperatorId(database.system) });
    closers.push(() => refusals.close());
    const sessions = openSessions({
      ...around,
      database,
      doorbell,
      limits,
      onRefused: ({ organizationId, personId }, { address, requestId }) =>
        refusals.note({
          organizationId,
          actor: { kind: 'anonymous', id: null },
          target: { kind: 'user', id: personId },
          code: 'sign-in-refused',
          route: 'POST /api/v1/auth/sign-in',
          address,
          requestId,
        }),
    });
    closers.push(() => sessions.close());
    const identityProvider = createIdentityProvider({
      ...config.oidc,
      cursors: createCursors(secrets.derive('oidc-state/1')),
      clock,
      ids,
      log,
    });
    const organizations = createOrganizations({ database, clock, ids, onPlanChanged: limitRoom.announceChange });
    const people = createPeople({ database, clock, ids, doorbell });
    const apiKeys = createApiKeys({
      database,
      clock,
      issueKey: (trx, order) => issueKey(trx, { secrets, clock, ids }, order),
      isProduct: (name) => products.find(name) !== undefined,
      onChanged: () => access.announceChange(),
    });
    const administration = createAdministration({
      database,
      clock,
      ids,
      onRegistered: () => doorbell.ring('intake'),
    });
    const intake = createIntake({
      log: intakeLog,
      ids,
      findProduct: (name) => products.find(name),
      onAccepted: () => doorbell.ring('intake'),
    });
    const { onSettled } = metrics;
    const mapper = config.mapping.ownThread
      ? openMapperThread({ config, host: database.host, doorbell, clock, log, onSettled })
      : openMapper({ ...around, database, intakeLog, partitions, products, doorbell, onSettled });
    closers.push(() => mapper.close());
    const registry = createRegistry({ database });
    const reader = createTelemetryReader(database);
    const housekeeper = openHousekeeper({
      forget: [
        (nowMs) => forgetSessions(database, nowMs),
        (nowMs) => forgetNonces(database, new Date(nowMs)),
        (nowMs) => forgetUsage(database, nowMs),
        (nowMs) => forgetArrivals(database, nowMs),
        (nowMs) => forgetLeafPaths(database, nowMs, config.intake.envelopeRetentionDays),
      ],
      intakeLog,
      partitions,
      clock,
      log,
      ...config.intake,
      ...config.telemetry,
    });
    closers.push(() => housekeeper.close());

    const rooms = {
      config,
      database,
      metrics,
      access,
      signedRequests,
      sessions,
      identityProvider,
      organizations,
      people,
      apiKeys,
      refusals,
      administration,
      intake,
      products,
      registry,
      reader,
      limitRoom,
      cursors,
      isClosing: () => isClosing,
      livefeedPort: () => livefeedPort,
    };
    const addresses = createApiAddresses({
      isSplit: config.authentication.ownPort,
      publicUrls: { authentication: config.authentication.publicUrl, integration: config.http.publicUrl },
    });
    const http = await openDoors(rooms, {
      log,
      ids,
      clock,
      trustedProxies: config.http.trustedProxies,
      onAnswered: metrics.onAnswered,
      addresses,
    });
    let closeHttp: () => Promise<void> = () => http.close();
    closers.push(() => closeHttp());
    const live = await openLiveFeed({
      host: config.grpc.host,
      port: config.grpc.port,
      reader,
      doorbell,
      cursors,
      clock,
      log,
      access: { ...access, authenticatePerson: (token) => sessions.authenticate(token) },
      resolveFilter: registry.resolveFilter,
      openSlot: limitRoom.openStreamSlot,
      onSent: metrics.onSent,
      onRefused: (fault, { caller, address }) =>
        noteStreamRefusal(rooms.refusals, fault, {
          ...(caller ?? { key: access.findRefusedKey(fault) }),
          address,
          requestId: ids.uuid(),
        }),
      limits: { heartbeatMs: config.grpc.heartbeatSeconds * 1000 },
    });
    livefeedPort = live.port;
    metrics.watchLiveFeed(live.counts);
    closers.push(() => live.close());
    const listeners = await openListeners(http, {
      integration: config.http,
      authentication: addresses.isSplit ? config.authentication : undefined,
      ids,
      clock,
    });
    closeHttp = listeners.close;
    addresses.setPorts(listeners.ports);
    const { integration: httpPort, authentication: authenticationPort } = listeners.ports;
    return { http, httpPort, authenticationPort, grpcPort: live.port, backends, products, limitRoom, secrets, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function openSecret(config: Config, around: Surroundings): Buffer {
  if (config.access.secret !== '') return parseSecret(config.access.secret, 'access.secret');
  return readSecretFile(secretFile(config), (length) => around.ids.randomBytes(length));
}

/** A 202 that a power cut could take back would be a lie. */
function requireDurability(config: Config, backends: Backends): void {
  const { database } = backends;
  if (database.durability === 'power-loss') return;
  const setting = 'intake.requirePowerLossDurability = false';
  if (config.intake.requirePowerLossDurability) {
    throw new StartRefusal(
      `PostgreSQL at ${database.host.place} would lose acknowledged data in a power cut: set fsync, full_page_writes and synchronous_commit to on, or accept the loss with ${setting}.`,
    );
  }
}
