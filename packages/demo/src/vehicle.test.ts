import type { Signals } from '@gladhand/contract/signals.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { distanceM, highway, shortestWay } from './road.ts';
import { LEGS, TOWNS, type TownId } from './routes-data.ts';
import { createVehicle, type VehicleState } from './vehicle.ts';
import { createDemoWorld } from './world.ts';

const world = createDemoWorld({ seed: 42 });
const vehicles = world.assets.map(createVehicle);
const FROM_MS = Date.UTC(2026, 6, 1);
const instants = fc.integer({ min: FROM_MS, max: FROM_MS + 400 * 86_400_000 });
const anyVehicle = fc.integer({ min: 0, max: vehicles.length - 1 });

const place = (state: VehicleState) => ({ ...state.gps, elevationM: 0 });

test('two fixes never imply more than 130 km/h, whatever the time between them', () => {
  fc.assert(
    fc.property(anyVehicle, instants, fc.integer({ min: 1000, max: 120_000 }), (index, atMs, laterMs) => {
      const vehicle = vehicles[index]!;
      const [before, after] = [vehicle.stateAt(atMs), vehicle.stateAt(atMs + laterMs)];
      const kph = (distanceM(place(before), place(after)) / laterMs) * 3600;
      expect(kph).toBeLessThanOrEqual(130);
      expect(after.odometerM).toBeGreaterThanOrEqual(before.odometerM);
      expect((after.odometerM - before.odometerM) / laterMs).toBeLessThanOrEqual(130 / 3600 + 1 / laterMs);
    }),
    { numRuns: 5000 },
  );
});

test('speed is bounded and changes no faster than a truck can, and a standing vehicle stands', () => {
  fc.assert(
    fc.property(anyVehicle, instants, (index, atMs) => {
      const vehicle = vehicles[index]!;
      const [before, after] = [vehicle.stateAt(atMs), vehicle.stateAt(atMs + 1000)];
      expect(before.gps.speedKph).toBeGreaterThanOrEqual(0);
      expect(before.gps.speedKph).toBeLessThanOrEqual(112);
      expect(Math.abs(after.gps.speedKph - before.gps.speedKph)).toBeLessThan(6);
      if (!before.moving) expect(before.gps.speedKph).toBe(0);
      if (!before.moving && !after.moving) expect(after.odometerM).toBe(before.odometerM);
    }),
    { numRuns: 3000 },
  );
});

test('doors, liftgate and loading wait until the vehicle stands, and the aid measures only while it reverses', () => {
  fc.assert(
    fc.property(anyVehicle, instants, (index, atMs) => {
      const vehicle = vehicles[index]!;
      const state = vehicle.stateAt(atMs);
      if (state.door?.open) expect(state.moving).toBe(false);
      if (state.moving) expect(state.safety?.liftgate.state ?? 'stowed').toBe('stowed');
      if (!state.safety?.backup.reversing) expect(state.safety?.backup.proximityM).toBeUndefined();
      const later = vehicle.stateAt(atMs + 5000);
      const openNow = state.door === undefined || state.door.open || later.door!.open;
      if (later.cargo.fillPct !== state.cargo.fillPct) expect(openNow).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test('each kind of event happens within a week somewhere in the demo', () => {
  const seen = new Set<string>();
  for (const vehicle of vehicles) {
    for (let atMs = FROM_MS; atMs < FROM_MS + 7 * 86_400_000; atMs += 120_000) {
      const state = vehicle.stateAt(atMs);
      if (state.door?.open) seen.add('door');
      if (state.power.source === 'battery') seen.add('battery');
      for (const tire of state.tires) seen.add(`tire ${tire.status}`);
      for (const light of state.lights) seen.add(`light ${light.state}`);
      for (const fault of state.faults) seen.add(`spn ${fault.spn}`);
      if (state.reefer) seen.add(`reefer ${state.reefer.mode}`);
      if (state.safety)
        seen.add(`liftgate ${state.safety.liftgate.state}`).add(`backup ${state.safety.backup.warning}`);
      for (const camera of state.safety?.cameras ?? []) seen.add(`camera ${camera.state}`);
    }
  }
  for (const event of [
    'door',
    'battery',
    'tire ok',
    'tire leak',
    'light out',
    'spn 241',
    'spn 789',
    'reefer cooling',
  ]) {
    expect(seen).toContain(event);
  }
  for (const event of ['reefer defrost', 'reefer off', 'liftgate deployed', 'liftgate moving', 'backup caution']) {
    expect(seen).toContain(event);
  }
});

test('tires, refrigeration and power stay within the limits of real hardware', () => {
  fc.assert(
    fc.property(anyVehicle, instants, (index, atMs) => {
      const vehicle = vehicles[index]!;
      const state = vehicle.stateAt(atMs);
      for (const tire of state.tires) {
        expect(tire.pressureKpa).toBeGreaterThan(330);
        expect(tire.pressureKpa).toBeLessThan(900);
        expect(tire.temperatureC - state.weather.temperatureC).toBeGreaterThan(-2);
        expect(tire.temperatureC - state.weather.temperatureC).toBeLessThan(35);
      }
      if (state.reefer) {
        expect(Math.abs(state.reefer.returnAirC - state.reefer.setpointC)).toBeLessThan(30);
        expect(state.reefer.fuelPct).toBeGreaterThan(5);
        if (state.reefer.mode === 'cooling') expect(state.reefer.dischargeAirC).toBeLessThan(state.reefer.returnAirC);
      }
      expect(state.power.batteryV).toBeGreaterThan(3.5);
      expect(state.power.externalV).toBeLessThan(14.5);
    }),
    { numRuns: 2000 },
  );
});

test('a vehicle that is created again has the same states, in any order of calls', () => {
  const asset = world.assets[20]!;
  const [one, other] = [createVehicle(asset), createVehicle(asset)];
  const asked = Array.from({ length: 50 }, (_, i) => FROM_MS + i * 977_000);
  const forwards = asked.map((atMs) => one.stateAt(atMs));
  const backwards = asked.toReversed().map((atMs) => other.stateAt(atMs));
  expect(backwards.toReversed()).toEqual(forwards);
});

test('the states of a vehicle use the canonical names', () => {
  const state = vehicles[0]!.stateAt(FROM_MS);
  const signals = {
    gps: state.gps,
    odometer: { odometerM: state.odometerM },
    tires: [...state.tires],
    lights: [...state.lights],
    abs: state.abs,
    faults: state.faults.map((fault) => ({ protocol: 'j1939' as const, ...fault })),
  } satisfies Signals;
  expect(signals.tires).toHaveLength(8);
});

test('every leg is a gapless line of highway length, and every town is reached from every other', () => {
  for (const { from, to } of LEGS) {
    const line = highway(from, to);
    const steps = line.slice(1).map((point, index) => distanceM(line[index]!, point));
    expect(Math.max(...steps)).toBeLessThan(200);
    const ratio = steps.reduce((sum, step) => sum + step, 0) / distanceM(TOWNS[from], TOWNS[to]);
    expect(ratio).toBeGreaterThan(1);
    expect(ratio).toBeLessThan(1.5);
  }
  const towns = Object.keys(TOWNS) as TownId[];
  for (const town of towns) expect(shortestWay('indianapolis', town).at(-1)).toBe(town);
});
