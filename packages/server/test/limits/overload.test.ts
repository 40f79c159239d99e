import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { CUSTOMER_SCOPES } from '../app.ts';
import { send } from '../people.ts';
import { type LimitedWorld, openLimitedWorld } from './limited-world.ts';

/** When what comes in cannot be stored fast enough, intake says so at once; everything else goes on. */
const VIN = '1UYVS2533P7204518';

async function ownerOf(world: LimitedWorld): Promise<pg.Client> {
  const owner = new pg.Client(world.app.backends.database.host.connection);
  await owner.connect();
  onTestFinished(() => owner.end());
  return owner;
}

test('while the log writes nothing, new intake is refused with 503 before its body is read, and the rest goes on', async () => {
  const world = await openLimitedWorld();
  const token = await world.partnerToken('traccar');
  expect((await world.submit(token, VIN)).status).toBe(202);
  const customer = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
  const owner = await ownerOf(world);
  await owner.query('begin; lock table envelope in exclusive mode');
  const caught = world.submit(token, VIN);
  await expect
    .poll(async () => (await world.submit(token, VIN, { payload: '' })).json.code, { timeout: 30_000 })
    .toBe('overloaded');
  const refused = await world.submit(token, VIN);
  expect([refused.status, refused.json.retryable]).toEqual([503, true]);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  // What was refused is no use of the quota.
  const before = (await world.call('GET', `/api/v1/limits?vin=${VIN}`, { token })).json.limits[0].remaining;
  await world.submit(token, VIN);
  expect((await world.call('GET', `/api/v1/limits?vin=${VIN}`, { token })).json.limits[0].remaining).toBe(before);
  expect((await world.call('GET', '/api/v1/fleets', { token: customer })).status).toBe(200);
  expect((await send(world, 'GET', '/organizations', undefined, world.operator)).status).toBe(200);
  const metrics = await (await fetch(`${world.base}/metrics`)).text();
  expect(metrics).toMatch(/gladhand_intake_overload_refusals_total\{reason="stalled"\} [1-9]/);
  expect(metrics).toContain('gladhand_intake_refusing 1');
  await owner.query('rollback');
  // Stored when the lock was given back in time, else given up as unknown: never lost in silence.
  expect([202, 503]).toContain((await caught).status);
  await expect.poll(async () => (await world.submit(token, VIN)).status, { timeout: 30_000 }).toBe(202);
});

test('a backlog beyond its maximum closes intake until the mapper has caught up', async () => {
  const world = await openLimitedWorld({ 'intake.backlogEnvelopesMax': 5 });
  const token = await world.partnerToken('traccar');
  const owner = await ownerOf(world);
  // The mapper cannot store what it maps.
  await owner.query('begin; lock table receipt in exclusive mode');
  // The wait it names is that of a backlog, longer than that of a moment's stall.
  const refusal = async () => {
    const { json, headers } = await world.submit(token, VIN);
    return json.code === 'overloaded' ? Number(headers.get('retry-after')) : 0;
  };
  await expect.poll(refusal, { timeout: 45_000 }).toBeGreaterThanOrEqual(10);
  await owner.query('rollback');
  await expect.poll(async () => (await world.submit(token, VIN)).status, { timeout: 30_000 }).toBe(202);
});
