import { describe, expect, test, vi } from 'vitest';
import { createArrayStore, openHarness, range, settled, WAIT } from '../../test/live-feed.ts';

describe('following', () => {
  test('a subscriber without a cursor gets what comes after it subscribed, and nothing before', async () => {
    const store = createArrayStore();
    store.append({}, {}, {});
    const { connect, ring } = await openHarness(store.reader);
    const subscription = connect();
    await subscription.begun();
    store.append({}, {});
    ring();
    await subscription.received(2);
    expect(subscription.positions).toEqual([4, 5]);
    expect(subscription.messages[0]!.event.case).toBe('heartbeat');
  });

  test('a subscriber that resumes has no gap and no duplicate while records keep coming', async () => {
    const store = createArrayStore();
    store.append(...Array(700).fill({}));
    const { connect, ring, feed } = await openHarness(store.reader, { limits: { windowRecordsMax: 50 } });
    const got: number[] = [];
    let cursor = '';
    const begin = connect();
    await begin.begun();
    cursor = begin.cursor;
    begin.stream.cancel();
    let appended = 700;
    // Every read of the store lets a few more records in, so that handing over from store to window is never at rest.
    store.onFeed = () => {
      if (appended < 3_000) appended = store.append(...Array(7).fill({}));
      ring();
    };
    for (let round = 1; got.length < 2_300; round += 1) {
      const subscription = connect({ cursor });
      await subscription.received(Math.min(150 * (round % 5), 3_000 - 700 - got.length) || 1);
      cursor = subscription.cursor;
      got.push(...subscription.positions);
      subscription.stream.cancel();
      await subscription.ended;
    }
    expect(got).toEqual(range(701, 700 + got.length));
    await vi.waitFor(() => expect(feed.counts()).toEqual({ subscribers: 0, organizations: 0 }), WAIT);
  });

  test('a lost ring is healed by the slow poll', async () => {
    const store = createArrayStore();
    const { connect, clock } = await openHarness(store.reader);
    const subscription = connect();
    await subscription.begun();
    await vi.waitFor(() => expect(store.feedReads).toBe(1), WAIT);
    store.append({});
    clock.advance(999);
    expect(store.feedReads).toBe(1);
    clock.advance(1);
    await subscription.received(1);
    store.append({});
    clock.advance(1_000);
    await subscription.received(2);
    expect(subscription.positions).toEqual([1, 2]);
  });

  test('a subscriber whose filter has let nothing pass for long gets to the end without tiring the store', async () => {
    const store = createArrayStore();
    const { connect, ring } = await openHarness(store.reader, { limits: { windowRecordsMax: 10 } });
    const [witness, early] = [connect(), connect()];
    await Promise.all([witness.begun(), early.begun()]);
    store.append(...Array(300).fill({}));
    ring();
    await witness.received(300);
    const quiet = connect({ cursor: early.messages[0]!.cursor, filter: { signals: ['tires'] } });
    await quiet.begun();
    await settled(() => store.feedReads);
    store.append({ signals: { tires: [] } }, {});
    ring();
    await quiet.received(1);
    expect(quiet.positions).toEqual([301]);
  });

  test('a heartbeat comes every ten seconds, and its cursor has moved past what the filter leaves out', async () => {
    const store = createArrayStore();
    const { connect, clock, ring } = await openHarness(store.reader);
    const quiet = connect({ filter: { signals: ['tires'] } });
    await quiet.begun();
    store.append({}, {}, {});
    const reads = store.feedReads;
    ring();
    await vi.waitFor(() => expect(store.feedReads).toBeGreaterThan(reads), WAIT);
    const witness = connect();
    await witness.begun();
    clock.advance(10_000);
    await vi.waitFor(() => expect(quiet.messages.length).toBe(2), WAIT);
    expect(quiet.messages.map(({ event }) => event.case)).toEqual(['heartbeat', 'heartbeat']);
    quiet.stream.cancel();
    store.append({ signals: { tires: [] } });
    ring();
    const resumed = connect({ cursor: quiet.cursor });
    await resumed.received(1);
    expect(resumed.positions).toEqual([4]);
  });

  test('two subscribers with different filters get exactly theirs, in order', async () => {
    const store = createArrayStore();
    const trailer = '01900000-0000-7000-8000-00000000a002';
    const otherFleet = '01900000-0000-7000-8000-0000000f0002';
    const { connect, ring } = await openHarness(store.reader, {
      resolveFilter: async (_organization, names) => ({
        fleetIds: names.fleets,
        assetIds: [...names.trailers, ...names.plants],
      }),
    });
    const byFleetOrTrailer = connect({ filter: { fleets: [otherFleet], trailers: [trailer.toUpperCase()] } });
    const bySignal = connect({ filter: { signals: ['gps', 'tires'] } });
    await Promise.all([byFleetOrTrailer.begun(), bySignal.begun()]);
    store.append(
      { fleetId: otherFleet },
      { assetId: trailer },
      { signals: { gps: { latitude: 1, longitude: 2 } } },
      { signals: { tires: [{ axle: 1, side: 'left', dual: 'single' }], motion: { moving: false } } },
      { fleetId: null },
      { fleetId: otherFleet, signals: { gps: { latitude: 3 } } },
    );
    ring();
    await Promise.all([byFleetOrTrailer.received(3), bySignal.received(3)]);
    expect(byFleetOrTrailer.positions).toEqual([1, 2, 6]);
    expect(bySignal.positions).toEqual([3, 4, 6]);
    // The same from the store, by cursor.
    const start = bySignal.messages[0]!.cursor;
    const [again, mixed] = [
      connect({ cursor: start, filter: { signals: ['gps', 'tires'] } }),
      connect({ cursor: start, filter: { fleets: [otherFleet], trailers: [trailer] } }),
    ];
    await Promise.all([again.received(3), mixed.received(3)]);
    expect([again.positions, mixed.positions]).toEqual([
      [3, 4, 6],
      [1, 2, 6],
    ]);
  });

  test('a snapshot comes first, whole, and what follows starts exactly where it stands', async () => {
    const store = createArrayStore();
    store.append({}, {});
    const value = (metric: string, found: unknown) => ({
      [metric]: {
        value: found,
        observedAt: '2026-11-20T07:59:59.250Z',
        receivedAt: '2026-11-20T07:59:59.500Z',
        recordId: 'r',
        deviceId: null,
      },
    });
    store.latest = range(1, 130).map((place) => {
      const assetId = `01900000-0000-7000-8000-${String(place).padStart(12, '0')}`;
      return {
        assetId,
        json: JSON.stringify({
          assetId,
          assetKind: 'trailer',
          vin: null,
          metrics: {
            ...value('gps.speedKph', place),
            ...value('motion.ignition', 'on'),
            ...value('cargo.fillPct', null),
          },
        }),
      };
    });
    const { connect, ring } = await openHarness(store.reader);
    const read = store.reader.latest;
    store.reader.latest = (request) => {
      store.append({});
      ring();
      return read(request);
    };
    const subscription = connect({ snapshot: true });
    await subscription.received(3);
    store.append({});
    ring();
    await subscription.received(4);
    const events = subscription.messages.map(({ event }) => event);
    const last = events.findIndex((event) => event.case === 'snapshot' && event.value.complete);
    expect(events.slice(0, last).every((event) => event.case === 'snapshot')).toBe(true);
    expect(subscription.messages.slice(0, last).every(({ cursor }) => cursor === '')).toBe(true);
    const assets = events.flatMap((event) => (event.case === 'snapshot' ? event.value.assets : []));
    expect(assets.length).toBe(130);
    expect(assets[6]!.metrics['gps.speedKph']!.value!.kind).toEqual({ case: 'numberValue', value: 7 });
    expect(assets[6]!.metrics['cargo.fillPct']!.value!.kind.case).toBe('nullValue');
    expect(subscription.positions).toEqual([3, 4, 5, 6]);
  });

  test('a cursor from a future this database has lost is told as a gap, and the feed goes on from now', async () => {
    const newer = createArrayStore();
    newer.append({}, {}, {});
    const before = await openHarness(newer.reader);
    const first = before.connect();
    await first.begun();
    const restored = createArrayStore();
    restored.append({});
    const { connect, ring } = await openHarness(restored.reader);
    const subscription = connect({ cursor: first.cursor });
    await subscription.begun();
    restored.append({});
    ring();
    await subscription.received(1);
    expect(subscription.messages[0]!.event).toMatchObject({
      case: 'gap',
      value: { reason: 'cursor-ahead-of-store', fromCursor: first.cursor },
    });
    expect(subscription.positions).toEqual([2]);
  });

  test('a record carries its signals, its clocks and the state of every null', async () => {
    const store = createArrayStore();
    const { connect, ring } = await openHarness(store.reader);
    const subscription = connect();
    await subscription.begun();
    store.append({
      signals: {
        gps: { latitude: 41.5, speedKph: 0, altitudeM: null },
        tires: [{ axle: 1, side: 'left', dual: 'single', pressureKpa: null }],
        quality: null,
      },
      states: { 'gps.altitudeM': 'error' },
    });
    ring();
    await subscription.received(1);
    const [record] = subscription.records;
    expect(record!.signals!.gps).toMatchObject({ latitude: 41.5, speedKph: 0 });
    expect(record!.signals!.gps!.altitudeM).toBeUndefined();
    expect(record!.states).toEqual({
      'gps.altitudeM': 'error',
      'tires[1.left.single].pressureKpa': 'notAvailable',
      quality: 'notAvailable',
    });
    expect(record!.observedAt).toMatchObject({ seconds: 1795161599n, nanos: 250_000_000 });
    expect(record!.deviceId).toBeUndefined();
  });

  test('a record the proto cannot express arrives without its signals, in its place', async () => {
    const store = createArrayStore();
    const { connect, ring } = await openHarness(store.reader);
    const subscription = connect();
    await subscription.begun();
    store.append({}, { signals: { gps: { latitude: 'north' } } }, {});
    ring();
    await subscription.received(3);
    expect(subscription.positions).toEqual([1, 2, 3]);
    expect(subscription.records.map(({ signals }) => signals === undefined)).toEqual([false, true, false]);
  });

  test('a failing store delays records and loses none', async () => {
    const store = createArrayStore();
    const { connect, ring, clock } = await openHarness(store.reader);
    const subscription = connect();
    await subscription.begun();
    await vi.waitFor(() => expect(store.feedReads).toBe(1), WAIT);
    store.append({}, {});
    store.onFeed = () => {
      throw new Error('the database is down');
    };
    ring();
    await vi.waitFor(() => expect(store.feedReads).toBe(2), WAIT);
    store.onFeed = () => {};
    clock.advance(1_000);
    await subscription.received(2);
    expect(subscription.positions).toEqual([1, 2]);
  });
});
