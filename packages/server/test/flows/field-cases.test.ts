import { describe, expect, test } from 'vitest';
import { CUSTOMER_SCOPES } from '../app.ts';
import { openPartnerWorld } from '../partner-world.ts';

/**
 * What people in this trade have been bitten by, over the whole server: where it takes several messages, a store or the
 * wire to tell. What one payload becomes by itself stands in `products/<product>/fixtures`.
 */
// One server for all: every test has vehicles of its own.
const { world, registerTrailer, post, send, read, recordsOf, latestOf } = await openPartnerWorld();

/** The latest value of each metric by its name. */
async function valuesOf(vin: string): Promise<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(await latestOf(vin)).map(([metric, { value }]) => [metric, value]));
}

const secondsAgo = (seconds: number) => Math.floor(Date.now() / 1000) - seconds;
const ago = (seconds: number) => new Date(secondsAgo(seconds) * 1000).toISOString();

const report = (vin: string, seconds: number, said: object) => ({
  unit: { serial: `DS-${vin}` },
  reports: [{ at: ago(seconds), ...said }],
});
const fix = { position: { latitude: 39.7, longitude: -86.1 } };

const message = (vin: string, timestamp: number, said: object) => ({ ident: `device-${vin}`, timestamp, ...said });
const door = (isOpen: boolean) => ({ 'custom.door.rear.open': isOpen });

const alarmPage = (vin: string, seconds: number, alarms: unknown, serial = `serial-${vin}`) => ({
  data: [
    {
      id: '281474981110337',
      externalIds: { 'samsara.vin': vin, 'samsara.serial': serial },
      reeferAlarms: [{ time: ago(seconds), alarms }],
    },
  ],
});

const uplink = (decoded: object, seconds: number) => ({
  end_device_ids: { device_id: 'yard-07' },
  uplink_message: { decoded_payload: decoded, received_at: ago(seconds) },
});

describe('latest', () => {
  test('an alarm that an empty list clears is up no more, and latest says that none is', async () => {
    const vin = await registerTrailer();
    await send('samsara', vin, alarmPage(vin, 120, [{ alarmCode: '63', severity: 3 }]));
    expect(await latestOf(vin)).toMatchObject({
      'reefer.alarms': { value: 1 },
      'reefer.alarms[63]': { value: true },
      'reefer.alarms[63].severity': { value: 'immediate' },
    });
    await send('samsara', vin, alarmPage(vin, 60, []));
    const metrics = await latestOf(vin);
    expect(Object.keys(metrics).filter((metric) => metric.includes('63'))).toEqual([]);
    expect(metrics['reefer.alarms']).toMatchObject({ value: 0 });
  });

  test('of two states of one instant the later in order counts, in one payload as in several', async () => {
    const [together, apart] = [await registerTrailer(), await registerTrailer()];
    const at = secondsAgo(20);
    const states = [true, false, true, false];
    await send(
      'flespi',
      together,
      states.map((open) => message(together, at, door(open))),
    );
    for (const open of states.slice(0, 2)) await send('flespi', apart, [message(apart, at, door(open))]);
    for (const vin of [together, apart])
      expect((await latestOf(vin))['doors[rear].state']).toMatchObject({ value: 'closed' });
  });

  test('a retry of an older message of the same instant does not bring its values back', async () => {
    const vin = await registerTrailer();
    const at = secondsAgo(20);
    const [opened] = [
      await send('flespi', vin, [message(vin, at, door(true))]),
      await send('flespi', vin, [message(vin, at, door(false))]),
    ];
    const again = await send('flespi', vin, [message(vin, at, door(true))]);
    expect(again.recordIds).toEqual(opened.recordIds);
    expect((await latestOf(vin))['doors[rear].state']).toMatchObject({ value: 'closed' });
  });

  test('a device clock ten minutes ahead freezes neither latest nor when the device was seen', async () => {
    const vin = await registerTrailer();
    await send('flespi', vin, [{ ident: 'fast', timestamp: secondsAgo(-600), 'battery.level': 10 }]);
    const ahead = await latestOf(vin);
    expect(ahead['power.batterySocPct']).toMatchObject({ value: 10 });
    expect(Date.parse(ahead['power.batterySocPct']!.observedAt)).toBeGreaterThan(Date.now());
    const seen = await read(`/devices/${vin}`);
    expect(Date.parse(seen.data[0].lastSeenAt)).toBeLessThanOrEqual(Date.now());
    await send('flespi', vin, [{ ident: 'right', timestamp: Date.now() / 1000, 'battery.level': 20 }]);
    expect((await latestOf(vin))['power.batterySocPct']).toMatchObject({ value: 20 });
  });

  test('a frame that does not carry a value leaves the one before', async () => {
    const vin = await registerTrailer();
    await send('the-things-stack', vin, uplink({ temp_c: 21.5, door: 'open' }, 120));
    await send('the-things-stack', vin, uplink({ battery_mv: 3600 }, 60));
    expect(await latestOf(vin)).toMatchObject({
      'environment.temperatureC': { value: 21.5 },
      'doors[rear].state': { value: 'open' },
      'power.batteryV': { value: 3.6 },
    });
  });

  test('an alarm stays up when a later list cannot be read: that does not say that nothing is up', async () => {
    const vin = await registerTrailer();
    await send('samsara', vin, alarmPage(vin, 120, [{ alarmCode: '63', severity: 3 }]));
    for (const unreadable of [[{ severity: 3 }], [null], { alarmCode: '63' }, 'none', null]) {
      expect(await send('samsara', vin, alarmPage(vin, 60, unreadable))).toMatchObject({ status: 'rejected' });
    }
    expect(await valuesOf(vin)).toMatchObject({ 'reefer.alarms': 1, 'reefer.alarms[63]': true });
  });

  test('a list that can be read in part adds what it says, takes nothing down, and is marked', async () => {
    const vin = await registerTrailer();
    await send('samsara', vin, alarmPage(vin, 120, [{ alarmCode: '63', severity: 3 }]));
    const receipt = await send('samsara', vin, alarmPage(vin, 60, [{ alarmCode: '7', severity: 3 }, null]));
    expect(receipt).toMatchObject({ status: 'partly-rejected', rejects: [{ refused: 'element' }] });
    expect(await valuesOf(vin)).toMatchObject({ 'reefer.alarms[63]': true, 'reefer.alarms[7]': true });
    expect((await recordsOf(vin)).at(-1)).toMatchObject({ states: { 'reefer.alarms': 'misfit' } });
    await send('samsara', vin, alarmPage(vin, 30, [{ alarmCode: '7', severity: 3 }]));
    const values = await valuesOf(vin);
    expect(values).toMatchObject({ 'reefer.alarms': 1, 'reefer.alarms[7]': true });
    expect(values).not.toHaveProperty(['reefer.alarms[63]']);
  });

  test('the alarms of one device stay up when another one has none', async () => {
    const vin = await registerTrailer();
    await send('samsara', vin, alarmPage(vin, 120, [{ alarmCode: '63', severity: 3 }], 'one'));
    await send('samsara', vin, alarmPage(vin, 60, [], 'other'));
    expect(await valuesOf(vin)).toMatchObject({ 'reefer.alarms[63]': true });
  });

  test('a value that is left out leaves the last good one, and the record says so', async () => {
    const vin = await registerTrailer();
    await send('the-things-stack', vin, uplink({ temp_c: -18, battery_mv: 3600 }, 120));
    const receipt = await send('the-things-stack', vin, uplink({ temp_c: 200.3, battery_mv: 3590 }, 60));
    expect(receipt).toMatchObject({
      status: 'partly-rejected',
      rejects: [{ refused: 'value', code: 'out-of-bounds' }],
    });
    expect(await valuesOf(vin)).toEqual({ 'environment.temperatureC': -18, 'power.batteryV': 3.59 });
    expect((await recordsOf(vin)).at(-1)).toMatchObject({ states: { 'environment.temperatureC': 'implausible' } });
  });
});

describe('times that count from the arrival', () => {
  const pack = (vin: string) => [
    { bn: `urn:vin:${vin}:`, n: 'temperature', u: 'Cel', v: 4 },
    { n: 'humidity', u: '%RH', v: 60, t: -5 },
  ];

  test('the same bytes sent again are the same readings, and the receipt names the one before', async () => {
    const vin = await registerTrailer();
    const first = await send('senml', vin, pack(vin));
    const again = await send('senml', vin, pack(vin));
    expect(again.recordIds).toEqual(first.recordIds);
    expect([first.repeats, again.repeats]).toEqual([null, first.receiptId]);
  });

  test('other bytes, or the same for another vehicle, are readings of their own', async () => {
    const [vin, other] = [await registerTrailer(), await registerTrailer()];
    const first = await send('senml', vin, pack(vin));
    const more = await send('senml', vin, [...pack(vin), { n: 'cargo', u: '%', v: 5 }]);
    const elsewhere = await send('senml', other, pack(vin));
    expect([more.repeats, elsewhere.repeats]).toEqual([null, null]);
    expect(more.recordIds).not.toEqual(first.recordIds);
  });

  test('the same bytes with an Idempotency-Key of their own are readings of their own', async () => {
    const vin = await registerTrailer();
    const first = await send('senml', vin, pack(vin), { 'idempotency-key': `${vin}-1` });
    const second = await send('senml', vin, pack(vin), { 'idempotency-key': `${vin}-2` });
    expect(second.repeats).toBeNull();
    expect(second.recordIds).not.toEqual(first.recordIds);
    const retried = await send('senml', vin, pack(vin), { 'idempotency-key': `${vin}-2` });
    expect(retried.receiptId).toBe(second.receiptId);
    expect(await recordsOf(vin)).toHaveLength(4);
  });
});

test('the same unit twice in one batch is one record, and its id stands in the receipt twice', async () => {
  const vin = await registerTrailer();
  const unit = { device_id: vin, vin, unit_type: 'trailer', timestamp: secondsAgo(30), speed: 50, moving: true };
  const receipt = await send('project44', vin, [unit, unit]);
  expect(receipt).toMatchObject({ status: 'processed', recordIds: [receipt.recordIds[0], receipt.recordIds[0]] });
  expect(await recordsOf(vin)).toHaveLength(1);
});

test('a repeated stale fix with a new device time is a new reading, and its sensors count at that time', async () => {
  const vin = await registerTrailer();
  const fixTime = ago(3600);
  const message = (deviceTime: string) => ({
    position: {
      fixTime,
      deviceTime,
      serverTime: deviceTime,
      valid: true,
      latitude: 39.7,
      longitude: -86.1,
      attributes: { temp1: 4.5 },
    },
    device: { uniqueId: `t-${vin}` },
  });
  const [one, two] = [ago(60), ago(30)];
  await send('traccar', vin, message(one));
  await send('traccar', vin, message(two));
  const stored = await recordsOf(vin);
  const at = (has: (signals: any) => unknown) =>
    stored.filter(({ signals }) => has(signals)).map(({ observedAt }) => observedAt);
  expect(at((signals) => signals.environment).sort()).toEqual([one, two]);
  expect(at((signals) => signals.gps)).toEqual([fixTime]);
});

test('what the door takes the mapper reads: a byte order mark before the JSON is dropped by both', async () => {
  const vin = await registerTrailer();
  const json = JSON.stringify({ unit: { serial: `DS-${vin}` }, reports: [{ at: ago(20), moving: true }] });
  const receipt = await send('deliversafe', vin, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(json)]));
  expect(receipt).toMatchObject({ status: 'processed', recordIds: [expect.any(String)] });
});

test('a product takes the media type that it declares, and another product does not', async () => {
  const vin = await registerTrailer();
  const headers = { 'content-type': 'application/senml+json' };
  const pack = [{ bn: `urn:vin:${vin}:`, bt: secondsAgo(60), n: 'temperature', u: 'Cel', v: 4 }];
  expect(await send('senml', vin, pack, headers)).toMatchObject({ status: 'processed' });
  const refused = await post('flespi', vin, '[]', headers);
  expect(refused.json).toMatchObject({ status: 415, code: 'unsupported-media-type' });
});

test('a receipt says of every leaf what became of it, and of nothing taken what was there', async () => {
  const vin = await registerTrailer();
  const taken = await send('flespi', vin, [
    { ident: 'd', timestamp: secondsAgo(5), 'battery.level': 50, 'battery.levle': 51, 'vehicle.mileage': null },
  ]);
  expect(taken.leaves).toEqual({
    taken: 3,
    skipped: 0,
    leftOut: 1,
    rejected: 0,
    unused: 1,
    leftOutPaths: ['/*/vehicle.mileage'],
    unusedPaths: ['/*/battery.levle'],
  });
  const nothing = await send('samsara', vin, { data: [{ obdOdometerMeters: [{ time: ago(60), value: 1 }] }] });
  expect(nothing).toMatchObject({ status: 'nothing-taken', recordIds: [], rejectsTotal: 1 });
  expect(nothing.rejects[0]).toMatchObject({ refused: 'payload', code: 'nothing-taken' });
  expect(nothing.rejects[0].found).toContain('/data/*/obdOdometerMeters/*/value');
});

test('the first hundred rejects are listed, and all are counted', async () => {
  const vin = await registerTrailer();
  const receipt = await send(
    'project44',
    vin,
    Array.from({ length: 250 }, () => ({ vin: 'none' })),
  );
  expect(receipt).toMatchObject({ status: 'rejected', rejectsTotal: 250 });
  expect(receipt.rejects).toHaveLength(100);
});

test('a null in one entry gives nobody a reading of a vehicle of another organization', async () => {
  const own = await registerTrailer();
  const foreign = await registerTrailer(world.rivalId);
  const receipt = await send('senml', own, [
    { bn: `urn:vin:${own}:`, bt: secondsAgo(600), n: 'temperature', u: 'Cel', v: -18 },
    { bn: `urn:vin:${foreign}:`, bt: secondsAgo(60), n: 'temperature', u: 'Cel', v: 21, ut: null },
    { n: 'lat', u: 'lat', v: 48.1 },
    { n: 'lon', u: 'lon', v: 11.5 },
  ]);
  expect(receipt).toMatchObject({ status: 'partly-rejected', rejects: [{ refused: 'element', element: '/1' }] });
  expect((await recordsOf(own)).map(({ signals }) => signals)).toEqual([{ environment: { temperatureC: -18 } }]);
  const rival = await world.token(world.rivalId, 'customer', CUSTOMER_SCOPES);
  expect((await recordsOf(foreign, rival)).map(({ signals }) => signals)).toEqual([
    { gps: { latitude: 48.1, longitude: 11.5 } },
  ]);
});

test('a GPS page has whole positions alone', async () => {
  const vin = await registerTrailer();
  const at = secondsAgo(60);
  const receipt = await send('flespi', vin, [
    message(vin, at, { 'position.latitude': 39.7, 'position.speed': 40, 'battery.level': 50 }),
    message(vin, at + 1, { 'position.latitude': 0, 'position.longitude': 0, 'battery.level': 50 }),
    message(vin, at + 2, { 'position.speed': 40 }),
    message(vin, at + 3, { 'position.latitude': 39.7, 'position.longitude': -86.1 }),
  ]);
  expect(receipt.rejects.map(({ code }: { code: string }) => code)).toEqual([
    'position-incomplete',
    'position-implausible',
  ]);
  expect(await recordsOf(vin)).toHaveLength(4);
  const { data } = await read(`/trailers/telemetry/gps/${vin}`);
  expect(data.map((record: any) => record.signals.gps)).toEqual([{ latitude: 39.7, longitude: -86.1 }]);
});

test('a receipt says processed where the product leaves a message out on purpose', async () => {
  const vin = await registerTrailer();
  const join = { end_device_ids: { device_id: 'yard-07' }, join_accept: { received_at: ago(1) } };
  const receipt = await send('the-things-stack', vin, join);
  expect(receipt).toMatchObject({ status: 'processed', skipped: 1, recordIds: [], leaves: { skipped: 2 } });
});

describe('on the wire', () => {
  test('a body in UTF-16 and NaN as a token are refused, and nothing of them is stored', async () => {
    const vin = await registerTrailer();
    const wide = new Uint8Array(Buffer.from(JSON.stringify(report(vin, 20, fix)), 'utf16le'));
    const utf16 = await post('deliversafe', vin, wide, { 'content-type': 'application/json; charset=utf-16' });
    expect([utf16.status, utf16.json.code]).toEqual([400, 'malformed-json']);
    const nan = `[{"ident":"x","timestamp":${secondsAgo(0)},"position.latitude":NaN,"position.longitude":1}]`;
    const token = await post('flespi', vin, nan);
    expect([token.status, token.json.code]).toEqual([400, 'malformed-json']);
    expect(await recordsOf(vin)).toEqual([]);
  });

  test('however the VIN of the path is written, it is one vehicle and one record', async () => {
    const vin = await registerTrailer();
    const payload = report(vin, 20, fix);
    const spellings = [vin, vin.toLowerCase(), `${vin}%0A`, `%20${vin}%20`, `${vin}/`];
    const ids = new Set<string>();
    for (const spelling of spellings) {
      for (const id of (await send('deliversafe', spelling, payload)).recordIds) ids.add(id);
    }
    expect(ids.size).toBe(1);
    expect(await recordsOf(vin)).toHaveLength(1);
  });

  test('however a device is named, with a newline or spaces around it, it is one device', async () => {
    const vin = await registerTrailer();
    const named = (ident: unknown, seconds: number) => [{ ident, timestamp: secondsAgo(seconds), ...door(true) }];
    const spellings = [350000000000003, '350000000000003', ' 350000000000003', '350000000000003\r\n'];
    for (const [index, ident] of spellings.entries()) await send('flespi', vin, named(ident, 60 - index));
    expect(await send('flespi', vin, named('   ', 30))).toMatchObject({ status: 'rejected' });
    expect((await read(`/devices/${vin}`)).data).toMatchObject([{ externalId: '350000000000003' }]);
  });
});
