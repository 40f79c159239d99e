import { createCursors } from '@gladhand/base/cursor.ts';
import { status } from '@grpc/grpc-js';
import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import {
  ASSET,
  CURSOR_KEY,
  createArrayStore,
  FLEET,
  ORGANIZATION,
  OTHER_ORGANIZATION,
  openHarness,
  principal,
  range,
  WAIT,
} from '../../test/live-feed.ts';
import { countRowsRead } from '../../test/rows-read.ts';
import { createPartitions } from '../database/partitions.ts';
import { feedBinding } from '../telemetry/feed-cursor.ts';
import { createTelemetryReader, type FeedRequest } from '../telemetry/read.ts';
import { signalGroupBits } from '../telemetry/signal-groups.ts';

/** Streams that resume from an old cursor with a filter that lets little pass. */
const tires = { signals: { tires: [] } };
const onlyTires = { filter: { signals: ['tires'] } };

function cursorAt(position: number, organizationId = ORGANIZATION): string {
  return createCursors(CURSOR_KEY).seal(feedBinding(organizationId), [position]);
}

/** Calls `onRead` before each read for a filter, with how many there were before it. */
function watchReads(store: ReturnType<typeof createArrayStore>, onRead: (reads: number) => unknown): FeedRequest[] {
  const requests: FeedRequest[] = [];
  const read = store.reader.feed;
  store.reader.feed = async (request) => {
    if (request.signalGroups !== undefined) await onRead(requests.push(request) - 1);
    return read(request);
  };
  return requests;
}

test('from an old cursor and behind a narrow filter everything comes, each read examines a bounded number of records, and the end is reached', async () => {
  const [records, examinedMax, every] = [6_000, 250, 500];
  const database = await openTestDatabase();
  const [first, last] = [Date.UTC(2026, 10, 2), Date.UTC(2026, 10, 16)];
  await createPartitions(database).ensure('record', [first, last]);
  const append = (from: number, to: number) =>
    sql`
      with sequencer as (update telemetry_position set value = ${to})
      insert into record (id, asset_id, observed_at, organization_id, fleet_id, asset_kind, received_at, processed_at, product,
        mapping_version, receipt_id, position, signal_groups, signals)
      select gen_random_uuid(), ${ASSET}, case when i % 2 = 0 then ${new Date(first)}::timestamptz else ${new Date(last)} end,
        ${ORGANIZATION}, ${FLEET}, 'trailer', now(), now(), 'traccar', 1, gen_random_uuid(), i,
        case when i % ${every} = 0 then ${sql.lit(signalGroupBits(['tires']))} else ${sql.lit(signalGroupBits(['motion']))} end,
        case when i % ${every} = 0 then '{"tires":[]}'::json else '{"motion":{"moving":true}}' end
      from generate_series(${from}::int, ${to}) i`.execute(database.owner);
  await append(1, records);
  const counted = countRowsRead(database);
  const { connect, ring } = await openHarness(createTelemetryReader(counted.database, examinedMax));
  const passing = range(1, records / every).map((n) => n * every);
  const subscription = connect({ ...onlyTires, cursor: cursorAt(0) });
  await subscription.received(passing.length);
  await append(records + 1, records + every);
  ring();
  await subscription.received(passing.length + 1);
  expect(subscription.positions).toEqual([...passing, records + every]);
  expect(counted.rowsRead.length).toBeGreaterThanOrEqual(records / examinedMax);
  // Merging two partitions reads a row of each ahead.
  expect(Math.max(...counted.rowsRead)).toBeLessThanOrEqual(examinedMax + 4);
});

test('a heartbeat on the way carries how far the stream has got, and the next stream does not begin again', async () => {
  const store = createArrayStore(10);
  store.append(...Array(990).fill({}), tires);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const requests = watchReads(store, (reads) => (reads === 60 ? held : undefined));
  const { connect, clock } = await openHarness(store.reader);
  const quiet = connect({ ...onlyTires, cursor: cursorAt(0) });
  await vi.waitFor(() => expect(requests).toHaveLength(61), WAIT);
  clock.advance(10_000);
  await vi.waitFor(() => expect(quiet.messages).toHaveLength(2), WAIT);
  expect(quiet.cursor).toBe(cursorAt(600));
  quiet.stream.cancel();
  release();
  await quiet.ended;
  const before = requests.length;
  const resumed = connect({ ...onlyTires, cursor: quiet.cursor });
  await resumed.received(1);
  expect(resumed.positions).toEqual([991]);
  expect(requests[before]!.afterPosition).toBeGreaterThanOrEqual(600);
});

test('one that has far to go lets others in after every page', async () => {
  const store = createArrayStore(10);
  store.append(...Array(2_000).fill({}), ...Array(3).fill({ ...tires, organizationId: OTHER_ORGANIZATION }));
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const requests = watchReads(store, (reads) => (reads === 5 ? held : undefined));
  const { connect } = await openHarness(store.reader, {
    limits: { historyReadsMax: 1 },
    principals: { other: principal({ organizationId: OTHER_ORGANIZATION }) },
  });
  const far = connect({ ...onlyTires, cursor: cursorAt(0) });
  await vi.waitFor(() => expect(requests).toHaveLength(6), WAIT);
  const near = connect({ ...onlyTires, cursor: cursorAt(0, OTHER_ORGANIZATION) }, 'other');
  await near.begun();
  release();
  await near.received(3);
  const turn = requests.findIndex(({ organizationId }) => organizationId === OTHER_ORGANIZATION);
  expect(turn).toBeGreaterThanOrEqual(6);
  expect(turn).toBeLessThanOrEqual(7);
  far.stream.cancel();
});

test('a store that has lost what was read from it ends the stream with its cursor, and is not asked for ever', async () => {
  const store = createArrayStore();
  store.append({}, {}, {});
  store.reader.head = async () => 10;
  const { connect } = await openHarness(store.reader);
  const subscription = connect({ cursor: cursorAt(1) });
  expect(await subscription.ended).toMatchObject({
    code: status.UNAVAILABLE,
    errorCode: 'temporarily-unavailable',
    cursor: cursorAt(3),
  });
  expect(subscription.positions).toEqual([2, 3]);
});
