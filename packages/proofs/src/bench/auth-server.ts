import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openAccess } from '@gladhand/server/access/access.ts';
import { issueKey } from '@gladhand/server/access/issue-key.ts';
import { registerAccessRoutes } from '@gladhand/server/access/routes.ts';
import { createSecrets, readSecretFile } from '@gladhand/server/access/secrets.ts';
import { openBackends, secretFile } from '@gladhand/server/app/backends.ts';
import { openEpoch } from '@gladhand/server/database/epoch.ts';
import { createGuard } from '@gladhand/server/edge/guard.ts';
import { createHttp } from '@gladhand/server/edge/http.ts';
import { insertOrganization } from '@gladhand/server/organizations/store.ts';
import { Type } from 'typebox';
import { answerParent } from '../rig/child.ts';
import { AROUND, configOf } from '../rig/seed.ts';

/**
 * The server of the authentication benchmark: our HTTP server with one public route, the same route behind a scope, and
 * the real authentication routes. It has no limits, so that only authentication is measured. Asked for `bare`, it starts
 * a plain `node:http` server instead.
 */
export type AuthServerQuestion =
  | { readonly kind: 'bare' }
  | { readonly kind: 'open'; readonly dataDirectory: string; readonly keys: number }
  | { readonly kind: 'tokens'; readonly count: number };

const ANSWER = { status: 'here' };
export const SCOPE = 'fleets:read';

let mint: ((count: number) => Promise<string[]>) | undefined;

async function answer(question: AuthServerQuestion): Promise<unknown> {
  if (question.kind === 'bare') return { pid: process.pid, port: await openBare() };
  if (question.kind === 'open') return { pid: process.pid, ...(await open(question.dataDirectory, question.keys)) };
  return mint!(question.count);
}

function openBare(): Promise<number> {
  const text = JSON.stringify(ANSWER);
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length });
      response.end(text);
    });
  });
  return new Promise(
    (resolve) => void server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );
}

async function open(dataDirectory: string, count: number): Promise<{ port: number; keys: string[] }> {
  const config = configOf(dataDirectory);
  const { clock, ids, log } = AROUND;
  const { database, doorbell } = await openBackends(config, AROUND);
  const secrets = createSecrets(readSecretFile(secretFile(config), (length) => ids.randomBytes(length)));
  const { issuer, tokenTtlSeconds } = config.access;
  const epoch = await openEpoch({ ...AROUND, database, doorbell });
  const access = await openAccess({ ...AROUND, database, epoch, secrets, issuer, tokenTtlSeconds });
  const organizationId = ids.uuid();
  await insertOrganization(database.system, {
    id: organizationId,
    slug: 'bench',
    name: 'Bench',
    kind: 'customer',
    at: new Date(clock.nowMs()),
  });
  const order = {
    organizationId,
    audience: 'customer',
    partnerId: 'bench',
    name: 'bench',
    scopes: [SCOPE],
    createdBy: null,
  } as const;
  const keys: string[] = [];
  for (let n = 0; n < count; n++) keys.push((await issueKey(database.system, { ...AROUND, secrets }, order)).plaintext);
  mint = async (wanted) => {
    const tokens: string[] = [];
    for (let n = 0; n < wanted; n++)
      tokens.push((await access.exchange('customer', keys[n % keys.length]!, '127.0.0.1')).accessToken);
    return tokens;
  };
  const http = createHttp({ log, ids, clock, trustedProxies: [] });
  http.decorateRequest('principal', null);
  http.decorateRequest('person', null);
  http.addHook('onRequest', createGuard(access));
  const schema = { response: { 200: Type.Object({ status: Type.String() }) } };
  http.get('/public', { config: { access: 'public' }, schema }, async () => ANSWER);
  http.get('/guarded', { config: { access: { audience: 'customer', scopes: [SCOPE] } }, schema }, async () => ANSWER);
  registerAccessRoutes(http, { access });
  await http.listen({ host: '127.0.0.1', port: 0 });
  return { port: (http.server.address() as AddressInfo).port, keys };
}

await answerParent(answer);
