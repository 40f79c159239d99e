import { type Static, type TProperties, type TSchema, Type } from 'typebox';
import { flag, keyOneOf, keyText, keyWhole, oneOf, quantity, text, whole } from './leaf.ts';
import { VIN_PATTERN } from './vin.ts';

/**
 * The canonical vocabulary, into which mappings translate every partner's words. It is the one source for mapping checks,
 * validation, OpenAPI and documentation. SPN is a parameter and PGN a message of SAE J1939; VSS is the COVESA Vehicle Signal
 * Specification. The unit stands last in a name. Bounds are those of use, not of physics: no trailer is warmer than 150 C
 * inside or has driven 5 million km. A value outside the bounds comes from a broken sensor or a wrong unit, so it is left
 * out and marked in `states`.
 */
const closed = { additionalProperties: false } as const;
const group = <P extends TProperties>(description: string, fields: P, title?: string) =>
  Type.Object(fields, { ...closed, ...(title !== undefined && { title }), description });

/** The most elements that one list of one record may have. */
export const ELEMENTS_PER_LIST_MAX = 256;

/** A list whose elements are identified by the named keys, in this order, never by their index. */
const list = <E extends TSchema>(identity: readonly string[], element: E, description: string) =>
  Type.Array(element, { 'x-identity': [...identity], maxItems: ELEMENTS_PER_LIST_MAX, description });

/**
 * A list that states everything that is currently up, such as active faults. What it does not name is not up. An empty list
 * says that nothing is up. An element has a meaning even without any field except its identity.
 */
const statedList = <E extends TSchema>(identity: readonly string[], element: E, description: string) =>
  Type.Array(element, {
    'x-identity': [...identity],
    'x-stated': true,
    maxItems: ELEMENTS_PER_LIST_MAX,
    description: `${description}. What is not in the list is not up; an empty list says that nothing is`,
  });

const axle = () => keyWhole('Axle, counted from the front of the vehicle; 1 = first', { minimum: 1, maximum: 31 });
const side = () => keyOneOf('Side, seen in the direction of travel', ['left', 'right']);
/** Air in or around a trailer or a site. */
const airCelsius = (description: string) => quantity(description, 'Cel', { minimum: -60, maximum: 150 });
/** Vehicle systems have 12, 24 or 48 V. */
const volts = (description: string) => quantity(description, 'V', { minimum: 0, maximum: 100 });
const percent = (description: string) => quantity(description, '%', { minimum: 0, maximum: 100 });
const kilowatts = (description: string) => quantity(description, 'kW');
const kilowattHours = (description: string) => quantity(description, 'kW.h', { minimum: 0 });
const countedKilowattHours = (description: string) => quantity(description, 'kW.h', { minimum: 0, 'x-counter': true });

export const SignalsSchema = Type.Object(
  {
    gps: Type.Optional(
      group(
        'Position and movement over ground (VSS Vehicle.CurrentLocation)',
        {
          latitude: Type.Optional(
            quantity('Latitude, WGS 84, north positive (SPN 584)', 'deg', { minimum: -90, maximum: 90 }),
          ),
          longitude: Type.Optional(
            quantity('Longitude, WGS 84, east positive (SPN 585)', 'deg', { minimum: -180, maximum: 180 }),
          ),
          altitudeM: Type.Optional(
            quantity('Height above the geoid (VSS CurrentLocation.Altitude)', 'm', { minimum: -500, maximum: 9000 }),
          ),
          headingDeg: Type.Optional(
            quantity('Course over ground from true north, clockwise, [0, 360) (SPN 165)', 'deg', {
              minimum: 0,
              exclusiveMaximum: 360,
              'x-cycle': 360,
            }),
          ),
          speedKph: Type.Optional(
            quantity('Speed (SPN 84 wheel-based, SPN 517 navigation-based)', 'km/h', { minimum: 0, maximum: 250 }),
          ),
          speedSource: Type.Optional(oneOf('What measured speedKph', ['gnss', 'wheel', 'ecu'])),
          accuracyM: Type.Optional(
            quantity('Horizontal accuracy (VSS CurrentLocation.HorizontalAccuracy)', 'm', {
              minimum: 0,
              maximum: 100000,
            }),
          ),
          hdop: Type.Optional(quantity('Horizontal dilution of precision', '1', { minimum: 0, maximum: 100 })),
          satellites: Type.Optional(whole('Satellites used for the fix', { maximum: 100 })),
          fixType: Type.Optional(
            oneOf('Kind of fix (VSS CurrentLocation.GNSSReceiver)', ['none', '2d', '3d', 'dgps', 'rtk', 'network']),
          ),
        },
        'Gps',
      ),
    ),
    odometer: Type.Optional(
      group('Distance travelled', {
        odometerM: Type.Optional(
          quantity('Total distance (VSS Vehicle.TraveledDistance; SPN 245, 917)', 'm', {
            minimum: 0,
            maximum: 5e9,
            'x-counter': true,
          }),
        ),
        odometerSource: Type.Optional(oneOf('What counted odometerM', ['hub', 'ecu', 'gnss', 'manual'])),
      }),
    ),
    motion: Type.Optional(
      group('Whether it moves', {
        moving: Type.Optional(flag('Moving, as the device judges it')),
        ignition: Type.Optional(
          oneOf('Ignition (VSS Vehicle.LowVoltageSystemState)', ['off', 'acc', 'on', 'start', 'unknown']),
        ),
      }),
    ),
    power: Type.Optional(
      group('Supply of the telematics device', {
        source: Type.Optional(oneOf('What feeds the device now', ['tractor', 'battery', 'solar', 'shore', 'none'])),
        externalV: Type.Optional(volts('Voltage of the external supply (SPN 168)')),
        batteryV: Type.Optional(volts('Voltage of the device battery (SPN 158)')),
        batterySocPct: Type.Optional(percent('Charge of the device battery')),
        solarV: Type.Optional(quantity('Voltage of the solar panel', 'V', { minimum: 0, maximum: 200 })),
        solarA: Type.Optional(quantity('Current of the solar panel', 'A', { minimum: -100, maximum: 100 })),
      }),
    ),
    batteries: Type.Optional(
      list(
        ['role'],
        group('One battery on board', {
          role: keyOneOf('What the battery is for', ['liftgate', 'gateway', 'reefer', 'auxiliary']),
          voltageV: Type.Optional(volts('Voltage (SPN 444)')),
          socPct: Type.Optional(percent('State of charge')),
          charging: Type.Optional(flag('Being charged')),
        }),
        'Batteries, one for each role',
      ),
    ),
    tires: Type.Optional(
      list(
        ['axle', 'side', 'dual'],
        group('One tire (PGN 65268)', {
          axle: axle(),
          side: side(),
          dual: keyOneOf('Place in a dual wheel; single where there is one tire a side', ['inner', 'outer', 'single'], {
            'x-identity-default': 'single',
          }),
          positionRaw: Type.Optional(whole('Position as the device numbers it (SPN 929)', { maximum: 65535 })),
          pressureKpa: Type.Optional(quantity('Pressure, gauge (SPN 241)', 'kPa', { minimum: 0, maximum: 2000 })),
          temperatureC: Type.Optional(quantity('Temperature (SPN 242)', 'Cel', { minimum: -60, maximum: 300 })),
          leakRatePaS: Type.Optional(quantity('Air leakage rate (SPN 2586)', 'Pa/s', { minimum: 0, maximum: 1e6 })),
          status: Type.Optional(
            oneOf('Pressure against its threshold (SPN 1698, 2587)', [
              'ok',
              'low',
              'veryLow',
              'high',
              'veryHigh',
              'leak',
              'sensorError',
            ]),
          ),
        }),
        'Tires by axle, side and dual position',
      ),
    ),
    abs: Type.Optional(
      group('Trailer ABS (PGN 61441)', {
        lamp: Type.Optional(oneOf('Trailer ABS warning lamp (SPN 1836)', ['off', 'on', 'flashing'])),
        active: Type.Optional(flag('ABS is controlling the brakes (SPN 1792, 563)')),
        fault: Type.Optional(flag('ABS is not fully operational')),
      }),
    ),
    lights: Type.Optional(
      list(
        ['circuit'],
        group('One lighting circuit (J560 pins; PGN 65088)', {
          circuit: keyOneOf('Circuit', [
            'leftTurn',
            'rightTurn',
            'stop',
            'tailLicense',
            'clearanceMarker',
            'auxiliary',
          ]),
          state: Type.Optional(oneOf('State of the circuit', ['ok', 'out', 'short', 'low'])),
          currentA: Type.Optional(quantity('Current drawn', 'A', { minimum: 0, maximum: 100 })),
        }),
        'Lighting circuits',
      ),
    ),
    doors: Type.Optional(
      list(
        ['id'],
        group('One door (SPN 1821, 3412-3441)', {
          id: keyText('rear, side, or zone1, zone2, ...', '^(rear|side|zone[1-9][0-9]?)$'),
          state: Type.Optional(oneOf('State', ['open', 'closed', 'ajar', 'unknown'])),
        }),
        'Doors by id',
      ),
    ),
    cargo: Type.Optional(
      group('What is inside', {
        state: Type.Optional(oneOf('How full', ['empty', 'partial', 'loaded'])),
        fillPct: Type.Optional(percent('Share of the cargo space in use')),
        weightKg: Type.Optional(quantity('Cargo weight (SPN 180, 181)', 'kg', { minimum: 0, maximum: 200000 })),
      }),
    ),
    axles: Type.Optional(
      list(
        ['axle'],
        group('One axle', {
          axle: axle(),
          weightKg: Type.Optional(quantity('Weight on the axle (SPN 582)', 'kg', { minimum: 0, maximum: 100000 })),
        }),
        'Axles from the front',
      ),
    ),
    grossWeightKg: Type.Optional(
      quantity('Weight of vehicle and cargo (SPN 928)', 'kg', { minimum: 0, maximum: 1000000 }),
    ),
    brakes: Type.Optional(
      list(
        ['axle', 'side'],
        group('One brake (PGN 64881; SPN 3795-3804)', {
          axle: axle(),
          side: side(),
          stroke: Type.Optional(
            oneOf('Stroke of the brake actuator (SPN 3795-3804)', [
              'ok',
              'overstroke',
              'dragging',
              'nonFunctioning',
              'sensorError',
            ]),
          ),
          liningPct: Type.Optional(percent('Lining left (SPN 1099-1106)')),
        }),
        'Brakes by axle and side',
      ),
    ),
    reefer: Type.Optional(
      group('Refrigeration unit', {
        powerOn: Type.Optional(flag('Switched on')),
        runMode: Type.Optional(oneOf('How it runs', ['continuous', 'startStop', 'sleep', 'defrost', 'off'])),
        ambientC: Type.Optional(airCelsius('Outside air temperature')),
        fuelPct: Type.Optional(percent('Fuel left')),
        engineHours: Type.Optional(
          quantity('Engine running time', 'h', { minimum: 0, maximum: 200000, 'x-counter': true }),
        ),
        zones: Type.Optional(
          list(
            ['zone'],
            group('One temperature zone', {
              zone: keyWhole('Zone, counted from the front; 1 = first', { minimum: 1, maximum: 9 }),
              setpointC: Type.Optional(airCelsius('Temperature asked for')),
              returnAirC: Type.Optional(airCelsius('Air returning from the cargo (SPN 169, cargo ambient)')),
              dischargeAirC: Type.Optional(airCelsius('Air blown at the cargo')),
              mode: Type.Optional(
                oneOf('What the zone does', ['cooling', 'heating', 'defrost', 'null', 'pretrip', 'on', 'off']),
              ),
            }),
            'Temperature zones',
          ),
        ),
        alarms: Type.Optional(
          statedList(
            ['code'],
            group('One alarm that is up', {
              code: keyText('Code of the unit maker', '^.{1,40}$'),
              severity: Type.Optional(oneOf('How urgent', ['info', 'check', 'warning', 'immediate'])),
              description: Type.Optional(text('Text of the unit maker', 500)),
            }),
            'Alarms that are up',
          ),
        ),
      }),
    ),
    liftgate: Type.Optional(
      group('Liftgate', {
        state: Type.Optional(oneOf('State', ['stowed', 'deployed', 'moving', 'unknown'])),
        cycles: Type.Optional(whole('Times it was lowered and raised', { maximum: 1e7 })),
      }),
    ),
    coupling: Type.Optional(
      group('Coupling to a tractor (VSS Vehicle.Trailer.IsConnected; J2497)', {
        state: Type.Optional(oneOf('State', ['coupled', 'uncoupled', 'unknown'])),
        tractorVin: Type.Optional(text('VIN of the tractor', 17, { pattern: VIN_PATTERN })),
        evidence: Type.Optional(oneOf('How it is known', ['pin', 'motion', 'ble', 'manual'])),
      }),
    ),
    faults: Type.Optional(
      statedList(
        ['protocol', 'sa', 'mid', 'spn', 'pid', 'fmi', 'code'],
        group('One trouble code (DM1, PGN 65226)', {
          protocol: keyOneOf('Who defines the numbers', ['j1939', 'j1708', 'obd2', 'vendor']),
          spn: Type.Optional(keyWhole('Suspect parameter number', { maximum: 524287 })),
          fmi: Type.Optional(keyWhole('Failure mode identifier', { maximum: 31 })),
          oc: Type.Optional(whole('Occurrence count', { maximum: 126, 'x-not-available': 127 })),
          sa: Type.Optional(keyWhole('Source address', { maximum: 255 })),
          mid: Type.Optional(keyWhole('Message identifier (J1708)', { maximum: 255 })),
          pid: Type.Optional(keyWhole('Parameter identifier (J1708)', { maximum: 65535 })),
          code: Type.Optional(keyText('Code as text (OBD-II or vendor)', '^.{1,40}$')),
          lamps: Type.Optional(
            group('Lamps this code asks for', {
              mil: Type.Optional(flag('Malfunction indicator (SPN 1213)')),
              red: Type.Optional(flag('Red stop (SPN 623)')),
              amber: Type.Optional(flag('Amber warning (SPN 624)')),
              protect: Type.Optional(flag('Protect (SPN 987)')),
            }),
          ),
          active: Type.Optional(flag('Active now; false: previously active (DM2)')),
        }),
        'Trouble codes, told apart by every number that is given',
      ),
    ),
    environment: Type.Optional(
      group('Air around the sensor', {
        temperatureC: Type.Optional(airCelsius('Temperature')),
        humidityPct: Type.Optional(percent('Relative humidity')),
      }),
    ),
    backup: Type.Optional(
      group('Reversing aid of a DeliverSafe unit', {
        reversing: Type.Optional(flag('Reverse gear is in')),
        proximityM: Type.Optional(
          quantity('Distance to the nearest obstacle behind', 'm', { minimum: 0, maximum: 1000 }),
        ),
        warning: Type.Optional(oneOf('Warning given to the driver', ['none', 'caution', 'stop'])),
      }),
    ),
    cameras: Type.Optional(
      list(
        ['id'],
        group('One camera of a DeliverSafe unit', {
          id: keyText('Name of the camera', '^[A-Za-z0-9_-]{1,40}$'),
          state: Type.Optional(oneOf('State', ['ok', 'blocked', 'offline'])),
        }),
        'Cameras by id',
      ),
    ),
    flow: Type.Optional(
      group('Power flows of a plant', {
        gridPowerKw: Type.Optional(kilowatts('Grid; positive = import')),
        pvPowerKw: Type.Optional(kilowatts('Photovoltaic production')),
        batteryPowerKw: Type.Optional(kilowatts('Battery; positive = charging')),
        consumptionPowerKw: Type.Optional(kilowatts('Consumption on site')),
      }),
    ),
    storage: Type.Optional(
      group('Energy storage of a plant', {
        socPct: Type.Optional(percent('State of charge')),
        availableEnergyKwh: Type.Optional(kilowattHours('Energy that can be drawn')),
        temperatureC: Type.Optional(airCelsius('Temperature')),
      }),
    ),
    registers: Type.Optional(
      group('Meter registers of a plant; they only ever count up', {
        importKwh: Type.Optional(countedKilowattHours('Drawn from the grid')),
        exportKwh: Type.Optional(countedKilowattHours('Fed into the grid')),
        productionKwh: Type.Optional(countedKilowattHours('Produced')),
        chargeKwh: Type.Optional(countedKilowattHours('Charged into storage')),
        dischargeKwh: Type.Optional(countedKilowattHours('Drawn from storage')),
      }),
    ),
    quality: Type.Optional(oneOf('How a plant reading came to be', ['GOOD', 'INTERPOLATED', 'STALE', 'MISSING'])),
  },
  { ...closed, title: 'Signals', description: 'Canonical signals by group' },
);

export type Signals = Static<typeof SignalsSchema>;
export type SignalGroup = keyof Signals;

/**
 * All groups, in a fixed order. The index of a group is its bit in a record's bit set, which is stored in the database. So
 * entries are never moved or removed, and new ones go to the end. There can be 30 at most, because bit 30 is
 * `POSITION_BIT`. Bit 0 is gps.
 */
export const SIGNAL_GROUPS = [
  'gps',
  'odometer',
  'motion',
  'power',
  'batteries',
  'tires',
  'abs',
  'lights',
  'doors',
  'cargo',
  'axles',
  'grossWeightKg',
  'brakes',
  'reefer',
  'liftgate',
  'coupling',
  'faults',
  'environment',
  'backup',
  'cameras',
  'flow',
  'storage',
  'registers',
  'quality',
] as const satisfies readonly SignalGroup[];

/** The bit that says that a record has a position. Groups have the bits below it. */
export const POSITION_BIT = 1 << 30;

/** The bit set of a record: one bit for each group in `signals`, and `POSITION_BIT` if there is a position. */
export function signalBits(signals: Signals): number {
  let bits = signals.gps?.latitude == null ? 0 : POSITION_BIT;
  for (let index = 0; index < SIGNAL_GROUPS.length; index += 1) {
    if (signals[SIGNAL_GROUPS[index] as SignalGroup] !== undefined) bits |= 1 << index;
  }
  return bits;
}
