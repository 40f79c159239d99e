import { type App, openApp } from '@gladhand/server/app/build.ts';
import { openApiDocument } from '@gladhand/server/app/openapi.ts';
import { loadConfig } from '@gladhand/server/config.ts';
import { createFirstAdmin } from '@gladhand/server/people/first-admin.ts';
import { sql } from 'kysely';
import { answerParent } from '../../rig/child.ts';
import { AROUND } from '../../rig/seed.ts';
import * as rows from './rows.ts';

/**
 * The complete server under test, in its own process. The process can be started without the organization condition
 * (`node --import`). Its questions also read data that no caller may see, for the checks of the proof.
 */
export type ServerQuestion =
  | { readonly kind: 'open'; readonly dataDirectory: string; readonly databaseUrl: string }
  | { readonly kind: 'first-admin'; readonly email: string; readonly name: string; readonly password: string }
  | { readonly kind: 'document' }
  | { readonly kind: 'expire-key'; readonly keyId: string }
  | { readonly kind: 'disable-row-security' }
  | { readonly kind: 'digests'; readonly organizationId: string }
  | { readonly kind: 'values'; readonly organizationId: string }
  | { readonly kind: 'acts-of-others'; readonly organizationId: string; readonly callerOrganizationId: string }
  | { readonly kind: 'close' };

export interface OpenedServer {
  readonly httpPort: number;
  readonly grpcPort: number;
}

/** Limits are only reported, because a refusal by a limit would hide a leak. */
const LIMITS_RAISED: Readonly<Record<string, unknown>> = { 'limits.mode': 'report' };

let app: App | undefined;

async function open(question: ServerQuestion & { kind: 'open' }): Promise<OpenedServer> {
  const flags = {
    'http.port': 0,
    'grpc.port': 0,
    'data.directory': question.dataDirectory,
    'database.url': question.databaseUrl,
    'demo.enabled': false,
    'access.tokenTtlSeconds': 86_400,
    'intake.requirePowerLossDurability': false,
    // Trusted, so that each request names its own client address and limits by address never apply.
    'http.trustedProxies': ['127.0.0.1'],
    ...LIMITS_RAISED,
  };
  app = await openApp(loadConfig({ env: {}, flags }), AROUND);
  return { httpPort: app.httpPort, grpcPort: app.grpcPort };
}

async function answer(question: ServerQuestion): Promise<unknown> {
  if (question.kind === 'open') return open(question);
  if (question.kind === 'document') return JSON.parse(JSON.stringify(await openApiDocument()));
  if (app === undefined) throw new Error('the server is not open: ask `open` first');
  const { database, doorbell } = app.backends;
  switch (question.kind) {
    case 'first-admin': {
      const { email, name, password } = question;
      return createFirstAdmin(
        { ...AROUND, database },
        { email, name, password, organization: undefined, force: false },
      );
    }
    case 'expire-key':
      await sql`update api_key set expires_at = now() - interval '1 second' where id = ${question.keyId}`.execute(
        database.owner,
      );
      doorbell.ring('keys');
      return null;
    case 'disable-row-security':
      return rows.disableRowSecurity(database.owner);
    case 'digests':
      return rows.readDigests(database.owner, question.organizationId);
    case 'values':
      return rows.readValues(database.owner, question.organizationId);
    case 'acts-of-others':
      return rows.countActs(database.owner, question.organizationId, question.callerOrganizationId);
    case 'close':
      await app.close();
      return null;
  }
}

await answerParent(answer);
