import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { expect, test } from 'vitest';
import { issueKey } from '../../src/access/issue-key.ts';
import { openTestApp } from '../app.ts';

/** Plants as keys see them: whole, or through a restriction that makes the others not exist. */
async function openWorld() {
  const world = await openTestApp();
  const { database } = world.app.backends;
  const at = new Date();
  const insert = async (organizationId: string, name: string) => {
    const id = systemIds.uuid();
    const row = { id, organization_id: organizationId, kind: 'plant' as const, name, created_at: at, updated_at: at };
    const blank = { fleet_id: null, vin: null, vin_check: null, unit_number: null, serial_number: null };
    await database.owner
      .insertInto('asset')
      .values({ ...row, ...blank })
      .execute();
    return id;
  };
  const own = [await insert(world.customerId, 'North'), await insert(world.customerId, 'South')];
  const foreign = await insert(world.rivalId, 'Elsewhere');
  const issue = async (allowedPlantIds: string[] | null) => {
    const order = {
      organizationId: world.customerId,
      audience: 'customer' as const,
      partnerId: 'p',
      name: 'plants',
      scopes: ['plants:read'],
      createdBy: null,
      allowedPlantIds,
    };
    const parts = { secrets: world.app.secrets, clock: systemClock, ids: systemIds };
    return (await issueKey(database.system, parts, order)).plaintext;
  };
  const get = (key: string, path: string) => world.call('GET', `/api/v1${path}`, { headers: { 'x-api-key': key } });
  return { world, own, foreign, issue, get };
}

test('a key reads its organization’s plants as it is or as a token, page by page', async () => {
  const { world, own, issue, get } = await openWorld();
  const key = await issue(null);
  const page = await get(key, '/plants?limit=1&page=2');
  expect(page.status).toBe(200);
  expect(page.json).toMatchObject({ data: [{ id: own[1] }], meta: { limit: 1, page: 2, total: 2, totalPages: 2 } });
  const { json } = await world.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': key } });
  const one = await world.call('GET', `/api/v1/plants/${own[0]}`, { token: json.accessToken });
  expect(one.json.name).toBe('North');
});

test('foreign, unknown and malformed plants and those outside a key’s restriction are one and the same 404', async () => {
  const { own, foreign, issue, get } = await openWorld();
  const key = await issue([own[0]!]);
  expect((await get(key, '/plants')).json.data.map((plant: { id: string }) => plant.id)).toEqual([own[0]]);
  const answers = await Promise.all(
    [own[1], foreign, systemIds.uuid(), 'north'].map(async (id) => {
      const { status, json } = await get(key, `/plants/${id}`);
      return JSON.stringify([status, { ...json, details: {} }]);
    }),
  );
  expect(new Set(answers).size).toBe(1);
  expect(answers[0]).toContain('"statusCode":404');
});

test('errors are envelopes with the true status', async () => {
  const { world, issue, get } = await openWorld();
  expect((await get('nonsense', '/plants')).json).toMatchObject({ statusCode: 401, error: 'Unauthorized' });
  expect((await world.call('GET', '/api/v1/plants')).json).toMatchObject({ statusCode: 401, code: 'UNAUTHORIZED' });
  const refused = await get(await issue(null), '/plants?limit=101');
  expect(refused.json).toMatchObject({ statusCode: 400, error: 'Bad Request', code: 'VALIDATION_ERROR' });
  const reader = await world.token(world.customerId, 'customer', ['fleets:read']);
  expect((await world.call('GET', '/api/v1/plants', { token: reader })).json).toMatchObject({
    statusCode: 403,
    code: 'FORBIDDEN',
  });
});
