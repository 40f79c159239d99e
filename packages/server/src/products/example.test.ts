import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { fillExample } from './example.ts';
import { loadProducts, ProductsInvalid } from './products.ts';

const DIRECTORY = join(import.meta.dirname, '../../products');
const products = loadProducts(DIRECTORY);
const vin = '1UYVS2533P7204518';

describe('placeholders', () => {
  const nowMs = Date.parse('2026-11-20T16:20:05.250Z');
  const fill = (template: object) => fillExample(template, { nowMs, vin });

  test.each([
    ['$now', '2026-11-20T16:20:05.250Z'],
    ['$now-65s', '2026-11-20T16:19:00.250Z'],
    ['$now:rfc3339', '2026-11-20T16:20:05.250Z'],
    ['$now:epoch-s', Math.floor(nowMs / 1000)],
    ['$now-5s:epoch-ms', nowMs - 5_000],
    ['$vin', vin],
    ['urn:vin:$vin:', `urn:vin:${vin}:`],
    ['now', 'now'],
    ['$5', '$5'],
    ['before $now', 'before $now'],
  ])('%s becomes %s', (text, filled) => {
    expect(fill({ a: [text, 1, null, true] })).toEqual({ a: [filled, 1, null, true] });
  });
});

test('each shipped product has an example, which passes its input schema and gives records of the VIN alone, whenever it is filled in', () => {
  const instants = fc.date({ min: new Date('2001-01-01'), max: new Date('2100-01-01'), noInvalidDate: true });
  for (const { name, example, ...product } of products.all) {
    expect(example, name).not.toBeNull();
    fc.assert(
      fc.property(instants, fc.constantFrom(vin, '1UYVS2535R3118640', 'WDBHA23E9VF590365'), (at, ownVin) => {
        const nowMs = at.getTime();
        const payload = fillExample(example!, { nowMs, vin: ownVin });
        expect(JSON.stringify(payload)).not.toContain('$now');
        expect(product.validateInput(payload)).toEqual([]);
        const outcome = product.mapping.run({ payload, vin: ownVin, receivedAtMs: nowMs });
        expect(outcome.rejects).toEqual([]);
        expect(new Set(outcome.records.map(({ assetRef }) => JSON.stringify(assetRef)))).toEqual(
          new Set([JSON.stringify({ vin: ownVin })]),
        );
      }),
      { numRuns: 20 },
    );
  }
});

describe('an example that partners could not send stops the start, and its place is named', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gladhand-products-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  cpSync(join(DIRECTORY, 'project44'), join(directory, 'project44'), { recursive: true });
  const load = (text: string) => {
    writeFileSync(join(directory, 'project44', 'example.json'), text);
    return () => loadProducts(directory);
  };
  const entry = { vin: '$vin', timestamp: '$now:epoch-s', position: { latitude: 55, longitude: 12 } };

  test.each([
    ['{', '', 'json', 'JSON'],
    ['null', '', 'type', 'an object or an array'],
    [JSON.stringify([{ ...entry, timestamp: '$now+5s' }]), '/0/timestamp', 'placeholder', 'expected $now'],
    [JSON.stringify([{ ...entry, timestamp: '$now' }]), '/0', 'wrong-type', 'number'],
    [JSON.stringify([{ ...entry, vin: undefined }]), '/0', 'asset-missing', 'VIN'],
    [JSON.stringify([{ ...entry, timestamp: 1_500_000_000 }]), '/0', 'observed-at-out-of-range', ''],
    [JSON.stringify([{ ...entry, vin: 'WDBHA23E9VF590365' }]), '', 'vin', '$vin'],
  ])('%s', (text, pointer, code, detail) => {
    expect(load(text)).toThrow(ProductsInvalid);
    try {
      load(text)();
    } catch (error) {
      const [fault, ...more] = (error as ProductsInvalid).faults;
      expect(more).toEqual([]);
      expect(fault).toMatchObject({ file: 'project44/example.json', pointer, code });
      expect(fault!.detail).toContain(detail);
    }
  });

  test('and one that they could is loaded; a product without one has none', () => {
    expect(load(JSON.stringify([entry]))().find('project44')?.example).toEqual([entry]);
    rmSync(join(directory, 'project44', 'example.json'));
    expect(loadProducts(directory).find('project44')?.example).toBeNull();
  });
});
