import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  SubscribeRequestSchema,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import { type ClientReadableStream, credentials, Metadata, makeGenericClientConstructor } from '@grpc/grpc-js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { CUSTOMER_SCOPES, openTestApp, type TestApp } from '../app.ts';

/** The main job over the wire: a partner's own JSON in, a receipt, the customer's pages and the live stream out. */
const VIN = '1UYVS2533P7204518';

function traccar(change: { fixTime: string; latitude?: number; attributes?: Record<string, unknown> }) {
  const { fixTime, latitude = 39.768403, attributes = {} } = change;
  return JSON.stringify({
    position: {
      id: 1,
      deviceId: 412,
      protocol: 'teltonika',
      serverTime: fixTime,
      deviceTime: fixTime,
      fixTime,
      valid: true,
      latitude,
      longitude: -86.158068,
      altitude: 218,
      speed: 50.2,
      course: 271,
      accuracy: 0,
      attributes,
    },
    device: { id: 412, uniqueId: '352093081234567', name: 'UT-204518' },
  });
}

const minutesAgo = (minutes: number) => new Date(Math.floor(Date.now() / 1000) * 1000 - minutes * 60_000).toISOString();

async function openWorld() {
  const world = await openTestApp();
  const partner = await world.token(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']);
  const customer = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
  const send = async (body: string, vin = VIN) => {
    const answer = await world.call('POST', `/api/v1/telemetry/intake/${vin}`, {
      token: partner,
      body,
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(202);
    expect(answer.headers.get('location')).toBe(`/api/v1/telemetry/receipts/${answer.json.receiptId}`);
    return world.settled(partner, answer.json.receiptId);
  };
  const read = async (path: string, token = customer) => (await world.call('GET', `/api/v1${path}`, { token })).json;
  return { world, partner, customer, send, read };
}

test('a payload becomes a canonical record with four clocks and its provenance', async () => {
  const { world, send, read } = await openWorld();
  const fleet = await world.registry.createFleet(world.customerId, { name: 'F' });
  const trailer = await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T', fleetId: fleet.id });
  const fixTime = minutesAgo(3);
  const receipt = await send(traccar({ fixTime, attributes: { batteryLevel: 97 } }));
  expect(receipt).toMatchObject({
    status: 'processed',
    vin: VIN,
    product: 'traccar',
    mappingVersion: 1,
    rejects: [],
    unclaimed: [],
  });
  const page = await read(`/trailers/telemetry/gps/${trailer.id}`);
  expect(page.next).toBeNull();
  const [record] = page.data;
  expect(record).toMatchObject({
    id: receipt.recordIds[0],
    assetId: trailer.id,
    assetKind: 'trailer',
    product: 'traccar',
    receiptId: receipt.receiptId,
    observedAt: fixTime,
  });
  expect(record.signals.gps.speedKph).toBeCloseTo(50.2 * 1.852, 6);
  expect(Date.parse(record.receivedAt)).toBeLessThanOrEqual(Date.parse(record.processedAt));
  const latest = await read(`/telemetry/latest?trailer=${VIN}`);
  expect(latest.data[0].metrics['power.batterySocPct'].value).toBe(97);
  const devices = await read(`/devices/${trailer.id}`);
  expect(devices.data).toHaveLength(1);
  expect((await read(`/devices/telemetry/${devices.data[0].id}`)).data[0].id).toBe(record.id);
});

test('a repeated payload collapses, and two different records of one instant both stay', async () => {
  const { world, send, read } = await openWorld();
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T' });
  const fixTime = minutesAgo(5);
  const first = await send(traccar({ fixTime }));
  const repeated = await send(traccar({ fixTime }));
  const different = await send(traccar({ fixTime, latitude: 39.9 }));
  expect(repeated.recordIds).toEqual(first.recordIds);
  expect(different.recordIds).not.toEqual(first.recordIds);
  const page = await read(`/trailers/telemetry/gps/${VIN}`);
  expect(page.data.map((record: { id: string }) => record.id).sort()).toEqual(
    [...first.recordIds, ...different.recordIds].sort(),
  );
});

test('a late record is stored, is last in the feed, and never moves the latest values back', async () => {
  const { world, send, read } = await openWorld();
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T' });
  await send(traccar({ fixTime: minutesAgo(1), latitude: 41 }));
  const before = await read('/telemetry/feed');
  const late = await send(traccar({ fixTime: minutesAgo(60 * 24 * 10), latitude: 40 }));
  const latest = await read(`/telemetry/latest?trailer=${VIN}`);
  expect(latest.data[0].metrics['gps.latitude'].value).toBe(41);
  const feed = await read(`/telemetry/feed?next=${before.next}`);
  expect(feed.data.map((record: { id: string }) => record.id)).toEqual(late.recordIds);
  const pages = await read(`/trailers/telemetry/gps/${VIN}`);
  expect(pages.data.map((record: any) => record.signals.gps.latitude)).toEqual([40, 41]);
});

test('a payload for a VIN nobody has registered is kept as unclaimed and mapped the moment it is registered', async () => {
  const { world, partner, send, read } = await openWorld();
  const receipt = await send(traccar({ fixTime: minutesAgo(2) }));
  expect(receipt).toMatchObject({ status: 'unclaimed', unclaimed: [VIN], recordIds: [] });
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T' });
  await expect
    .poll(() => world.settled(partner, receipt.receiptId).then((settled) => settled.status), { timeout: 10_000 })
    .toBe('processed');
  expect((await read(`/trailers/telemetry/gps/${VIN}`)).data).toHaveLength(1);
});

test('a customer’s own partner key cannot reach another organization’s trailer: it is as if nobody had registered it', async () => {
  const { world, read } = await openWorld();
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T' });
  const rival = await world.token(world.rivalId, 'partner', ['telemetry:write', 'product:traccar']);
  const answer = await world.call('POST', `/api/v1/telemetry/intake/${VIN}`, {
    token: rival,
    body: traccar({ fixTime: minutesAgo(2) }),
    headers: { 'content-type': 'application/json' },
  });
  expect(answer.status).toBe(202);
  expect((await world.settled(rival, answer.json.receiptId)).status).toBe('unclaimed');
  expect((await read(`/trailers/telemetry/gps/${VIN}`)).data).toEqual([]);
});

test('what a mapping refuses is kept with pointer and reason, and the rest of the payload goes on', async () => {
  const { world, read } = await openWorld();
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T' });
  const token = await world.token(world.operatorId, 'partner', ['telemetry:write', 'product:flespi']);
  const message = (timestamp: number, latitude: number) => ({
    ident: '352093081234567',
    timestamp,
    'position.latitude': latitude,
    'position.longitude': -86.1,
    'position.valid': true,
  });
  const seconds = Math.floor(Date.now() / 1000);
  const body = JSON.stringify([message(seconds - 10, 39.7), message(seconds - 5, 139.7)]);
  const answer = await world.call('POST', `/api/v1/telemetry/intake/${VIN}`, {
    token,
    body,
    headers: { 'content-type': 'application/json' },
  });
  expect(answer.status).toBe(202);
  const receipt = await world.settled(token, answer.json.receiptId);
  expect(receipt.status).toBe('partly-rejected');
  expect(receipt.recordIds).toHaveLength(1);
  expect(receipt.rejects).toMatchObject([{ record: 1, code: 'out-of-bounds', element: '/1' }]);
  expect(receipt.rejects[0].pointer).toMatch(/^\/records\/0\//);
  expect((await read(`/trailers/telemetry/gps/${VIN}`)).data).toHaveLength(1);
});

test('LiveFeed delivers a record as it becomes readable, and its cursor continues the REST feed', async () => {
  const { world, customer, send, read } = await openWorld();
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T' });
  const stream = subscribe(world, customer);
  const first = await stream.next();
  expect(first.event.case).toBe('heartbeat');
  const receipt = await send(traccar({ fixTime: minutesAgo(1) }));
  const message = await stream.next();
  if (message.event.case !== 'records') throw new Error(`a ${message.event.case} came`);
  expect(message.event.value.records.map((record) => record.id)).toEqual(receipt.recordIds);
  const second = await send(traccar({ fixTime: minutesAgo(0), latitude: 38 }));
  const feed = await read(`/telemetry/feed?next=${encodeURIComponent(message.cursor)}`);
  expect(feed.data.map((record: { id: string }) => record.id)).toEqual(second.recordIds);
});

test('metrics tell how many follow LiveFeed, of how many organizations, and what they were sent', async () => {
  const { world, customer, send } = await openWorld();
  await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T' });
  const liveFeed = async () => {
    const { text } = await world.call('GET', '/metrics');
    const value = (name: string) => Number(new RegExp(`^gladhand_livefeed_${name} (\\d+)$`, 'm').exec(text)?.[1]);
    return {
      subscribers: value('subscribers'),
      organizations: value('organizations'),
      sent: value('records_sent_total'),
    };
  };
  expect(await liveFeed()).toEqual({ subscribers: 0, organizations: 0, sent: 0 });
  const streams = [subscribe(world, customer), subscribe(world, customer)];
  for (const stream of streams) await stream.next();
  expect(await liveFeed()).toEqual({ subscribers: 2, organizations: 1, sent: 0 });
  await send(traccar({ fixTime: minutesAgo(1) }));
  for (const stream of streams) await stream.next();
  expect(await liveFeed()).toEqual({ subscribers: 2, organizations: 1, sent: 2 });
  for (const stream of streams) stream.end();
  await vi.waitFor(async () => expect((await liveFeed()).subscribers).toBe(0));
});

test('another organization sees nothing of it: the same 404 as for what does not exist', async () => {
  const { world, send } = await openWorld();
  const trailer = await world.registry.createTrailer(world.customerId, { vin: VIN, name: 'T' });
  await send(traccar({ fixTime: minutesAgo(1) }));
  const rival = await world.token(world.rivalId, 'customer', CUSTOMER_SCOPES);
  const bodyOf = async (path: string) => {
    const { status, json } = await world.call('GET', `/api/v1${path}`, { token: rival });
    return JSON.stringify({ status, ...json, requestId: '', instance: '' });
  };
  const unknown = '01890000-0000-7000-8000-000000000000';
  for (const path of ['/trailers/', '/trailers/telemetry/gps/', '/devices/']) {
    expect(await bodyOf(path + trailer.id)).toBe(await bodyOf(path + unknown));
    expect(await bodyOf(path + VIN)).toBe(await bodyOf(path + unknown));
  }
  expect((await world.call('GET', '/api/v1/telemetry/feed', { token: rival })).json.data).toEqual([]);
});

function subscribe(world: TestApp, token: string) {
  const Client = makeGenericClientConstructor(
    {
      subscribe: {
        path: '/gladhand.livefeed.v1.LiveFeed/Subscribe',
        requestStream: false,
        responseStream: true,
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    'LiveFeed',
  );
  const client = new Client(`127.0.0.1:${world.app.grpcPort}`, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const request = Buffer.from(toBinary(SubscribeRequestSchema, create(SubscribeRequestSchema, {})));
  const call = client.subscribe!(request, metadata) as unknown as ClientReadableStream<Buffer>;
  call.on('error', () => {});
  onTestFinished(() => {
    call.cancel();
    client.close();
  });
  const messages = call[Symbol.asyncIterator]();
  return {
    end: () => call.cancel(),
    async next(): Promise<SubscribeResponse> {
      const { value } = (await messages.next()) as { value: Buffer };
      return fromBinary(SubscribeResponseSchema, value);
    },
  };
}
