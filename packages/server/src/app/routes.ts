import type { Access } from '../access/access.ts';
import { registerAccessRoutes } from '../access/routes.ts';
import type { Cursors } from '../base/cursor.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import { createGuard } from '../edge/guard.ts';
import { createHttp, type Http, type HttpParts } from '../edge/http.ts';
import type { Intake } from '../intake/accept.ts';
import { registerIntakeRoutes } from '../intake/routes.ts';
import { registerReceiptRoutes } from '../mapping/routes.ts';
import { registerQueryRoutes } from '../query/routes.ts';
import type { Registry } from '../registry/registry.ts';
import { registerRegistryRoutes } from '../registry/routes.ts';
import type { TelemetryReader } from '../telemetry/read.ts';
import { registerApiDocs, serveApiDocs } from './api-docs.ts';
import type { Metrics } from './metrics.ts';
import { registerOperationsRoutes } from './operations.ts';

/** Every door, in one place. The same list makes the server and the OpenAPI document. */
export interface Rooms {
  readonly config: Config;
  readonly database: Database;
  readonly metrics: Metrics;
  readonly access: Access;
  readonly intake: Intake;
  readonly registry: Registry;
  readonly reader: TelemetryReader;
  readonly cursors: Cursors;
  readonly isClosing: () => boolean;
}

export const VERSION = '0.1.0';

export async function openDoors(rooms: Rooms, parts: HttpParts): Promise<Http> {
  const http = createHttp(parts);
  await registerApiDocs(http, VERSION);
  http.decorateRequest('principal', null);
  http.decorateRequest('person', null);
  http.addHook('onRequest', createGuard(rooms.access));
  registerOperationsRoutes(http, rooms);
  registerAccessRoutes(http, { access: rooms.access, tokenTtlSeconds: rooms.config.access.tokenTtlSeconds });
  registerIntakeRoutes(http, { intake: rooms.intake, bodyBytesMax: rooms.config.intake.bodyBytesMax });
  registerReceiptRoutes(http, rooms);
  await http.register(
    async (scope) => {
      registerRegistryRoutes(scope as Http, rooms);
      registerQueryRoutes(scope as Http, rooms);
    },
    { prefix: '/api/v1' },
  );
  await serveApiDocs(http);
  return http;
}
