import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { metricsOf } from '@gladhand/contract/metrics.ts';
import { findSignalTarget, type LeafTarget, signalPaths } from '@gladhand/contract/signal-target.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadProducts } from '../products/products.ts';
import { compileMapping } from './compile.ts';
import type { ProductRules } from './document.ts';
import type { MappingOutcome } from './mapped-record.ts';

/** Rules for every product and every payload, tested on the fixtures and on damaged copies of them. */
const DIRECTORY = join(import.meta.dirname, '../../products');
const products = loadProducts(DIRECTORY);
const RECEIVED_AT = Date.parse('2026-11-20T17:05:00Z');
const PATH_VIN = '1M8GDM9AXKP042788';

const fixtures = products.all.flatMap(({ name, mapping }) =>
  readdirSync(join(DIRECTORY, name, 'fixtures'))
    .filter((file) => !file.endsWith('.expected.json'))
    .map((file) => {
      const payload: unknown = JSON.parse(readFileSync(join(DIRECTORY, name, 'fixtures', file), 'utf8'));
      const expected = readFileSync(join(DIRECTORY, name, 'fixtures', file.replace('.json', '.expected.json')), 'utf8');
      const isSound = (JSON.parse(expected) as { rejects: unknown[] }).rejects.length === 0;
      return { name: `${name} ${file}`, product: name, mapping, payload, isSound };
    }),
);
/** Fixtures without rejects: the damage in a copy is only what the test has put there. */
const sound = fixtures.filter(({ isSound }) => isSound);
const run = (mapping: (typeof fixtures)[0]['mapping'], payload: unknown) =>
  mapping.run({ payload, vin: PATH_VIN, receivedAtMs: RECEIVED_AT });

type Pointer = readonly (string | number)[];
const isContainer = (value: unknown): value is Record<string | number, unknown> =>
  typeof value === 'object' && value !== null;

function pointersIn(value: unknown, at: Pointer = []): Pointer[] {
  const inner = isContainer(value)
    ? Object.keys(value).flatMap((key) => pointersIn(value[key], [...at, Array.isArray(value) ? Number(key) : key]))
    : [];
  return at.length === 0 ? inner : [at, ...inner];
}

const GONE = Symbol('taken out');

/** Returns a copy in which one place has another value or is removed. */
function spoil(payload: unknown, pointer: Pointer, value: unknown): unknown {
  const copy = structuredClone(payload);
  let container = copy as Record<string | number, unknown>;
  for (const step of pointer.slice(0, -1)) container = container[step] as typeof container;
  const last = pointer.at(-1)!;
  if (value !== GONE) container[last] = value;
  else if (Array.isArray(container)) container.splice(last as number, 1);
  else delete container[last];
  return copy;
}

const spoilt = fc.constantFrom<unknown>(GONE, null, '', 'text', 0, -7, 1e300, 2 ** 60, true, [], {}, [null], { x: 1 });
const anyPlace = fc.nat({ max: sound.length - 1 }).chain((index) => {
  const fixture = sound[index]!;
  const places = pointersIn(fixture.payload);
  return fc.record({ fixture: fc.constant(fixture), pointer: fc.constantFrom(...places), value: spoilt });
});

function countLeaves(value: unknown): number {
  const inner = isContainer(value) ? Object.values(value) : [];
  return inner.length === 0 ? 1 : inner.reduce((sum: number, entry) => sum + countLeaves(entry), 0);
}

const told = ({ leaves }: MappingOutcome) =>
  leaves.taken + leaves.skipped + leaves.leftOut + leaves.rejected + leaves.unused;

describe('a receipt accounts for everything', () => {
  test('every leaf of every fixture is counted once', () => {
    for (const { name, mapping, payload } of fixtures)
      expect(told(run(mapping, payload)), name).toBe(countLeaves(payload));
  });

  test('in a damaged payload every leaf is counted once, and an outcome without records gives the reason', () => {
    fc.assert(
      fc.property(anyPlace, ({ fixture, pointer, value }) => {
        const payload = spoil(fixture.payload, pointer, value);
        const outcome = run(fixture.mapping, payload);
        expect(told(outcome)).toBe(countLeaves(payload));
        if (outcome.records.length === 0) expect(outcome.rejectsTotal + outcome.skipped).toBeGreaterThan(0);
        expect(outcome.rejectsTotal).toBeGreaterThanOrEqual(outcome.rejects.length);
      }),
      { numRuns: 1500 },
    );
  });

  test('a leaf that no line reads is unused and named, wherever it is added', () => {
    fc.assert(
      fc.property(anyPlace, ({ fixture, pointer }) => {
        const parent = pointer.slice(0, -1);
        const container = parent.reduce<unknown>(
          (value, step) => (value as Record<string, unknown>)[step as string],
          fixture.payload,
        );
        fc.pre(isContainer(container) && !Array.isArray(container) && fixture.product !== 'senml');
        const before = run(fixture.mapping, fixture.payload);
        const after = run(fixture.mapping, spoil(fixture.payload, [...parent, 'nobodyReadsThis'], 1));
        const isSkipped = after.leaves.skipped > before.leaves.skipped;
        expect(after.leaves.unused - before.leaves.unused).toBe(isSkipped ? 0 : 1);
        expect(after.records).toEqual(before.records);
      }),
      { numRuns: 300 },
    );
  });
});

describe('absent is not a value', () => {
  /**
   * Fields that hide another value, replace it by a better one, or identify an element: removing one shows that value.
   */
  const FLAGS = /valid|outdated|Time$|unit_type|substateValue|^door$|^(spn|fmi|sa)$/;

  test('removing a field of a payload never adds a value to its records', () => {
    fc.assert(
      fc.property(anyPlace, ({ fixture, pointer }) => {
        // In SenML a base field replaces a field that an entry leaves out; senml-pack.test.ts tests that.
        fc.pre(fixture.product !== 'senml' && !FLAGS.test(String(pointer.at(-1))));
        const values = (outcome: MappingOutcome) =>
          outcome.records.flatMap(({ signals }) =>
            // For a list of alarms or faults the metric is its length, which changes with each element.
            metricsOf(signals).flatMap(([metric, value]) =>
              value === null || /alarms$|faults$/.test(metric) ? [] : [`${metric} ${value}`],
            ),
          );
        const before = new Set(values(run(fixture.mapping, fixture.payload)));
        for (const gone of [GONE, null]) {
          const after = values(run(fixture.mapping, spoil(fixture.payload, pointer, gone)));
          expect(after.filter((value) => !before.has(value))).toEqual([]);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test('no shipped mapping has a default, and a record never has a constant alone', () => {
    for (const { mappingDocument } of products.all) expect(JSON.stringify(mappingDocument)).not.toContain('"default"');
    fc.assert(
      fc.property(anyPlace, ({ fixture, pointer, value }) => {
        for (const { signals, states } of run(fixture.mapping, spoil(fixture.payload, pointer, value)).records) {
          const measured = metricsOf(signals).filter(([metric]) => !/Source$/.test(metric));
          expect(measured.length, JSON.stringify({ signals, states })).toBeGreaterThan(0);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('one bad part does not cost the good ones', () => {
  /** Fields that decide about a whole record: its asset, time, device and position. */
  const DECIDES =
    /vin|VIN|externalIds|samsara|serial|ident$|device|uniqueId|time|Time|^at$|received_at|latitude|longitude|valid|outdated|^lat$|^lon$|bn|bt|^n$|^t$|^data$|reports|position$|unit_type|decoded_payload|uplink_message|end_device_ids|asset$|location$|attributes$|^unit$/;

  test('a damaged value is lost alone: at most the record that had no other value is missing, and no record changes its time', () => {
    fc.assert(
      fc.property(anyPlace, ({ fixture, pointer, value }) => {
        fc.pre(fixture.product !== 'senml' && !pointer.some((step) => DECIDES.test(String(step))));
        const isElement =
          pointer.filter((step) => typeof step === 'number').length > 0 && typeof pointer.at(-1) === 'number';
        fc.pre(!isElement);
        const before = run(fixture.mapping, fixture.payload);
        const after = run(fixture.mapping, spoil(fixture.payload, pointer, value));
        // A record that has only this value is missing too.
        expect(after.records.length).toBeGreaterThanOrEqual(before.records.length - 1);
        const instants = new Set(before.records.map(({ observedAtMs }) => observedAtMs));
        for (const record of after.records) expect(instants).toContain(record.observedAtMs);
      }),
      { numRuns: 1500 },
    );
  });

  const LISTS: Record<string, (payload: any) => unknown[]> = {
    deliversafe: (payload) => payload.reports,
    flespi: (payload) => payload,
    project44: (payload) => payload,
    samsara: (payload) => payload.data,
  };

  test('the value of one list element does not change the records of the other elements', () => {
    const ofLists = sound.filter(({ product }) => product in LISTS);
    fc.assert(
      fc.property(fc.constantFrom(...ofLists), spoilt, fc.nat(), (fixture, value, place) => {
        const alone = run(fixture.mapping, fixture.payload);
        const payload = structuredClone(fixture.payload);
        const list = LISTS[fixture.product]!(payload);
        list.splice(place % (list.length + 1), 0, value === GONE ? undefined : value);
        const among = run(fixture.mapping, JSON.parse(JSON.stringify(payload)));
        expect(among.records).toEqual(alone.records);
      }),
      { numRuns: 500 },
    );
  });

  test('a damaged element is only stored for its own vehicle or for the vehicle of the request path', () => {
    const ofLists = sound.filter(({ product }) => product in LISTS);
    fc.assert(
      fc.property(fc.constantFrom(...ofLists), fc.nat(), spoilt, fc.nat(), (fixture, place, value, index) => {
        const elements = LISTS[fixture.product]!(fixture.payload);
        const at = index % elements.length;
        const places = pointersIn(elements[at]);
        const pointer = places[place % places.length]!;
        const payload = structuredClone(fixture.payload);
        LISTS[fixture.product]!(payload)[at] = spoil(elements[at], pointer, value);
        const whole = run(fixture.mapping, fixture.payload);
        const owners = new Set(whole.records.map(({ assetRef }) => JSON.stringify(assetRef)));
        owners.add(JSON.stringify({ vin: PATH_VIN }));
        // A damaged element may name another vehicle correctly.
        for (const [vin] of JSON.stringify(elements[at]).matchAll(/[A-HJ-NPR-Z0-9]{17}/g))
          owners.add(JSON.stringify({ vin }));
        for (const { assetRef } of run(fixture.mapping, payload).records)
          expect(owners).toContain(JSON.stringify(assetRef));
      }),
      { numRuns: 1000 },
    );
  });
});

const rules: ProductRules = { vinCheck: 'mark', clockSkew: { pastSecondsMax: 86400, futureSecondsMax: 60 } };

/** A mapping of one leaf, `item.x`, beside a value that is always there. */
function ofLeaf(target: LeafTarget) {
  const signals =
    target.path === 'gps.hdop' ? { 'gps.hdop': 'item.x' } : { 'gps.hdop': 'item.h', [target.path]: 'item.x' };
  const document = {
    format: 'gladhand.mapping/v1',
    records: [{ each: 'payload', observedAt: { value: 'item.ts', format: 'epoch-ms' }, signals }],
  };
  const compiled = compileMapping(document, { product: rules });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  return (x: unknown) => run(compiled.mapping, [{ ts: RECEIVED_AT, h: 1, x }]).records[0];
}

const valueAt = (record: { signals: unknown } | undefined, path: string) =>
  path.split('.').reduce<any>((value, step) => value?.[step], record?.signals);

const leaves = signalPaths()
  .map(findSignalTarget)
  .filter((target): target is LeafTarget => target?.kind === 'leaf')
  // Leaves of lists also need an identity, and a position is a pair. Their check is the same.
  .filter(
    ({ path }) => !/^(batteries|tires|lights|doors|axles|brakes|faults|cameras|reefer\.(zones|alarms))\./.test(path),
  )
  .filter(({ path }) => path !== 'gps.latitude' && path !== 'gps.longitude')
  .filter(({ type }) => type === 'number' || type === 'integer');

describe('plausible', () => {
  test.each(leaves)(
    '$path refuses whole numbers beyond 2^53 and what lies outside its bounds, with a mark',
    (target) => {
      const read = ofLeaf(target);
      for (const x of [2 ** 53, -(2 ** 53), 2 ** 64]) {
        expect(valueAt(read(x), target.path), String(x)).toBeUndefined();
        if (target.path !== 'gps.hdop') expect(read(x)?.states).toEqual({ [target.path]: 'implausible' });
      }
      if (target.maximum !== undefined && target.maximum < 1e9) {
        expect(valueAt(read(target.maximum * 2 + 1.5), target.path)).toBeUndefined();
      }
    },
  );

  test.each(leaves.filter(({ unit }) => unit !== undefined))(
    '$path takes all bits set for "not available"',
    (target) => {
      const read = ofLeaf(target);
      const coded = target.isCounter ? [4294967295] : [65535, 4294967295];
      for (const x of coded) {
        expect(valueAt(read(x), target.path) ?? null, String(x)).toBeNull();
        if (target.path !== 'gps.hdop') expect(read(x)?.states).toEqual({ [target.path]: 'notAvailable' });
      }
    },
  );
});

test('a wrong device clock never costs the record: in range it is kept, otherwise it is left out and reported', () => {
  const document = {
    format: 'gladhand.mapping/v1',
    records: [
      {
        each: 'payload',
        observedAt: { value: 'item.ts', format: 'epoch-ms' },
        deviceAt: { value: 'item.sent', format: 'epoch-ms' },
        signals: { 'gps.hdop': 'item.h' },
      },
    ],
  };
  const compiled = compileMapping(document, { product: rules });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const clock = fc.oneof(
    fc.integer({ min: RECEIVED_AT - 2 * 86_400_000, max: RECEIVED_AT + 120_000 }),
    fc.constantFrom<unknown>(0, -1, 2 ** 60, null, '', 'now', true, [], {}, 4102444800000),
  );
  fc.assert(
    fc.property(clock, (sent) => {
      const { records, rejects } = run(compiled.mapping, [{ ts: RECEIVED_AT, h: 1, sent }]);
      expect(records).toHaveLength(1);
      const { deviceAtMs } = records[0]!;
      if (deviceAtMs === undefined) expect(rejects.length).toBe(sent === null ? 0 : 1);
      else {
        expect(deviceAtMs).toBeGreaterThanOrEqual(RECEIVED_AT - 86_400_000);
        expect(deviceAtMs).toBeLessThanOrEqual(RECEIVED_AT + 60_000);
      }
    }),
  );
});

describe('work stays linear', () => {
  const compiled = (records: object[]) => {
    const result = compileMapping({ format: 'gladhand.mapping/v1', records }, { product: rules });
    if (!result.ok) throw new Error(JSON.stringify(result.errors));
    return result.mapping;
  };
  const observedAt = { value: 'item.ts', format: 'epoch-ms' };
  const items = Array.from({ length: 5000 }, (_, index) => ({
    ts: RECEIVED_AT - index,
    id: index,
    kind: index % 3,
    h: 1,
  }));

  test('elements that a record spec leaves out do not count against the records of a payload', () => {
    const specs = [0, 1, 2].map((kind) => ({
      each: 'payload',
      when: `item.kind == ${kind}`,
      observedAt,
      signals: { 'gps.hdop': 'item.h' },
    }));
    const { records, rejectsTotal, skipped } = run(compiled(specs), items);
    expect([records.length, rejectsTotal, skipped]).toEqual([5000, 0, 0]);
  });

  test('a list that is the same for every element is computed once', () => {
    const spec = {
      each: 'payload',
      let: { thirds: 'payload.filter(other, other.kind == 0)' },
      observedAt,
      signals: { 'gps.satellites': 'size(thirds) > 0 ? item.h : null' },
    };
    expect(run(compiled([spec]), items)).toMatchObject({ rejectsTotal: 0, records: { length: 5000 } });
  });

  test('a filter over the whole payload for each element ends with a reject, except in small payloads', () => {
    const spec = {
      each: 'payload',
      let: { same: 'payload.filter(other, other.id == item.id)' },
      observedAt,
      signals: { 'gps.satellites': 'size(same) > 0 ? item.h : null' },
    };
    const large = run(compiled([spec]), items);
    expect(large.records).toHaveLength(50);
    expect(large.rejects.at(-1)).toMatchObject({ code: 'too-much-work' });
    expect(large.rejectsTotal).toBe(4950);
    expect(run(compiled([spec]), items.slice(0, 400)).records).toHaveLength(400);
  });

  test('a loop over a list outside of the loop around it is counted too, even if `when` leaves out every element', () => {
    const spec = {
      each: [
        { as: 'item', in: 'payload' },
        { as: 'other', in: 'payload' },
      ],
      when: 'other.id == -1',
      observedAt,
      signals: { 'gps.hdop': 'item.h' },
    };
    const { rejects, records } = run(compiled([spec]), items);
    expect(records).toEqual([]);
    expect(rejects.at(-1)).toMatchObject({ code: 'too-much-work' });
  });
});
