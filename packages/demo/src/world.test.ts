import { normalizeVin } from '@gladhand/contract/vin.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createDemoWorld } from './world.ts';

test('every VIN of any demo world is well-formed and passes its check digit', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const world = createDemoWorld({ seed });
      for (const { vin } of [...world.assets, ...world.strangers]) {
        expect(normalizeVin(vin)).toEqual({ ok: true, vin, check: 'pass' });
      }
    }),
    { numRuns: 100 },
  );
});

test('a demo world has two fleets, 24 trailers, 6 DeliverSafe units and one stranger, all different', () => {
  const world = createDemoWorld({ seed: 1 });
  const everyone = [...world.assets, ...world.strangers];
  const trailers = world.assets.filter((asset) => asset.kind === 'trailer');
  const units = world.assets.filter((asset) => asset.kind === 'deliversafe');
  expect([trailers.length, units.length, world.strangers.length]).toEqual([24, 6, 1]);
  const fleets = world.fleets.map((fleet) => fleet.slug);
  expect(new Set(trailers.map((trailer) => trailer.fleet))).toEqual(new Set(fleets));
  expect(fleets).toHaveLength(2);
  expect(units.every((unit) => unit.serialNumber && unit.product === 'deliversafe' && !unit.fleet)).toBe(true);
  for (const pick of [
    everyone.map((asset) => asset.vin),
    everyone.map((asset) => asset.unitNumber),
    everyone.flatMap((asset) => asset.devices.map((device) => device.externalId)),
    everyone.map((asset) => asset.seed),
  ]) {
    expect(new Set<string | number>(pick).size).toBe(pick.length);
  }
  expect(everyone.every((asset) => asset.devices.filter((device) => device.isActive).length === 1)).toBe(true);
});

test('the same seed gives the same world and another seed gives another', () => {
  expect(createDemoWorld({ seed: 5 })).toEqual(createDemoWorld({ seed: 5 }));
  const vins = (seed: number) => createDemoWorld({ seed }).assets.map((asset) => asset.vin);
  expect(vins(5)).not.toEqual(vins(6));
});
