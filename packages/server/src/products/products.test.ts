import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FieldError } from '@gladhand/contract/errors.ts';
import { SignalsSchema } from '@gladhand/contract/signals.ts';
import { afterAll, describe, expect, test } from 'vitest';
import type { MappingOutcome } from '../mapping/mapped-record.ts';
import { checkShape } from '../mapping/schema-errors.ts';
import { createInputCheck } from './input-check.ts';
import { loadProducts, ProductsInvalid } from './products.ts';

const DIRECTORY = join(import.meta.dirname, '../../products');
const products = loadProducts(DIRECTORY);
const find = (name: string) => {
  const product = products.find(name);
  if (product === undefined) throw new Error(`no product ${name}`);
  return product;
};

interface Fixture {
  payload: unknown;
  expected: {
    vin: string;
    receivedAt: string;
    records: unknown[];
    rejects: object[];
    skipped: number;
    /** The counts of leaves, and their paths, as far as the fixture looks at them. */
    leaves?: object;
  };
}
type Payload = any;

function readFixture(product: string, name: string): Fixture {
  const read = (file: string) => JSON.parse(readFileSync(join(DIRECTORY, product, 'fixtures', file), 'utf8')) as never;
  return { payload: read(`${name}.json`), expected: read(`${name}.expected.json`) };
}

const payloadOf = (product: string, name: string): Payload => readFixture(product, name).payload;

/** The outcome as fixtures write it: instants as text. */
function readable({ records, rejects, skipped, leaves }: MappingOutcome) {
  const iso = (ms: number) => new Date(ms).toISOString();
  return {
    records: records.map(({ assetRef, observedAtMs, deviceAtMs, isIdentifiedByDeviceAt: _identified, ...rest }) => ({
      asset: assetRef,
      observedAt: iso(observedAtMs),
      ...(deviceAtMs === undefined ? {} : { deviceAt: iso(deviceAtMs) }),
      ...rest,
    })),
    rejects,
    skipped,
    leaves,
  };
}

function mapped(product: string, payload: unknown, vin = '1UYVS2533P7204518', receivedAt = '2026-11-20T17:05:00Z') {
  return readable(find(product).mapping.run({ payload, vin, receivedAtMs: Date.parse(receivedAt) }));
}

const fixtures = products.all.flatMap(({ name }) =>
  readdirSync(join(DIRECTORY, name, 'fixtures'))
    .filter((file) => !file.endsWith('.expected.json'))
    .map((file) => [name, file.replace('.json', '')] as const),
);

test.each(fixtures)(
  '%s: the fixture %s passes its input schema and becomes exactly the expected records',
  (name, fixture) => {
    const { payload, expected } = readFixture(name, fixture);
    const { vin, receivedAt } = expected;
    const product = find(name);
    expect(product.validateInput(payload)).toEqual([]);
    const found = product.mapping.run({ payload, vin, receivedAtMs: Date.parse(receivedAt) });
    const { records, rejects, skipped, leaves } = readable(found);
    expect(records).toEqual(expected.records);
    // Of a reject a fixture says what matters: what is lost, why, and where it stood.
    expect(rejects).toMatchObject(expected.rejects);
    expect(rejects).toHaveLength(expected.rejects.length);
    expect(skipped).toBe(expected.skipped);
    expect(leaves).toMatchObject(expected.leaves ?? {});
    for (const record of found.records) expect(checkShape(SignalsSchema, record.signals, '')).toEqual([]);
  },
);

test('the seven products are there, each with one live version and its content hash', () => {
  expect(products.all.map((product) => product.name)).toEqual([
    'deliversafe',
    'flespi',
    'project44',
    'samsara',
    'senml',
    'the-things-stack',
    'traccar',
  ]);
  for (const product of products.all) {
    expect(product.mappingVersion).toBe(1);
    expect(product.mappingHash).toMatch(/^sha256:[0-9a-f]{64}$/);
  }
  expect(products.find('nobody')).toBeUndefined();
});

describe('traccar', () => {
  test('speed comes in knots and is stored in km/h', () => {
    const payload = payloadOf('traccar', 'position');
    payload.position.speed = 50;
    expect(mapped('traccar', payload).records[0]?.signals.gps?.speedKph).toBe(92.6);
  });

  test('of three clocks that differ the fix is observedAt, the device deviceAt, and the server of the partner neither', () => {
    const [record] = mapped('traccar', payloadOf('traccar', 'position')).records;
    expect(record).toMatchObject({ observedAt: '2026-11-20T16:19:57.000Z', deviceAt: '2026-11-20T16:20:04.000Z' });
    expect(JSON.stringify(record)).not.toContain('16:20:09');
  });

  test('volts and percent that stand side by side do not get mixed up', () => {
    const { signals } = mapped('traccar', payloadOf('traccar', 'position')).records[0] ?? {};
    expect(signals?.power).toEqual({ externalV: 12.71, batteryV: 4.11, batterySocPct: 96 });
  });

  test('an offset of +00:00 is UTC, and no offset at all is a reject', () => {
    const payload = payloadOf('traccar', 'position');
    payload.position.fixTime = '2026-11-20T18:19:57.000+02:00';
    expect(mapped('traccar', payload).records[0]?.observedAt).toBe('2026-11-20T16:19:57.000Z');
    payload.position.fixTime = '2026-11-20T16:19:57.000';
    expect(mapped('traccar', payload).rejects).toMatchObject([{ code: 'timestamp-without-zone' }]);
  });

  test('a position that is not valid gives no gps, and its sensors count at the time of the device', () => {
    const [record] = mapped('traccar', payloadOf('traccar', 'no-fix')).records;
    expect(record?.signals).not.toHaveProperty('gps');
    expect(record?.observedAt).toBe('2026-11-20T17:02:08.000Z');
  });
});

describe('flespi', () => {
  test('a dot in a key is part of the key', () => {
    const [record] = mapped('flespi', payloadOf('flespi', 'late-message')).records;
    expect(record?.signals.gps).toMatchObject({ latitude: 40.417287, longitude: -86.893661 });
  });

  test('a record that comes three hours late is kept with its own time', () => {
    const { records, rejects } = mapped('flespi', payloadOf('flespi', 'late-message'));
    expect(rejects).toEqual([]);
    expect(records.map((record) => record.observedAt)).toEqual([
      '2026-11-20T16:20:00.000Z',
      '2026-11-20T13:17:00.500Z',
    ]);
  });

  test('zero volts are a reading, not a gap', () => {
    expect(mapped('flespi', payloadOf('flespi', 'late-message')).records[1]?.signals.power?.externalV).toBe(0);
  });
});

describe('samsara', () => {
  const records = () => mapped('samsara', payloadOf('samsara', 'stats-feed')).records;

  test('thousandths of a degree become degrees', () => {
    const zones = records().flatMap((record) => record.signals.reefer?.zones ?? []);
    expect(zones).toContainEqual({ zone: 1, returnAirC: -17.35 });
    expect(zones).toContainEqual({ zone: 1, setpointC: -18 });
  });

  test('miles an hour become km/h', () => {
    expect(records()[0]?.signals.gps?.speedKph).toBe(96.56064);
  });

  test('every reading of a series keeps its own time', () => {
    const at = (pick: (signals: Payload) => unknown) =>
      records()
        .filter((record) => pick(record.signals))
        .map((record) => record.observedAt);
    expect(at((signals) => signals.gps)).toEqual(['2026-11-20T16:10:00.000Z', '2026-11-20T16:11:00.000Z']);
    expect(at((signals) => signals.doors)).toEqual(['2026-11-20T14:40:02.000Z']);
    expect(at((signals) => signals.reefer?.fuelPct)).toEqual(['2026-11-20T16:08:00.000Z']);
  });

  test('a fix that is repeated as the decoration of another reading is not a second fix', () => {
    const fixes = records().filter((record) => record.observedAt === '2026-11-20T16:10:00.000Z');
    expect(fixes).toHaveLength(1);
  });

  test('the location stream speaks m/s and has its VIN in externalIds; an asset without one is rejected alone', () => {
    const outcome = mapped('samsara', payloadOf('samsara', 'location-stream'));
    expect(outcome.records).toMatchObject([
      { asset: { vin: '1UYVS2535R3118640' }, signals: { gps: { speedKph: 95.4 } } },
    ]);
    expect(outcome.rejects).toMatchObject([{ code: 'asset-missing' }]);
  });
});

describe('project44', () => {
  test('seconds and milliseconds in one batch are told apart', () => {
    const at = mapped('project44', payloadOf('project44', 'mixed-batch')).records.map((record) => record.observedAt);
    expect(at).toEqual(['2026-11-20T16:00:00.412Z', '2026-11-20T15:59:00.000Z']);
  });

  test('a battery voltage of 2367 is 23.67 V', () => {
    expect(mapped('project44', payloadOf('project44', 'mixed-batch')).records[1]?.signals.power?.externalV).toBe(23.67);
  });

  test('of a batch with tractors and trailers the trailers are kept, each under its own VIN', () => {
    const outcome = mapped('project44', payloadOf('project44', 'mixed-batch'));
    expect(outcome.records.map((record) => record.asset)).toEqual([
      { vin: '1UYVS2533P7204518' },
      { vin: '1UYVS2535R3118640' },
    ]);
    expect(outcome.skipped).toBe(1);
  });
});

describe('senml', () => {
  test('base name and time are resolved, and a negative relative time is a record of its own', () => {
    const { records } = mapped('senml', payloadOf('senml', 'pack'));
    expect(records.map((record) => record.observedAt)).toEqual([
      '2026-11-20T16:20:00.000Z',
      '2026-11-20T16:19:18.000Z',
    ]);
    expect(records[1]?.signals.odometer).toEqual({ odometerM: 201774350 });
  });

  test('a base time relative to now counts from receivedAt', () => {
    const { records } = mapped('senml', payloadOf('senml', 'relative-to-now'));
    expect(records.slice(0, 2).map((record) => record.observedAt)).toEqual([
      '2026-11-20T17:04:50.000Z',
      '2026-11-20T17:03:50.000Z',
    ]);
  });

  test('kelvin and pascal become °C and kPa, also when a sender says °C to begin with', () => {
    const tires = mapped('senml', payloadOf('senml', 'pack')).records[0]?.signals.tires;
    expect(tires).toMatchObject([{ pressureKpa: 689.476, temperatureC: 33 }]);
    const { signals } = mapped('senml', payloadOf('senml', 'relative-to-now')).records[0] ?? {};
    expect(signals?.environment?.temperatureC).toBe(-18.5);
    expect(signals?.tires).toMatchObject([{ temperatureC: 28.35 }]);
  });

  test('tire 17 is the left inner tire of the first axle, 18 the right inner one (SPN 929)', () => {
    const { records } = mapped('senml', payloadOf('senml', 'pack'));
    expect(records[0]?.signals.tires).toMatchObject([{ axle: 1, side: 'left', dual: 'inner', positionRaw: 17 }]);
    expect(records[1]?.signals.tires).toMatchObject([{ axle: 1, side: 'right', dual: 'inner', positionRaw: 18 }]);
  });

  test('the VIN is taken out of the base name; without one the VIN of the path counts', () => {
    const payload = payloadOf('senml', 'pack');
    expect(mapped('senml', payload, '1UYVS2535R3118640').records[0]?.asset).toEqual({ vin: '1UYVS2533P7204518' });
    payload[0].bn = 'trailer:';
    expect(mapped('senml', payload, '1UYVS2535R3118640').records[0]?.asset).toEqual({ vin: '1UYVS2535R3118640' });
  });
});

describe('the-things-stack', () => {
  test('what is not sent is not made up: no temperature and no door from a message that has neither', () => {
    const { signals } = mapped('the-things-stack', payloadOf('the-things-stack', 'battery-only')).records[0] ?? {};
    expect(signals).toEqual({ power: { batteryV: 3.57 } });
  });

  test('a 0 and a false that are sent are readings', () => {
    const payload = payloadOf('the-things-stack', 'battery-only');
    payload.uplink_message.decoded_payload = { temp_c: 0, door_open: false };
    const { signals } = mapped('the-things-stack', payload).records[0] ?? {};
    expect(signals).toEqual({ environment: { temperatureC: 0 }, doors: [{ id: 'rear', state: 'closed' }] });
  });

  test('the place of the gateway, or of whoever registered the device, is never the place of the asset', () => {
    const [record] = mapped('the-things-stack', payloadOf('the-things-stack', 'battery-only')).records;
    expect(record?.signals).not.toHaveProperty('gps');
  });

  test('nanoseconds are cut to milliseconds, not rounded', () => {
    expect(mapped('the-things-stack', payloadOf('the-things-stack', 'uplink')).records[0]?.observedAt).toBe(
      '2026-11-20T16:20:05.410Z',
    );
  });

  test('an uplink that carries no data is left out, not rejected', () => {
    const payload = payloadOf('the-things-stack', 'uplink');
    delete payload.uplink_message;
    expect(mapped('the-things-stack', payload)).toMatchObject({ records: [], rejects: [], skipped: 1 });
  });
});

describe('the input schema', () => {
  test('answers every finding with its JSON Pointer, at most 20 of them', () => {
    const { validateInput } = find('samsara');
    expect(validateInput({ data: 5 })).toMatchObject([{ pointer: '/data', code: 'type' }]);
    const { validate } = createInputCheck({
      type: 'array',
      items: { type: 'object', required: ['a', 'b'], properties: { a: { type: 'number' } } },
    }) as { validate(payload: unknown): FieldError[] };
    expect(
      validate([{ a: 'x' }])
        .map((error) => [error.pointer, error.code])
        .sort(),
    ).toEqual([
      ['/0/a', 'type'],
      ['/0/b', 'required'],
    ]);
    expect(validate(Array.from({ length: 500 }, () => 5))).toHaveLength(20);
    const large = Array.from({ length: 4000 }, () => ({ c: 1, d: 2, e: 3, f: 4, g: 5 }));
    expect(validate(large)).toHaveLength(1);
  });

  test('of a list describes the envelope alone: an element that does not fit never costs its siblings', () => {
    const lists: Record<string, (elements: unknown[]) => unknown> = {
      deliversafe: (reports) => ({ unit: { serial: 'DS-1' }, reports }),
      flespi: (messages) => messages,
      project44: (units) => units,
      samsara: (data) => ({ data }),
      senml: (pack) => pack,
    };
    const anything = [null, true, 0, '', 'text', [], [[]], {}, { vin: null, timestamp: 'x', bn: 5, at: [] }];
    for (const [name, payload] of Object.entries(lists))
      expect(find(name).validateInput(payload(anything)), name).toEqual([]);
  });
});

describe('a folder of products that cannot be used', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gladhand products '));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const spoil = (name: string, file: string, change: (text: string) => string) => {
    cpSync(join(DIRECTORY, name), join(directory, name), { recursive: true });
    const path = join(directory, name, file);
    writeFileSync(path, change(readFileSync(path, 'utf8')));
  };

  test('is refused at start with every fault of every file named', () => {
    spoil('traccar', 'mapping-1.yaml', (text) =>
      text.replace('"[kn_i]"', 'kPa').replace('fixAttributes.hdop', 'fx.hdop'),
    );
    spoil('flespi', 'product.yaml', (text) => text.replace('state: live', 'state: draft'));
    spoil('project44', 'product.yaml', (text) => text.replace('version: 1', 'version: 2'));
    spoil('samsara', 'product.yaml', (text) => text.replace('type: object', 'type: objekt'));
    spoil('senml', 'mapping-1.yaml', () => 'records: [');
    const failure = (() => {
      try {
        return loadProducts(directory);
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(ProductsInvalid);
    const faults = (failure as ProductsInvalid).faults.map((fault) => `${fault.file}#${fault.pointer} ${fault.code}`);
    expect(faults).toEqual([
      'flespi/product.yaml#/versions value',
      'project44/mapping-2.yaml# required',
      'samsara/product.yaml#/inputSchema schema',
      'senml/mapping-1.yaml# yaml',
      'traccar/mapping-1.yaml#/records/0/signals/gps.speedKph/unit unit-dimension',
      'traccar/mapping-1.yaml#/records/0/signals/gps.hdop expression-variable',
      'traccar/mapping-1.yaml#/records/2/signals/gps.speedKph/unit unit-dimension',
      'traccar/mapping-1.yaml#/records/2/signals/gps.hdop expression-variable',
    ]);
  });
});
