/**
 * The map of the demo: real towns of the American Midwest and the interstate legs between them. Coordinates are WGS 84
 * degrees of town centres, exact to about a kilometre. `via` points are on or near the named road. Heights are in metres.
 */
export interface Town {
  readonly name: string;
  readonly state: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly elevationM: number;
}

export const TOWNS = {
  bloomington: { name: 'Bloomington', state: 'IL', latitude: 40.4842, longitude: -88.9937, elevationM: 243 },
  'bowling-green': { name: 'Bowling Green', state: 'KY', latitude: 36.9685, longitude: -86.4808, elevationM: 167 },
  champaign: { name: 'Champaign', state: 'IL', latitude: 40.1164, longitude: -88.2434, elevationM: 225 },
  cincinnati: { name: 'Cincinnati', state: 'OH', latitude: 39.1031, longitude: -84.512, elevationM: 147 },
  columbia: { name: 'Columbia', state: 'MO', latitude: 38.9517, longitude: -92.3341, elevationM: 231 },
  columbus: { name: 'Columbus', state: 'OH', latitude: 39.9612, longitude: -82.9988, elevationM: 275 },
  davenport: { name: 'Davenport', state: 'IA', latitude: 41.5236, longitude: -90.5776, elevationM: 176 },
  dayton: { name: 'Dayton', state: 'OH', latitude: 39.7589, longitude: -84.1916, elevationM: 226 },
  'des-moines': { name: 'Des Moines', state: 'IA', latitude: 41.5868, longitude: -93.625, elevationM: 291 },
  effingham: { name: 'Effingham', state: 'IL', latitude: 39.12, longitude: -88.5434, elevationM: 180 },
  evansville: { name: 'Evansville', state: 'IN', latitude: 37.9716, longitude: -87.5711, elevationM: 118 },
  'fort-wayne': { name: 'Fort Wayne', state: 'IN', latitude: 41.0793, longitude: -85.1394, elevationM: 247 },
  indianapolis: { name: 'Indianapolis', state: 'IN', latitude: 39.7684, longitude: -86.1581, elevationM: 218 },
  'iowa-city': { name: 'Iowa City', state: 'IA', latitude: 41.6611, longitude: -91.5302, elevationM: 203 },
  joliet: { name: 'Joliet', state: 'IL', latitude: 41.525, longitude: -88.0817, elevationM: 165 },
  'kansas-city': { name: 'Kansas City', state: 'MO', latitude: 39.0997, longitude: -94.5786, elevationM: 277 },
  lafayette: { name: 'Lafayette', state: 'IN', latitude: 40.4167, longitude: -86.8753, elevationM: 213 },
  lexington: { name: 'Lexington', state: 'KY', latitude: 38.0406, longitude: -84.5037, elevationM: 298 },
  lima: { name: 'Lima', state: 'OH', latitude: 40.7426, longitude: -84.1052, elevationM: 268 },
  louisville: { name: 'Louisville', state: 'KY', latitude: 38.2527, longitude: -85.7585, elevationM: 142 },
  'mount-vernon': { name: 'Mount Vernon', state: 'IL', latitude: 38.3173, longitude: -88.9031, elevationM: 152 },
  nashville: { name: 'Nashville', state: 'TN', latitude: 36.1627, longitude: -86.7816, elevationM: 182 },
  paducah: { name: 'Paducah', state: 'KY', latitude: 37.0834, longitude: -88.6, elevationM: 104 },
  peoria: { name: 'Peoria', state: 'IL', latitude: 40.6936, longitude: -89.589, elevationM: 155 },
  'south-bend': { name: 'South Bend', state: 'IN', latitude: 41.6764, longitude: -86.252, elevationM: 211 },
  springfield: { name: 'Springfield', state: 'IL', latitude: 39.7817, longitude: -89.6501, elevationM: 182 },
  'st-louis': { name: 'St. Louis', state: 'MO', latitude: 38.627, longitude: -90.1994, elevationM: 142 },
  'terre-haute': { name: 'Terre Haute', state: 'IN', latitude: 39.4667, longitude: -87.4139, elevationM: 152 },
  toledo: { name: 'Toledo', state: 'OH', latitude: 41.6528, longitude: -83.5379, elevationM: 187 },
} as const satisfies Record<string, Town>;

export type TownId = keyof typeof TOWNS;

export interface Leg {
  readonly from: TownId;
  readonly to: TownId;
  readonly road: string;
  /** [latitude, longitude] of places passed, in the order from `from` to `to`. */
  readonly via: readonly (readonly [number, number])[];
}

const leg = (road: string, from: TownId, to: TownId, ...via: (readonly [number, number])[]): Leg => ({
  from,
  to,
  road,
  via,
});

/** Each leg is driven in both directions. Every town can be reached from every other. */
export const LEGS: readonly Leg[] = [
  leg('I-70', 'indianapolis', 'terre-haute', [39.705, -86.398], [39.517, -86.79]),
  leg('I-70', 'terre-haute', 'effingham', [39.391, -87.693], [39.3, -87.992]),
  leg('I-70', 'effingham', 'st-louis', [38.961, -89.094], [38.892, -89.413], [38.729, -89.883]),
  leg('I-70', 'st-louis', 'columbia', [38.811, -90.853], [38.812, -91.141], [38.945, -91.939]),
  leg('I-70', 'columbia', 'kansas-city', [38.937, -92.743], [38.985, -93.569], [39.005, -94.129]),
  leg('I-35', 'kansas-city', 'des-moines', [39.246, -94.419], [39.74, -94.241], [40.268, -94.028], [41.034, -93.766]),
  leg('I-80', 'des-moines', 'iowa-city', [41.683, -93.048], [41.697, -92.723], [41.69, -92.0]),
  leg('I-80', 'iowa-city', 'davenport', [41.64, -91.263], [41.6, -90.772]),
  leg('I-80', 'davenport', 'joliet', [41.39, -89.465], [41.36, -89.04], [41.38, -88.421]),
  leg('I-74', 'davenport', 'peoria', [40.948, -90.371]),
  leg('I-74', 'peoria', 'bloomington', [40.613, -89.459]),
  leg('I-55', 'bloomington', 'joliet', [40.881, -88.63], [41.094, -88.425]),
  leg('I-74', 'bloomington', 'champaign', [40.352, -88.764]),
  leg('I-55', 'bloomington', 'springfield', [40.148, -89.365]),
  leg('I-55', 'springfield', 'st-louis', [39.175, -89.654], [38.811, -89.953]),
  leg('I-57', 'champaign', 'effingham', [39.483, -88.376]),
  leg('I-74', 'champaign', 'indianapolis', [40.124, -87.63], [40.041, -86.875]),
  leg('I-57', 'effingham', 'mount-vernon', [38.627, -88.946]),
  leg('I-64', 'mount-vernon', 'st-louis', [38.344, -89.381], [38.434, -89.55], [38.592, -89.911]),
  leg('I-64', 'mount-vernon', 'evansville', [38.258, -87.994]),
  leg('I-24', 'mount-vernon', 'paducah', [37.731, -88.933], [37.415, -88.898]),
  leg('I-24', 'paducah', 'nashville', [36.866, -87.489], [36.53, -87.359]),
  leg('I-65', 'nashville', 'bowling-green', [36.722, -86.577]),
  leg('I-65', 'bowling-green', 'louisville', [37.137, -85.957], [37.694, -85.859]),
  leg('I-65', 'louisville', 'indianapolis', [38.686, -85.77], [39.201, -85.921], [39.481, -86.055]),
  leg('I-64', 'louisville', 'evansville', [38.212, -86.122], [38.224, -86.862]),
  leg('I-64', 'louisville', 'lexington', [38.212, -85.223], [38.201, -84.873]),
  leg('I-75', 'lexington', 'cincinnati', [38.21, -84.559], [38.682, -84.59]),
  leg('I-75', 'cincinnati', 'dayton', [39.44, -84.362]),
  leg('I-74', 'cincinnati', 'indianapolis', [39.3, -85.222], [39.521, -85.777]),
  leg('I-70', 'dayton', 'indianapolis', [39.829, -84.89], [39.84, -85.38]),
  leg('I-70', 'dayton', 'columbus', [39.924, -83.809], [39.945, -83.269]),
  leg('I-75', 'dayton', 'lima', [40.284, -84.156]),
  leg('I-75', 'lima', 'toledo', [41.044, -83.65], [41.375, -83.651]),
  leg('I-80', 'toledo', 'south-bend', [41.585, -84.606], [41.722, -85.421]),
  leg('US-24', 'fort-wayne', 'toledo', [41.284, -84.356]),
  leg('I-69', 'fort-wayne', 'indianapolis', [40.55, -85.55], [40.105, -85.68]),
  leg('US-30', 'fort-wayne', 'lima', [40.869, -84.584]),
  leg('I-65', 'indianapolis', 'lafayette', [40.048, -86.469]),
  leg('I-65', 'lafayette', 'joliet', [40.761, -87.151], [41.483, -87.333]),
  leg('I-80', 'south-bend', 'joliet', [41.707, -86.895], [41.593, -87.346]),
];
