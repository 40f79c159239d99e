import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { createCursors } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { ErrorInfoSchema } from '@gladhand/contract/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '@gladhand/contract/gen/google/rpc/status_pb.ts';
import { status } from '@grpc/grpc-js';
import { describe, expect, test, vi } from 'vitest';
import {
  CURSOR_KEY,
  createArrayStore,
  ORGANIZATION,
  OTHER_ORGANIZATION,
  openHarness,
  principal,
  range,
  WAIT,
} from '../../test/live-feed.ts';

const cursors = createCursors(CURSOR_KEY);
const cursorOf = (organizationId: string, position: number, query = 'feed') =>
  cursors.seal({ organizationId, query }, [position]);

describe('the door', () => {
  test('no token, no bearer token and a bad token are refused as UNAUTHENTICATED', async () => {
    const { connect } = await openHarness(createArrayStore().reader);
    expect(await connect({}, null).ended).toMatchObject({ code: status.UNAUTHENTICATED, errorCode: 'unauthorized' });
    expect(await connect({}, 'two words').ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      errorCode: 'unauthorized',
    });
    expect(await connect({}, 'stolen').ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      errorCode: 'invalid-token',
      cursor: undefined,
    });
  });

  test('a key without the scope livefeed:connect is refused as PERMISSION_DENIED', async () => {
    const { connect } = await openHarness(createArrayStore().reader, {
      principals: { reader: principal({ scopes: new Set(['telemetry:read']) }) },
    });
    const ending = await connect({}, 'reader').ended;
    expect(ending).toMatchObject({ code: status.PERMISSION_DENIED, errorCode: 'missing-scope' });
    expect(ending.details).toContain('livefeed:connect');
  });

  test('a cursor with any byte changed, cut, of another organization or of another query is INVALID_ARGUMENT', async () => {
    const store = createArrayStore();
    store.append({}, {});
    const { connect } = await openHarness(store.reader);
    const good = Buffer.from(cursorOf(ORGANIZATION, 1), 'base64url');
    const tampered = [...good.keys()].map((place) => {
      const bytes = Buffer.from(good);
      bytes[place]! ^= 1;
      return bytes.toString('base64url');
    });
    const bad = [
      ...tampered,
      good.toString('base64url').slice(0, -1),
      'x',
      cursorOf(OTHER_ORGANIZATION, 1),
      cursorOf(ORGANIZATION, 1, 'gps'),
    ];
    const endings = await Promise.all(bad.map((cursor) => connect({ cursor }).ended));
    for (const ending of endings)
      expect(ending).toMatchObject({ code: status.INVALID_ARGUMENT, errorCode: 'invalid-cursor' });
    expect(new Set(endings.map(({ details }) => details)).size).toBe(1);
  });

  test('a filter that names what is unknown or foreign is NOT_FOUND in the same words; a malformed one is INVALID_ARGUMENT', async () => {
    const unknown = ['no such fleet: 7', 'that trailer is of organization b'];
    const { connect } = await openHarness(createArrayStore().reader, {
      resolveFilter: () => Promise.reject(new Fault('not-found', unknown.pop()!)),
      principals: { restricted: principal({ plantIds: new Set() }) },
    });
    const id = '01900000-0000-7000-8000-0000000f0009';
    const refusals = [
      await connect({ filter: { fleets: [id] } }).ended,
      await connect({ filter: { trailers: ['1M8GDM9AXKP042788'] } }).ended,
      await connect({ filter: { plants: [id] } }, 'restricted').ended,
    ];
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: status.NOT_FOUND, errorCode: 'not-found' });
    expect(new Set(refusals.map(({ details }) => details)).size).toBe(1);
    expect(await connect({ filter: { fleets: ['north'] } }).ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      errorCode: 'invalid-uuid',
    });
    expect(await connect({ filter: { trailers: ['1M8GDM9AXKP04278O'] } }).ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      errorCode: 'invalid-vin',
    });
    expect(await connect({ filter: { signals: ['wheels'] } }).ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      errorCode: 'validation-failed',
    });
    expect(await connect({ filter: { plants: Array(1_001).fill(id) } }).ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    expect(await connect({ cursor: cursorOf(ORGANIZATION, 0), snapshot: true }).ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });

  test('a key restricted to plants gets no other plant', async () => {
    const store = createArrayStore();
    const [mine, other] = ['01900000-0000-7000-8000-0000000b0001', '01900000-0000-7000-8000-0000000b0002'];
    const { connect, ring } = await openHarness(store.reader, {
      principals: { restricted: principal({ plantIds: new Set([mine]) }) },
    });
    const subscription = connect({}, 'restricted');
    await subscription.begun();
    store.append(
      { assetKind: 'plant', assetId: other, signals: { quality: 'GOOD' } },
      { assetKind: 'plant', assetId: mine, signals: { quality: 'GOOD' } },
      {},
    );
    ring();
    await subscription.received(2);
    expect(subscription.positions).toEqual([2, 3]);
  });

  test('an organization gets its own records and not one of another', async () => {
    const store = createArrayStore();
    const { connect, ring } = await openHarness(store.reader, {
      principals: { other: principal({ organizationId: OTHER_ORGANIZATION }) },
    });
    const [mine, theirs] = [connect(), connect({}, 'other')];
    await Promise.all([mine.begun(), theirs.begun()]);
    store.append({}, { organizationId: OTHER_ORGANIZATION }, {}, { organizationId: OTHER_ORGANIZATION });
    ring();
    await Promise.all([mine.received(2), theirs.received(2)]);
    expect([mine.positions, theirs.positions]).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });

  test('a stream ends with UNAUTHENTICATED when its token expires, and the ending says where to resume', async () => {
    const store = createArrayStore();
    const { connect, ring, clock, feed } = await openHarness(store.reader, {
      principals: { short: principal({ tokenExpiresAtMs: Date.parse('2026-11-20T08:00:15.000Z') }) },
    });
    const subscription = connect({}, 'short');
    await subscription.begun();
    store.append({}, {});
    ring();
    await subscription.received(2);
    clock.advance(14_999);
    expect(feed.counts().subscribers).toBe(1);
    clock.advance(1);
    const ending = await subscription.ended;
    expect(ending).toMatchObject({
      code: status.UNAUTHENTICATED,
      errorCode: 'token-expired',
      cursor: cursorOf(ORGANIZATION, 2),
    });
    expect(ending.details).toContain(ending.cursor!);
    const details = fromBinary(StatusSchema, ending.metadata.get('grpc-status-details-bin')[0] as Buffer);
    expect(anyUnpack(details.details[0]!, ErrorInfoSchema)).toMatchObject({
      reason: 'token-expired',
      domain: 'gladhand.dev',
      metadata: { cursor: ending.cursor },
    });
  });

  test('a stream ends with UNAUTHENTICATED when its key is revoked, and no other stream does', async () => {
    const { connect, revoke, feed } = await openHarness(createArrayStore().reader, {
      principals: { second: principal({ keyId: 'key-2' }) },
    });
    const [revoked, kept] = [connect(), connect({}, 'second')];
    await Promise.all([revoked.begun(), kept.begun()]);
    revoke('key-1');
    expect(await revoked.ended).toMatchObject({ code: status.UNAUTHENTICATED, errorCode: 'invalid-token' });
    expect(feed.counts()).toEqual({ subscribers: 1, organizations: 1 });
  });

  test('one key may open so many streams and no more, and gets its place back when one ends', async () => {
    const { connect, feed } = await openHarness(createArrayStore().reader, { limits: { subscribersPerKeyMax: 2 } });
    const open = [connect(), connect()];
    await Promise.all(open.map((subscription) => subscription.begun()));
    expect(await connect().ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED, errorCode: 'too-many-streams' });
    open[0]!.stream.cancel();
    await vi.waitFor(() => expect(feed.counts().subscribers).toBe(1), WAIT);
    await connect().begun();
  });

  test('a database that cannot be read is UNAVAILABLE, without a word about the database', async () => {
    const store = createArrayStore();
    store.reader.head = () =>
      Promise.reject(
        new Fault('temporarily-unavailable', 'Recovering. Try again shortly.', { cause: new Error('password=secret') }),
      );
    const { connect } = await openHarness(store.reader);
    const ending = await connect().ended;
    expect(ending).toMatchObject({ code: status.UNAVAILABLE, errorCode: 'temporarily-unavailable' });
    expect(JSON.stringify(ending)).not.toContain('secret');
  });

  test('a request that is too large is refused before it is read', async () => {
    const { connect } = await openHarness(createArrayStore().reader);
    expect(await connect({ cursor: 'x'.repeat(200_000) }).ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  test('closing ends every stream with UNAVAILABLE and its cursor, and leaves nothing behind', async () => {
    const store = createArrayStore();
    const { connect, ring, feed, clock } = await openHarness(store.reader);
    const subscriptions = range(1, 20).map(() => connect());
    await Promise.all(subscriptions.map((subscription) => subscription.begun()));
    store.append({});
    ring();
    await Promise.all(subscriptions.map((subscription) => subscription.received(1)));
    await feed.close();
    for (const { ended } of subscriptions) {
      expect(await ended).toMatchObject({
        code: status.UNAVAILABLE,
        errorCode: 'shutting-down',
        cursor: cursorOf(ORGANIZATION, 1),
      });
    }
    expect(feed.counts()).toEqual({ subscribers: 0, organizations: 0 });
    expect(clock.timers).toBe(0);
  });
});
