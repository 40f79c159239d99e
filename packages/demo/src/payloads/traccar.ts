import { seedOf } from '../random.ts';
import { knots, type PartnerFormat } from './format.ts';

/** Traccar position forwarding (`forward.type = json`): one position and its device, in knots, metres and UTC (`+00:00`). */
export const traccarFormat: PartnerFormat = {
  readingsPerMessageMax: 1,
  historyStepMs: 60_000,
  sendsIdempotencyKey: false,
  render(asset, readings, sentAtMs) {
    const state = readings[0]!;
    const deviceId = 100 + (asset.seed % 900);
    const deviceAtMs = Math.min(state.atMs + 2000 + (asset.seed % 5000), sentAtMs);
    const positionId = seedOf(asset.vin, state.atMs) % 100_000_000;
    return {
      position: {
        id: positionId,
        attributes: {
          sat: state.gps.satellites,
          hdop: state.gps.hdop,
          ignition: state.power.ignitionOn,
          motion: state.moving,
          odometer: state.odometerM,
          totalDistance: state.odometerM - (asset.seed % 40_000),
          power: state.power.externalV,
          battery: state.power.batteryV,
          batteryLevel: state.power.batterySocPct,
          ...(state.door && { door: state.door.open }),
          axleWeight: state.cargo.axleWeightsKg.reduce((sum, weightKg) => sum + weightKg, 0),
          temp1: state.weather.temperatureC,
          vin: asset.vin,
          event: 0,
          ...(sentAtMs - state.atMs > 60_000 && { archive: true }),
        },
        deviceId,
        protocol: 'teltonika',
        serverTime: offsetIso(sentAtMs),
        deviceTime: offsetIso(deviceAtMs),
        fixTime: offsetIso(state.atMs),
        valid: true,
        latitude: state.gps.latitude,
        longitude: state.gps.longitude,
        altitude: state.gps.altitudeM,
        speed: knots(state.gps.speedKph),
        course: state.gps.headingDeg,
        address: null,
        accuracy: state.gps.accuracyM,
        network: null,
        geofenceIds: null,
      },
      device: {
        id: deviceId,
        attributes: {},
        groupId: 3,
        calendarId: 0,
        name: asset.unitNumber,
        uniqueId: asset.devices[0]!.externalId,
        status: 'online',
        lastUpdate: offsetIso(sentAtMs),
        positionId,
        phone: null,
        model: 'demo gateway',
        contact: null,
        category: 'trailer',
        disabled: false,
        expirationTime: null,
      },
    };
  },
};

function offsetIso(atMs: number): string {
  return new Date(atMs).toISOString().replace('Z', '+00:00');
}
