import { systemIds } from '@gladhand/base/ids.ts';
import type { Role } from '../src/access/principal.ts';
import { hashPassword } from '../src/people/password.ts';
import { insertPerson } from '../src/people/store.ts';
import type { Answer, TestApp } from './app.ts';

/** People for tests of administration: all with one password, so that hashing it is paid for once. */
export const PASSWORD = 'correct horse battery';
const hash = hashPassword(PASSWORD, (length) => systemIds.randomBytes(length));

export interface TestPerson {
  readonly id: string;
  readonly email: string;
  readonly organizationId: string;
}

export async function addPerson(world: TestApp, organizationId: string, role: Role): Promise<TestPerson> {
  const id = systemIds.uuid();
  const email = `${role.toLowerCase()}-${id.slice(-12)}@example.com`;
  const person = { id, organizationId, email, name: `A ${role}`, role, passwordHash: await hash, at: new Date() };
  await insertPerson(world.app.backends.database.system, person);
  return { id, email, organizationId };
}

/** JSON in and out, as whoever the token is. */
export function send(
  world: TestApp,
  method: string,
  path: string,
  body?: unknown,
  token?: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return world.call(method, `/api/v1${path}`, {
    ...(token !== undefined && { token }),
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

export async function signIn(world: TestApp, person: TestPerson): Promise<string> {
  const answer = await send(world, 'POST', '/auth/sign-in', { email: person.email, password: PASSWORD });
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json.accessToken;
}

/** The session token of a new person with this role. */
export async function personToken(world: TestApp, organizationId: string, role: Role): Promise<string> {
  return signIn(world, await addPerson(world, organizationId, role));
}

/** A problem document without what differs from request to request by design. */
export function comparable(answer: Answer): string {
  return `${answer.status} ${answer.headers.get('content-type')} ${answer.text.replaceAll(String(answer.json?.requestId), '<request>')}`;
}
