import { bearer, type Caller, isAdmitted, sessionCallers } from './callers.ts';
import type { SampleOrganization } from './create-organization.ts';
import { findDifference } from './find-leak.ts';
import type { Answer, HttpClient } from './http-client.ts';
import { freshWord, nonexistentLike } from './names.ts';
import type { Operation } from './operations.ts';
import { type Api, PASSWORD, signIn } from './organization-maker.ts';
import { type Draft, ownRequest, toRequest } from './own-request.ts';
import { SELF_ENDING } from './probes.ts';
import { type Findings, noteLeak } from './run-probes.ts';

/**
 * Checks that the probes could find leaks: every route answers 2xx to a request for the organization's own data, and every
 * credential that the probes used is still valid. A route that refuses every request would pass every probe.
 */

/** Routes that cannot answer 2xx on this installation, with the reason. */
const UNREACHABLE: Readonly<Record<string, string>> = {
  'get /api/v1/auth/oidc/start': 'no identity provider is configured',
  'get /api/v1/auth/oidc/callback': 'no identity provider is configured',
};

export interface ReachParts {
  readonly api: Api;
  readonly http: HttpClient;
  readonly operations: readonly Operation[];
  readonly root: string;
  readonly findings: Findings;
}

/** Calls every route for the organization's own data. Returns the routes that did not answer 2xx, with their answers. */
export async function reachAll(
  parts: ReachParts,
  sample: SampleOrganization,
  other: SampleOrganization,
): Promise<string[]> {
  const { http, operations } = parts;
  const unreached: string[] = [];
  const platform = sessionCallers('ADMIN', parts.root)[0]!;
  for (const operation of operations) {
    if (operation.id in UNREACHABLE) continue;
    let answer: Answer | undefined;
    for (const caller of [...sample.callers.filter((one) => isAdmitted(operation, one)), platform]) {
      const credential = await credentialFor(parts, operation, sample, caller);
      const draft = await draftFor(parts, operation, sample);
      if (SELF_ENDING.includes(operation.id)) await probeSelfEnding(parts, operation, credential, draft, sample, other);
      answer = await http.send(toRequest(operation, draft, credential));
      if (answer.status < 300) break;
    }
    if (answer === undefined || answer.status >= 300)
      unreached.push(`${operation.id}: ${answer?.status} ${answer?.body}`);
  }
  return unreached;
}

/** A new credential for a route that ends the credential of the call, or the usual one for any other route. */
async function credentialFor(
  parts: ReachParts,
  operation: Operation,
  sample: SampleOrganization,
  caller: Caller,
): Promise<Pick<Caller, 'headers'>> {
  const audience = operation.path.includes('/partners/') ? 'partner' : 'customer';
  if (operation.path.endsWith('/authenticate')) return { headers: { 'x-api-key': sample.keys[audience] } };
  if (!SELF_ENDING.includes(operation.id)) return caller;
  const { api, root } = parts;
  if (!operation.path.endsWith('/rotate')) {
    const email = `${freshWord()}-${sample.marker}@example.com`;
    await api.call('POST', `/organizations/${sample.id}/users`, {
      token: root,
      body: { email, name: email, role: 'VIEWER', password: PASSWORD },
    });
    return { headers: bearer(await signIn(api, email)) };
  }
  const scopes = audience === 'partner' ? ['telemetry:write', 'product:traccar'] : ['fleets:read'];
  const body = { name: `Rotated ${sample.marker}`, partnerId: 'rotated', scopes };
  const { key } = await api.call('POST', `/organizations/${sample.id}/api-keys`, { token: root, body });
  const { accessToken } = await api.call('POST', `/${audience}s/authenticate`, { headers: { 'x-api-key': key } });
  return { headers: bearer(accessToken) };
}

async function draftFor(parts: ReachParts, operation: Operation, sample: SampleOrganization): Promise<Draft> {
  const draft = ownRequest(operation, sample);
  if (operation.path.endsWith('/sign-in'))
    return { ...draft, body: { email: sample.values.email[0], password: PASSWORD } };
  if (operation.path.endsWith('/auth/password'))
    return { ...draft, body: { currentPassword: PASSWORD, newPassword: freshWord().padEnd(20, 'x') } };
  // Every organization on a plan sees its name. A name with a marker would look like a leak.
  if (operation.id === 'patch /api/v1/plans/{plan}') return { ...draft, body: { streamsMax: 1_000 } };
  if (operation.method !== 'DELETE') return draft;
  // Creates something in order to delete it.
  const [, collection, name] = /^(.*)\/\{([^}]+)\}$/.exec(operation.path) ?? [];
  const making = parts.operations.find(({ id }) => id === `post ${collection}`);
  if (making === undefined || name === undefined) return draft;
  const callers = [...sample.callers, ...sessionCallers('ADMIN', parts.root)].filter((one) => isAdmitted(making, one));
  for (const caller of callers) {
    const { status, body } = await parts.http.send(toRequest(making, ownRequest(making, sample), caller));
    if (status >= 300) continue;
    const made = JSON.parse(body);
    return { ...draft, path: { ...draft.path, [name]: made.id ?? made.apiKey?.id } };
  }
  return draft;
}

/** Sends values of the other organization in properties that no schema has. The answer must not depend on them. */
async function probeSelfEnding(
  { http, findings }: ReachParts,
  operation: Operation,
  credential: Pick<Caller, 'headers'>,
  draft: Draft,
  sample: SampleOrganization,
  other: SampleOrganization,
): Promise<void> {
  if (operation.body === null) return;
  for (const [name, value] of Object.entries({
    organizationId: other.id,
    keyId: other.own.key,
    userId: other.own.user,
  })) {
    const ask = async (sent: string) => {
      const asked = { ...draft, body: { ...(draft.body as object), [name]: sent } };
      return { answer: await http.send(toRequest(operation, asked, credential)), sent: [sent] };
    };
    findings.probes += 1;
    const difference = findDifference(await ask(value), await ask(nonexistentLike(value)));
    if (difference !== undefined)
      noteLeak(findings, 'different', `${operation.id}: ${name} of ${other.slug} by ${sample.slug}: ${difference}`);
  }
}

/** Returns the callers whose credential was ended by a probe. */
export async function findLost(
  { http, operations }: Pick<ReachParts, 'http' | 'operations'>,
  sample: SampleOrganization,
): Promise<string[]> {
  const lost: string[] = [];
  for (const caller of sample.callers.filter(({ scheme }) => scheme !== null)) {
    const operation = operations.find((one) => one.method === 'GET' && !one.isPublic && isAdmitted(one, caller));
    if (operation === undefined) continue;
    const { status } = await http.send(toRequest(operation, ownRequest(operation, sample), caller));
    if (status === 401) lost.push(`${caller.name} of ${sample.slug}`);
  }
  return lost;
}
