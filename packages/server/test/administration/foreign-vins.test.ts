import { systemIds } from '@gladhand/base/ids.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SYSTEM_ORIGIN } from '../../src/access/principal.ts';
import { createAdministration } from '../../src/registry/administer.ts';
import { resolveAssets } from '../../src/registry/resolve.ts';
import { type Answer, CUSTOMER_SCOPES, openTestApp, type TestApp } from '../app.ts';
import { insertOrganization, vinOf } from '../customer-api.ts';
import { openTestDatabase } from '../database.ts';
import { TRACCAR } from '../limits/limited-world.ts';
import { createManualClock } from '../manual-clock.ts';
import { personToken, send } from '../people.ts';

/** What one organization has registered tells another one nothing, and a VIN's telemetry has one owner (decision 0011). */
const TAKEN = '1UYVS2533P7204518';
const FREE = '1UYVS2535R3118640';

/** Without what differs from request to request by design. */
function shape({ status, text, headers }: Answer, vin: string): string {
  const ids = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;
  const told = `${status} ${headers.get('content-type')} ${headers.get('location')} ${text}`;
  return told
    .replaceAll(vin, 'VIN')
    .replace(ids, 'ID')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'INSTANT');
}

async function post(world: TestApp, token: string, vin: string): Promise<any> {
  const headers = { 'content-type': 'application/json' };
  const body = TRACCAR.replace('2026-11-20T08:00:00Z', new Date(Date.now() - 60_000).toISOString());
  const sent = await world.call('POST', `/api/v1/telemetry/intake/${vin}`, { token, headers, body });
  return world.settled(token, sent.json.receiptId);
}

test('registering, reading, changing and retiring a VIN are answered alike whether another organization has it or nobody', async () => {
  const world = await openTestApp();
  const rival = await personToken(world, world.rivalId, 'OPERATOR');
  const own = await personToken(world, world.customerId, 'OPERATOR');
  await send(world, 'POST', '/organizations/rival/trailers', { vin: TAKEN, name: 'R' }, rival);
  for (const [kind, more] of [
    ['trailers', {}],
    ['deliversafe', { serialNumber: 'S' }],
  ] as const) {
    const all = `/organizations/customer/${kind}`;
    const walk = async (vin: string) => {
      const made = await send(world, 'POST', all, { vin, name: 'T', ...more }, own);
      expect(made.status).toBe(201);
      const one = `${all}/${made.json.id}`;
      const answers = [
        made,
        await send(world, 'POST', all, { vin, name: 'Again', ...more }, own),
        await send(world, 'GET', one, undefined, own),
        await send(world, 'PATCH', one, { unitNumber: '7' }, own),
        await send(world, 'DELETE', one, undefined, own),
      ];
      await world.app.backends.database.owner.deleteFrom('asset').where('id', '=', made.json.id).execute();
      return answers.map((answer) => shape(answer, vin));
    };
    expect(await walk(TAKEN)).toEqual(await walk(FREE));
  }
});

test('telemetry goes to who registered the VIN first, and to the next in line once it is taken out of service', async () => {
  const world = await openTestApp();
  const [rival, own] = [
    await personToken(world, world.rivalId, 'OPERATOR'),
    await personToken(world, world.customerId, 'OPERATOR'),
  ];
  const partner = await world.token(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']);
  const readers = {
    rival: await world.token(world.rivalId, 'customer', CUSTOMER_SCOPES),
    customer: await world.token(world.customerId, 'customer', CUSTOMER_SCOPES),
  };
  const count = async (who: keyof typeof readers) =>
    (await world.call('GET', '/api/v1/telemetry/feed', { token: readers[who] })).json.data.length as number;
  const register = (organization: string, token: string) =>
    send(world, 'POST', `/organizations/${organization}/trailers`, { vin: TAKEN, name: 'T' }, token);
  const first = (await register('rival', rival)).json.id as string;
  await register('customer', own);
  expect((await post(world, partner, TAKEN)).status).toBe('processed');
  expect([await count('rival'), await count('customer')]).toEqual([1, 0]);
  await send(world, 'DELETE', `/organizations/rival/trailers/${first}`, undefined, rival);
  await post(world, partner, TAKEN);
  expect([await count('rival'), await count('customer')]).toEqual([1, 1]);
  await send(world, 'PATCH', `/organizations/rival/trailers/${first}`, { isActive: true }, rival);
  await post(world, partner, TAKEN);
  expect([await count('rival'), await count('customer')]).toEqual([1, 2]);
});

test("what a customer's own partner key sends is its own, whoever else has registered the VIN, and says nothing of it", async () => {
  const world = await openTestApp();
  const rival = await personToken(world, world.rivalId, 'OPERATOR');
  const own = await personToken(world, world.customerId, 'OPERATOR');
  await send(world, 'POST', '/organizations/rival/trailers', { vin: TAKEN, name: 'R' }, rival);
  for (const vin of [TAKEN, FREE])
    await send(world, 'POST', '/organizations/customer/trailers', { vin, name: 'T' }, own);
  const token = await world.token(world.customerId, 'partner', ['telemetry:write', 'product:traccar']);
  for (const vin of [TAKEN, FREE])
    expect(await post(world, token, vin)).toMatchObject({ status: 'processed', unclaimed: [] });
});

test('platform operators see which VINs several organizations have in service, in line; nobody else may ask', async () => {
  const world = await openTestApp();
  const platform = await personToken(world, world.operatorId, 'ADMIN');
  const see = async (query = '') => (await send(world, 'GET', `/contested-vins${query}`, undefined, platform)).json;
  for (const organization of ['rival', 'customer'])
    for (const vin of [FREE, TAKEN])
      await send(world, 'POST', `/organizations/${organization}/trailers`, { vin, name: 'T' }, platform);
  await send(world, 'POST', '/organizations/customer/trailers', { vin: vinOf(1), name: 'T' }, platform);
  const owners = ({ vin, claims }: any) => [vin, claims.map((claim: any) => claim.organizationId)];
  const both = [world.rivalId, world.customerId];
  expect((await see()).data.map(owners)).toEqual([
    [TAKEN, both],
    [FREE, both],
  ]);
  const page = await see('?take=1');
  expect((await see(`?take=1&next=${page.next}`)).data.map(owners)).toEqual([[FREE, both]]);
  const { assetId } = page.data[0].claims[0];
  await send(world, 'DELETE', `/organizations/rival/trailers/${assetId}`, undefined, platform);
  expect((await see()).data.map(owners)).toEqual([[FREE, both]]);
  for (const token of [
    await personToken(world, world.customerId, 'ADMIN'),
    await personToken(world, world.operatorId, 'OPERATOR'),
  ])
    expect((await send(world, 'GET', '/contested-vins', undefined, token)).json).toMatchObject({ code: 'forbidden' });
});

test('however organizations register, retire and put back a VIN, it is of the one longest in service, or of the last', async () => {
  const database = await openTestDatabase();
  const clock = createManualClock();
  const parts = { database, clock, ids: systemIds, onRegistered: () => {} };
  const { trailers } = createAdministration(parts);
  const organizations: string[] = [];
  for (const slug of ['one', 'two', 'three']) organizations.push(await insertOrganization(database, slug));
  let made = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ who: fc.nat(2), isActive: fc.boolean() }), { maxLength: 12 }),
      async (acts) => {
        const vin = vinOf((made += 1));
        const assets = new Map<string, string>();
        const line: string[] = [];
        let last: string | undefined;
        for (const { who, isActive } of acts) {
          clock.advance(1_000);
          const organization = organizations[who]!;
          const id = assets.get(organization);
          if (id === undefined) {
            assets.set(organization, (await trailers.create(organization, { vin, name: 'T' }, SYSTEM_ORIGIN)).id);
            line.push(organization);
          } else {
            await trailers.change(organization, id, { isActive }, SYSTEM_ORIGIN);
            if (isActive && !line.includes(organization)) line.push(organization);
            if (!isActive && line.includes(organization)) {
              line.splice(line.indexOf(organization), 1);
              if (line.length === 0) last = organization;
            }
          }
        }
        const resolved = (await resolveAssets(database.system, [vin])).get(vin);
        expect(resolved?.[0]?.organizationId).toBe(line[0] ?? last);
        expect(resolved?.length ?? 0).toBe(assets.size);
      },
    ),
    { numRuns: 40 },
  );
});
