import { expect, test } from 'vitest';
import { openTestApp } from '../app.ts';
import { personToken, send } from '../people.ts';
import { startServer } from '../server-process.ts';

/** Two servers, in processes of their own, on one database: what one revokes, the other refuses. */
const READING = { name: 'Reader', partnerId: 'acme', scopes: ['fleets:read'] };
const SECRET = 'ab'.repeat(32);
/** Requests that ask the other node at any time. More would measure how long both processes wait for a processor. */
const PROBES = 1;

async function openNodes() {
  const one = await openTestApp({ flags: { 'access.secret': SECRET, 'limits.mode': 'report' } });
  const { host, port, user, password, database } = one.app.backends.database.host.connection;
  const url = `postgres://${user}:${encodeURIComponent(String(password))}@/${database}?host=${encodeURIComponent(String(host))}&port=${port}`;
  const process = startServer(
    ['serve', '--no-demo', '--http-port', '0', '--grpc-port', '0', '--data-directory', 'data'],
    {
      env: {
        GLADHAND_DATABASE_URL: url,
        GLADHAND_ACCESS_SECRET: SECRET,
        GLADHAND_LIMITS_PER_NODE: 'true',
        GLADHAND_LIMITS_MODE: 'report',
      },
    },
  );
  const otherPort = () => /"http":(\d+)/.exec(process.logged())?.[1];
  await expect.poll(otherPort, { timeout: 30_000 }).toBeDefined();
  expect(process.child.pid).not.toBe(globalThis.process.pid);
  const other = `http://127.0.0.1:${otherPort()}`;
  const admin = await personToken(one, one.customerId, 'ADMIN');
  return {
    one,
    admin,
    async make() {
      const { apiKey, key } = (await send(one, 'POST', '/partner/api-keys', READING, admin)).json;
      const { accessToken } = (
        await one.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': key } })
      ).json;
      return { id: apiKey.id as string, key: key as string, token: accessToken as string };
    },
    async exchangeOnOther(key: string) {
      const answer = await fetch(`${other}/api/v1/customers/authenticate`, {
        method: 'POST',
        headers: { 'x-api-key': key },
      });
      await answer.arrayBuffer();
      return answer.status;
    },
    async fleetsOnOther(token: string) {
      const answer = await fetch(`${other}/api/v1/fleets`, { headers: { authorization: `Bearer ${token}` } });
      await answer.arrayBuffer();
      return answer.status;
    },
  };
}
type Nodes = Awaited<ReturnType<typeof openNodes>>;

interface Measured {
  /** From sending the act to sending the last request that the other node still admitted: the commit lies in between. */
  readonly admittedMs: number;
  /** From sending the act to its answer. */
  readonly answeredMs: number;
  readonly probes: number;
}

async function measure(nodes: Nodes, token: string, act: () => Promise<unknown>): Promise<Measured> {
  expect(await nodes.fleetsOnOther(token)).toBe(200);
  let admittedAt = Number.NEGATIVE_INFINITY;
  let probes = 0;
  let isRefused = false;
  const probe = async () => {
    while (!isRefused) {
      const sentAt = performance.now();
      const status = await nodes.fleetsOnOther(token);
      probes += 1;
      if (status === 200) admittedAt = Math.max(admittedAt, sentAt);
      else isRefused = true;
      expect([200, 401]).toContain(status);
      expect(sentAt - askedAt).toBeLessThan(20_000);
    }
  };
  let askedAt = performance.now();
  const probing = Array.from({ length: PROBES }, probe);
  // Not before the probes run: what they find is about the act.
  await expect.poll(() => probes).toBeGreaterThan(PROBES);
  askedAt = performance.now();
  await act();
  const answeredAt = performance.now();
  await Promise.all(probing);
  return { admittedMs: admittedAt - askedAt, answeredMs: answeredAt - askedAt, probes };
}

function describeAll(what: string, all: readonly Measured[]): void {
  const sorted = all.map(({ admittedMs }) => admittedMs).sort((a, b) => a - b);
  const list = (numbers: readonly number[]) => numbers.map((ms) => ms.toFixed(1)).join(' ');
  console.log(
    [
      `${what}: last admitted on the other process, ms after it was asked for: ${list(sorted)} (median ${sorted[sorted.length >> 1]!.toFixed(1)})`,
      `  answered on the first one after: ${list(all.map(({ answeredMs }) => answeredMs))}; probes: ${all.map(({ probes }) => probes).join(' ')}`,
    ].join('\n'),
  );
}

test('a key that is revoked on one node is refused by another process, rung or, when the ring is lost, by its poll', async () => {
  const nodes = await openNodes();
  const { one, admin, make } = nodes;
  const doorbell = one.app.backends.doorbell as { ring: (topic: 'keys') => void };
  const { ring } = doorbell;
  const rung: Measured[] = [];
  const lost: Measured[] = [];
  // The same act, turn and turn about, so that whatever else the machine does falls on both.
  for (let round = 0; round < 40; round += 1) {
    const { id, key, token } = await make();
    doorbell.ring = round % 2 === 0 ? ring : () => {};
    const measured = await measure(nodes, token, () =>
      send(one, 'DELETE', `/partner/api-keys/${id}`, undefined, admin),
    );
    (round % 2 === 0 ? rung : lost).push(measured);
    expect(await nodes.exchangeOnOther(key)).toBe(401);
  }
  describeAll('revoked, rung', rung);
  describeAll('revoked, ring lost', lost);
  // The lease, which is the promise; how much faster it is stands in the lines above.
  for (const { admittedMs } of [...rung, ...lost]) expect(admittedMs).toBeLessThan(2_000);
});

test('a key that is rotated on one node is refused by another process', async () => {
  const nodes = await openNodes();
  const rotated: Measured[] = [];
  for (let round = 0; round < 20; round += 1) {
    const { token } = await nodes.make();
    rotated.push(await measure(nodes, token, () => send(nodes.one, 'PUT', '/customers/rotate', {}, token)));
  }
  describeAll('rotated, rung', rotated);
  for (const { admittedMs } of rotated) expect(admittedMs).toBeLessThan(2_000);
});

test('a key whose addresses change on one node is judged anew by the other', async () => {
  const { one, admin, make, fleetsOnOther } = await openNodes();
  const { id, token } = await make();
  expect(await fleetsOnOther(token)).toBe(200);
  await send(one, 'PATCH', `/partner/api-keys/${id}`, { allowedIps: ['203.0.113.0/24'] }, admin);
  await expect.poll(() => fleetsOnOther(token), { timeout: 5_000 }).toBe(403);
  await send(one, 'PATCH', `/partner/api-keys/${id}`, { allowedIps: [] }, admin);
  await expect.poll(() => fleetsOnOther(token), { timeout: 5_000 }).toBe(200);
});
