/** A vehicle in a damaged payload. */
export interface Vehicle {
  readonly vin: string;
  /** A number in each reading of this vehicle, and in no reading of another one. */
  readonly code: number;
}

type Element = Record<string, unknown>;

/** The readings of a vehicle in each product's format, as list elements. */
const ELEMENTS = {
  project44: ({ vin, code }: Vehicle, at: number): Element[] => [
    {
      vin,
      unit_type: 'trailer',
      device_id: `d-${code}`,
      position: { latitude: 56, longitude: 11 },
      timestamp: at,
      speed: code,
    },
  ],
  flespi: ({ vin, code }: Vehicle, at: number): Element[] => [
    { ident: `d-${code}`, timestamp: at, 'vehicle.vin': vin, 'battery.level': code, 'movement.status': true },
  ],
  samsara: ({ vin, code }: Vehicle, at: number): Element[] => [
    {
      externalIds: { 'samsara.vin': vin },
      reeferFuelPercent: [{ time: new Date(at * 1000).toISOString(), value: code }],
    },
  ],
  senml: ({ vin, code }: Vehicle, at: number): Element[] => [
    { bn: `urn:vin:${vin}:`, bt: at, n: 'humidity', u: '%RH', v: code },
    { n: 'altitude', u: 'm', v: 100 },
  ],
} as const;

export type PayloadProduct = keyof typeof ELEMENTS;
export const PAYLOAD_PRODUCTS = Object.keys(ELEMENTS) as PayloadProduct[];

const SPOILT: readonly unknown[] = [
  null,
  '',
  'text',
  0,
  -7,
  1e300,
  true,
  [],
  {},
  [null],
  'urn:vin:',
  '1ZZ',
  ' ',
  { vin: null },
];
const ELEMENTS_MAX = 4;
const SPREAD_SECONDS = 3_000;

/**
 * Makes a payload with readings of one to four vehicles in any order, and removes or replaces one field of one element.
 * `random` gives numbers in [0, 1).
 */
export function composePayload(product: PayloadProduct, vehicles: readonly Vehicle[], random: () => number): unknown {
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!;
  const nowSeconds = Math.floor(Date.now() / 1000);
  const count = Math.min(vehicles.length, 1 + Math.floor(random() * ELEMENTS_MAX));
  const elements = Array.from({ length: count }, () =>
    ELEMENTS[product](pick(vehicles), nowSeconds - 1 - Math.floor(random() * SPREAD_SECONDS)),
  ).flat();
  // One payload in six is not damaged.
  if (random() < 5 / 6) spoil(elements, pick, random, product);
  return product === 'samsara' ? { data: elements } : elements;
}

function spoil(
  elements: unknown[],
  pick: <Item>(items: readonly Item[]) => Item,
  random: () => number,
  product: PayloadProduct,
): void {
  const place = Math.floor(random() * elements.length);
  if (random() < 0.1) {
    elements[place] = pick(SPOILT);
    return;
  }
  let container = elements[place] as Element;
  let key = pick(Object.keys(container));
  const inner = container[key];
  if (typeof inner === 'object' && inner !== null && random() < 0.5) {
    container = (Array.isArray(inner) ? inner[0] : inner) as Element;
    key = pick(Object.keys(container));
  }
  if (mayBeGone(product, key) && random() < 0.3) delete container[key];
  else container[key] = pick(SPOILT.filter((value) => isSpoilt(product, key, value)));
}

/**
 * Whether a field may be removed. Without a name, an element belongs to the vehicle of the request path or of the entry
 * before (RFC 8428 4.1). Removing the name would then make another valid payload, not a damaged one.
 */
function mayBeGone(product: PayloadProduct, key: string): boolean {
  return !(product === 'senml' && /^b/.test(key)) && key !== 'vehicle.vin';
}

/** Whether a replaced value is damage. Another text as base name, or another number as base time, is a valid value. */
function isSpoilt(product: PayloadProduct, key: string, value: unknown): boolean {
  if (product !== 'senml') return true;
  if (key === 'bt') return typeof value !== 'number';
  return key !== 'bn' || typeof value !== 'string' || value.trim() === '' || value.startsWith('urn:vin');
}
