import { join } from 'node:path';
import type { MappedRecord } from '@gladhand/server/mapping/mapped-record.ts';
import { loadProducts } from '@gladhand/server/products/products.ts';
import { expect, test } from 'vitest';
import { distanceM } from '../road.ts';
import { createVehicle, type VehicleState } from '../vehicle.ts';
import { createDemoWorld, type DemoProduct } from '../world.ts';
import { deliversafeFormat } from './deliversafe.ts';
import { flespiFormat } from './flespi.ts';
import type { PartnerFormat } from './format.ts';
import { samsaraFormat } from './samsara.ts';
import { traccarFormat } from './traccar.ts';

const products = loadProducts(join(import.meta.dirname, '../../../server/products'));
const world = createDemoWorld({ seed: 9 });
const FROM_MS = Date.UTC(2026, 10, 20, 14);
const FORMATS: Record<DemoProduct, PartnerFormat> = {
  traccar: traccarFormat,
  samsara: samsaraFormat,
  flespi: flespiFormat,
  deliversafe: deliversafeFormat,
};

/** A day of each vehicle of the product, in messages of `perMessage` readings: the true states and the mapped records. */
function* day(product: DemoProduct, perMessage: number) {
  const { render } = FORMATS[product];
  const { validateInput, mapping } = products.find(product)!;
  for (const asset of world.assets.filter((each) => each.product === product)) {
    const vehicle = createVehicle(asset);
    for (let atMs = FROM_MS; atMs < FROM_MS + 86_400_000; atMs += perMessage * 317_000) {
      const states = Array.from({ length: perMessage }, (_, index) => vehicle.stateAt(atMs + index * 317_000));
      const sentAtMs = states.at(-1)!.atMs + 5000;
      const payload = JSON.parse(JSON.stringify(render(asset, states, sentAtMs))) as unknown;
      expect(validateInput(payload)).toEqual([]);
      const { records, rejects } = mapping.run({ payload, vin: asset.vin, receivedAtMs: sentAtMs });
      expect(rejects).toEqual([]);
      for (const record of records) {
        expect(record.assetRef).toEqual({ vin: asset.vin });
        expect(record.device).toEqual({ externalId: asset.devices[0]!.externalId, kind: asset.devices[0]!.kind });
      }
      yield { states, records };
    }
  }
}

function agrees(record: MappedRecord, state: VehicleState): void {
  const { gps, odometer, motion, tires } = record.signals;
  const there = { latitude: gps!.latitude!, longitude: gps!.longitude!, elevationM: 0 };
  expect(distanceM({ ...state.gps, elevationM: 0 }, there)).toBeLessThan(0.2);
  expect(gps!.headingDeg).toBe(state.gps.headingDeg);
  expect(Math.abs(gps!.speedKph! - state.gps.speedKph)).toBeLessThan(0.1);
  if (odometer) expect(Math.abs(odometer.odometerM! - state.odometerM)).toBeLessThan(1);
  if (motion) expect(motion).toEqual({ moving: state.moving, ignition: state.power.ignitionOn ? 'on' : 'off' });
  if (tires) expect(tires).toEqual(state.tires);
}

test.each(['traccar', 'flespi', 'deliversafe'] as const)(
  '%s: its product maps every reading back to the true state',
  (name) => {
    for (const { states, records } of day(name, FORMATS[name].readingsPerMessageMax === 1 ? 1 : 3)) {
      expect(records.map((record) => record.observedAtMs)).toEqual(states.map((state) => state.atMs));
      records.forEach((record, index) => agrees(record, states[index]!));
    }
  },
);

test('samsara: its product maps every fix and temperature back to the true state', () => {
  for (const { states, records } of day('samsara', 3)) {
    const fixes = records.filter((record) => record.signals.gps);
    expect(fixes.map((record) => record.observedAtMs)).toEqual(states.map((state) => state.atMs));
    fixes.forEach((record, index) => agrees(record, states[index]!));
    const zones = records.flatMap((record) => record.signals.reefer?.zones ?? []);
    const returns = zones.flatMap((zone) => zone.returnAirC ?? []);
    expect(returns).toEqual(states.map((state) => state.reefer!.returnAirC));
    expect(zones.flatMap((zone) => zone.mode ?? [])).toEqual([states.at(-1)!.reefer!.mode]);
    expect(records.some((record) => record.signals.doors)).toBe(true);
  }
});

test('together the four partners report tires, lights, doors, refrigeration, faults, weights and safety units', () => {
  const seen = new Set<string>();
  for (const product of Object.keys(FORMATS) as DemoProduct[]) {
    for (const { records } of day(product, 1)) {
      for (const { signals } of records) for (const group of Object.keys(signals)) seen.add(group);
    }
  }
  const groups =
    'abs axles backup cameras doors environment faults gps liftgate lights motion odometer power reefer tires';
  expect([...seen].sort()).toEqual(groups.split(' '));
});
