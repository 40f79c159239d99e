import { expect, test } from 'vitest';
import { openTestApp } from '../../test/app.ts';
import { listKeysWithoutProduct } from './product-key-store.ts';

test('keys of products that are not installed are found, of every organization, while they are good', async () => {
  const world = await openTestApp();
  const { system, owner } = world.app.backends.database;
  const of = (product: string) => ['telemetry:write', `product:${product}`];
  await world.issueKey(world.operatorId, 'partner', of('gone'), 'a');
  await world.issueKey(world.customerId, 'partner', of('gone'), 'b');
  await world.issueKey(world.customerId, 'partner', of('traccar'), 'c');
  await world.issueKey(world.customerId, 'customer', ['fleets:read'], 'd');
  await world.issueKey(world.rivalId, 'partner', of('gone'), 'e');
  await world.issueKey(world.rivalId, 'partner', of('gone'), 'f');
  const at = new Date('2026-11-23T07:46:00Z');
  const change = (partnerId: string, values: object) =>
    owner.updateTable('api_key').set(values).where('partner_id', '=', partnerId).execute();
  await change('e', { revoked_at: at });
  await change('f', { expires_at: at });
  const find = async (installed: string[], now: Date) =>
    (await listKeysWithoutProduct(system, installed, now)).map(({ organization, product }) => [organization, product]);
  const good = [
    ['customer', 'gone'],
    ['operator', 'gone'],
  ];
  expect(await find(['traccar'], at)).toEqual(good);
  expect(await find(['traccar', 'gone'], at)).toEqual([]);
  expect(await find([], at)).toEqual([...good, ['customer', 'traccar']]);
  // A moment before it ended, the last one was good too.
  expect(await find(['traccar'], new Date(at.getTime() - 1))).toEqual([...good, ['rival', 'gone']]);
});
