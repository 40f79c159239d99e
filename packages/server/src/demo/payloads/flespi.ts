import { seedOf } from '../random.ts';
import type { PartnerFormat } from './format.ts';

/** flespi channel messages: a flat object with dotted keys per reading, in an array; epoch seconds, km/h, km, volts. */
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
    }));
  },
};
