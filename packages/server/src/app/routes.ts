import type { Cursors } from '@gladhand/base/cursor.ts';
import type { Access } from '../access/access.ts';
import type { ApiKeys } from '../access/administer-keys.ts';
import { registerApiKeyRoutes } from '../access/administer-keys-routes.ts';
import { registerAccessRoutes } from '../access/routes.ts';
import type { SignedRequests } from '../access/signed-requests.ts';
import type { Refusals } from '../audit/refused-access.ts';
import { registerAuditRoutes } from '../audit/routes.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import { registerDocsRoutes } from '../docs/routes.ts';
import { ONE_PORT } from '../edge/api-addresses.ts';
import { createGiveBack } from '../edge/give-back.ts';
import { createGuard } from '../edge/guard.ts';
import { createHttp, type Http, type HttpParts } from '../edge/http.ts';
import { createLimitGuard } from '../edge/limit-guard.ts';
import type { GetReachable } from '../edge/person-route.ts';
import type { Intake } from '../intake/accept.ts';
import { registerIntakeRoutes } from '../intake/routes.ts';
import type { Organizations } from '../organizations/organizations.ts';
import { registerOrganizationRoutes } from '../organizations/routes.ts';
import type { IdentityProvider } from '../people/identity-provider.ts';
import type { People } from '../people/people.ts';
import { registerUserRoutes } from '../people/routes.ts';
import type { Sessions } from '../people/sessions.ts';
import { registerAuthRoutes } from '../people/sign-in-routes.ts';
import { registerLimitRoutes } from '../plans/own-limit-routes.ts';
import { registerPlanRoutes } from '../plans/plan-routes.ts';
import { registerProductLimitRoutes } from '../plans/product-limit-routes.ts';
import { registerReceiptRoutes } from '../processing/receipt-routes.ts';
import type { Products } from '../products/products.ts';
import { registerProductRoutes } from '../products/routes.ts';
import { registerQueryRoutes } from '../query/routes.ts';
import { registerRegistryAdminRoutes } from '../registry/admin-routes.ts';
import type { Administration } from '../registry/administer.ts';
import { registerContestedVinRoutes } from '../registry/contested-vin-routes.ts';
import { registerPlantRoutes } from '../registry/plant-routes.ts';
import type { Registry } from '../registry/registry.ts';
import { registerRegistryRoutes } from '../registry/routes.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import { registerApiDocs, serveApiDocs } from './api-docs.ts';
import type { LimitRoom } from './limit-room.ts';
import type { Metrics } from './metrics.ts';
import { noteRefusal } from './note-refusal.ts';
import { registerOperationsRoutes } from './operations.ts';

/** Every door, in one place. The same list makes the server and the OpenAPI document. */
export interface Rooms {
  readonly config: Config;
  readonly database: Database;
  readonly metrics: Metrics;
  readonly access: Access;
  readonly signedRequests: SignedRequests;
  readonly sessions: Sessions;
  readonly identityProvider: IdentityProvider | null;
  readonly organizations: Organizations;
  readonly people: People;
  readonly apiKeys: ApiKeys;
  readonly refusals: Refusals;
  readonly administration: Administration;
  readonly intake: Intake;
  readonly products: Products;
  readonly registry: Registry;
  readonly reader: TelemetryReader;
  readonly limitRoom: LimitRoom;
  readonly cursors: Cursors;
  readonly isClosing: () => boolean;
  /** Null until LiveFeed listens. */
  readonly livefeedPort: () => number | null;
}

export const VERSION = '0.1.0';

export async function openDoors(rooms: Rooms, parts: HttpParts): Promise<Http> {
  const { addresses = ONE_PORT } = parts;
  const http = createHttp({
    ...parts,
    onFault: (fault, request) => noteRefusal(rooms.refusals, fault, request, rooms.access.findRefusedKey(fault)),
  });
  await registerApiDocs(http, VERSION);
  http.decorateRequest('principal', null);
  http.decorateRequest('person', null);
  http.decorateRequest('intakePass', null);
  http.decorateRequest('charged', null);
  http.addHook(
    'onRequest',
    createGuard({ ...rooms.access, authenticatePerson: (token) => rooms.sessions.authenticate(token), addresses }),
  );
  http.addHook('onRequest', createLimitGuard({ ...rooms.limitRoom }));
  http.addHook('onSend', createGiveBack({ ...rooms.limitRoom }));
  registerOperationsRoutes(http, rooms);
  registerAccessRoutes(http, rooms);
  registerIntakeRoutes(http, {
    intake: rooms.intake,
    bodyBytesMax: rooms.config.intake.bodyBytesMax,
    checkSignature: (principal, request) => rooms.signedRequests.check(principal, request),
  });
  registerReceiptRoutes(http, rooms);
  await http.register(
    async (scope) => {
      const getReachable: GetReachable = (person, name) => rooms.organizations.getReachable(person, name);
      registerAuthRoutes(scope as Http, rooms);
      registerOrganizationRoutes(scope as Http, rooms);
      registerUserRoutes(scope as Http, { ...rooms, getReachable });
      registerAuditRoutes(scope as Http, { ...rooms, getReachable });
      registerApiKeyRoutes(scope as Http, { ...rooms, getReachable });
      registerLimitRoutes(scope as Http, { ...rooms, ...rooms.limitRoom, clock: parts.clock });
      registerPlanRoutes(scope as Http, { ...rooms.limitRoom });
      registerProductLimitRoutes(scope as Http, { ...rooms.limitRoom });
      registerProductRoutes(scope as Http, {
        ...rooms,
        clock: parts.clock,
        bodyBytesMax: rooms.config.intake.bodyBytesMax,
        findProductLimit: (name) => rooms.limitRoom.planDirectory.findProductLimit(name),
      });
      registerRegistryAdminRoutes(scope as Http, { ...rooms, getReachable });
      registerContestedVinRoutes(scope as Http, rooms);
      registerRegistryRoutes(scope as Http, rooms);
      registerPlantRoutes(scope as Http, rooms);
      registerQueryRoutes(scope as Http, rooms);
    },
    { prefix: '/api/v1' },
  );
  await registerDocsRoutes(http, { version: VERSION, livefeedPort: rooms.livefeedPort });
  await serveApiDocs(http, addresses);
  return http;
}
