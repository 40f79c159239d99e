import { expect, test } from 'vitest';
import { openTestApp, type TestApp } from '../app.ts';
import { personToken, send } from '../people.ts';

/** Two servers on one database: what one revokes, the other refuses. */
const READING = { name: 'Reader', partnerId: 'acme', scopes: ['fleets:read'] };
const SECRET = 'ab'.repeat(32);

async function openNodes() {
  const one = await openTestApp({ flags: { 'access.secret': SECRET } });
  const { host, port, user, password, database } = one.app.backends.database.host.connection;
  const url = `postgres://${user}:${encodeURIComponent(String(password))}@/${database}?host=${encodeURIComponent(String(host))}&port=${port}`;
  const other = await openTestApp({ flags: { 'access.secret': SECRET, 'database.url': url } });
  const admin = await personToken(one, one.customerId, 'ADMIN');
  const make = async () => {
    const { apiKey, key } = (await send(one, 'POST', '/partner/api-keys', READING, admin)).json;
    const { accessToken } = (await one.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': key } })).json;
    return { id: apiKey.id as string, key: key as string, token: accessToken as string };
  };
  return { one, other, admin, make };
}

const fleets = (node: TestApp, token: string) => node.call('GET', '/api/v1/fleets', { token });

/** How long after `act` was answered the other node still admitted the token, in milliseconds; 0: not at all. */
async function admittedFor(node: TestApp, token: string, act: () => Promise<unknown>): Promise<number> {
  expect((await fleets(node, token)).status).toBe(200);
  let answeredAt = Number.POSITIVE_INFINITY;
  let lastAdmittedAt = 0;
  const acting = act().then(() => {
    answeredAt = performance.now();
  });
  for (;;) {
    const startedAt = performance.now();
    const { status } = await fleets(node, token);
    if (status === 401) break;
    lastAdmittedAt = startedAt;
    expect(status).toBe(200);
    expect(startedAt - answeredAt).toBeLessThan(10_000);
  }
  await acting;
  return Math.max(0, lastAdmittedAt - answeredAt);
}

test('a key that is revoked or rotated on one node is refused on the other', async () => {
  const { one, other, admin, make } = await openNodes();
  const delays: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    const { id, key, token } = await make();
    delays.push(await admittedFor(other, token, () => send(one, 'DELETE', `/partner/api-keys/${id}`, undefined, admin)));
    expect((await other.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': key } })).status).toBe(401);
  }
  for (let round = 0; round < 5; round += 1) {
    const { token } = await make();
    delays.push(await admittedFor(other, token, () => send(one, 'PUT', '/customers/rotate', {}, token)));
  }
  delays.sort((a, b) => a - b);
  console.log(`a revocation was known on the other node after ${delays.map((ms) => ms.toFixed(1)).join(', ')} ms`);
  expect(delays.at(-1)).toBeLessThan(2_000);
});

test('when the ring is lost, the poll finds the change', async () => {
  const { one, other, make } = await openNodes();
  const delays: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const { id, token } = await make();
    // Nobody rings: the change is made by hand, as if the node that made it died before it could tell.
    const byHand = () => one.app.backends.database.owner.updateTable('api_key').set({ revoked_at: new Date() }).where('id', '=', id).execute();
    delays.push(await admittedFor(other, token, byHand));
  }
  console.log(`a revocation without a ring was known after ${delays.map((ms) => ms.toFixed(0)).join(', ')} ms`);
  expect(Math.max(...delays)).toBeLessThan(2_000);
});

test('a key that is changed on one node is judged anew on the other, also where it is used without a token', async () => {
  const { one, other, admin, make } = await openNodes();
  const { id, token } = await make();
  expect((await fleets(other, token)).status).toBe(200);
  await send(one, 'PATCH', `/partner/api-keys/${id}`, { allowedIps: ['203.0.113.0/24'] }, admin);
  await expect.poll(async () => (await fleets(other, token)).status, { timeout: 5_000 }).toBe(403);
  await send(one, 'PATCH', `/partner/api-keys/${id}`, { allowedIps: [] }, admin);
  await expect.poll(async () => (await fleets(other, token)).status, { timeout: 5_000 }).toBe(200);
});
