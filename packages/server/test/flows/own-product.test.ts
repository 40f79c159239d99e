import { expect, test } from 'vitest';
import { PRODUCTS_DIRECTORY } from '../../src/app/products-directory.ts';
import { loadProducts } from '../../src/products/products.ts';
import { openTestApp } from '../app.ts';
import { personToken } from '../people.ts';

/** What a partner reads of its product, and what becomes of the example it finds there. */
const NAMES = loadProducts(PRODUCTS_DIRECTORY).all.map(({ name }) => name);
const VIN = '1GHD0000000000017';

test('the example a partner reads is processed as it is, for its own registered VIN', async () => {
  const { token, call, settled, registry, operatorId, customerId } = await openTestApp();
  await registry.createTrailer(customerId, { vin: VIN, name: 'Trailer' });
  for (const name of NAMES) {
    const partner = await token(operatorId, 'partner', ['telemetry:write', `product:${name}`]);
    expect((await call('GET', '/api/v1/products', { token: partner })).json.data).toEqual([
      { name, title: expect.any(String) },
    ]);
    const { status, json: product } = await call('GET', `/api/v1/products/${name}`, { token: partner });
    expect([status, product.name]).toEqual([200, name]);
    expect(product.intakeLimit).toMatchObject({ product: name, setBy: 'product' });
    const body = JSON.stringify(product.example.payload).replaceAll(product.example.vin, VIN);
    for (const type of product.contentTypes) {
      const headers = { 'content-type': type };
      const sent = await call('POST', `/api/v1/telemetry/intake/${VIN}`, { token: partner, headers, body });
      expect(sent.status, `${name}: ${sent.text}`).toBe(202);
      const receipt = await settled(partner, sent.json.receiptId);
      expect(receipt, name).toMatchObject({ status: 'processed', mappingVersion: product.mappingVersion });
      expect(receipt.recordIds.length, name).toBeGreaterThan(0);
    }
  }
});

test('what the schema asks for is what intake asks for', async () => {
  const { token, call, operatorId } = await openTestApp();
  const partner = await token(operatorId, 'partner', ['telemetry:write', 'product:deliversafe']);
  const { inputSchema, bodyBytesMax } = (await call('GET', '/api/v1/products/deliversafe', { token: partner })).json;
  expect(inputSchema.required).toEqual(['unit', 'reports']);
  const headers = { 'content-type': 'application/json' };
  const send = (body: string) => call('POST', `/api/v1/telemetry/intake/${VIN}`, { token: partner, headers, body });
  expect((await send('{}')).json.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
    '/unit',
    '/reports',
  ]);
  expect((await send(`"${'x'.repeat(bodyBytesMax)}"`)).status).toBe(413);
});

test('a partner sees its own product and no other; admins see all, other people and customers none', async () => {
  const world = await openTestApp();
  const { token, call, operatorId, customerId } = world;
  const partner = await token(operatorId, 'partner', ['telemetry:write', 'product:traccar']);
  const foreign = await call('GET', '/api/v1/products/samsara', { token: partner });
  const absent = await call('GET', '/api/v1/products/nobodys', { token: partner });
  for (const answer of [foreign, absent]) expect([answer.status, answer.json.code]).toEqual([404, 'not-found']);
  expect(foreign.json.detail).toBe(absent.json.detail);

  for (const organizationId of [operatorId, customerId]) {
    const admin = await personToken(world, organizationId, 'ADMIN');
    const { data } = (await call('GET', '/api/v1/products', { token: admin })).json;
    expect(data.map(({ name }: { name: string }) => name)).toEqual(NAMES);
    expect((await call('GET', '/api/v1/products/samsara', { token: admin })).status).toBe(200);
    const viewer = await personToken(world, organizationId, 'VIEWER');
    expect((await call('GET', '/api/v1/products', { token: viewer })).status).toBe(403);
  }
  const customer = await token(customerId, 'customer', ['fleets:read']);
  expect((await call('GET', '/api/v1/products', { token: customer })).status).toBeGreaterThanOrEqual(401);
  expect((await call('GET', '/api/v1/products')).status).toBe(401);
});
