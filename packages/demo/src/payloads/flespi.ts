import { seedOf } from '../random.ts';
import type { VehicleState } from '../vehicle.ts';
import type { PartnerFormat } from './format.ts';

/**
 * flespi channel messages: an array with one flat object per reading. Keys are dotted; units are epoch seconds, km/h, km and
 * volts. Data without a flespi parameter has the prefix `custom.`: here the trailer's bus (J1939), at most twice a minute.
 */
export const flespiFormat: PartnerFormat = {
  readingsPerMessageMax: 60,
  historyStepMs: 30_000,
  sendsIdempotencyKey: false,
  render(asset, readings, sentAtMs) {
    return readings.map((state, index) => ({
      ident: asset.devices[0]!.externalId,
      timestamp: state.atMs / 1000,
      'server.timestamp': sentAtMs / 1000 + index * 0.000_689,
      'channel.id': 429,
      'protocol.id': 14,
      peer: `203.0.113.${1 + (asset.seed % 250)}:${49_152 + (asset.seed % 16_000)}`,
      'device.id': 180_000 + (asset.seed % 10_000),
      'device.name': asset.unitNumber,
      'device.type.id': 744,
      'position.latitude': state.gps.latitude,
      'position.longitude': state.gps.longitude,
      'position.altitude': state.gps.altitudeM,
      'position.direction': state.gps.headingDeg,
      'position.speed': state.gps.speedKph,
      'position.hdop': state.gps.hdop,
      'position.satellites': state.gps.satellites,
      'position.valid': true,
      'gnss.status': true,
      'movement.status': state.moving,
      'engine.ignition.status': state.power.ignitionOn,
      'external.powersource.voltage': state.power.externalV,
      'battery.voltage': state.power.batteryV,
      'vehicle.mileage': state.odometerM / 1000,
      'event.priority.enum': 0,
      'gsm.signal.level': 20 * (1 + (seedOf(asset.vin, state.atMs) % 5)),
      ...(state.atMs % 60_000 < BUS_WITHIN_MS && bus(state)),
    }));
  },
};

/** Bus data is sent with readings in the first half of a minute. With readings 30 s apart, that is every second one. */
const BUS_WITHIN_MS = 30_000;

function bus(state: VehicleState) {
  return {
    'custom.tires': state.tires.map((tire) => ({
      position: tire.positionRaw,
      pressure: tire.pressureKpa,
      temperature: tire.temperatureC,
      leak: tire.leakRatePaS,
      status: tire.status,
    })),
    'custom.lights': state.lights.map((light) => ({
      circuit: light.circuit,
      state: light.state,
      current: light.currentA,
    })),
    'custom.abs.lamp': state.abs.lamp === 'on',
    'custom.dtc': state.faults,
    'custom.axles': state.cargo.axleWeightsKg.map((weight, index) => ({ axle: index + 1, weight })),
    ...(state.door && { 'custom.door.rear.open': state.door.open }),
  };
}
