import { vinCheckDigit } from '@gladhand/contract/vin.ts';
import { createRandom, type Random, seedOf } from './random.ts';
import type { TownId } from './routes-data.ts';

/**
 * The organizations, assets and devices of the demo. The same seed gives the same names, VINs and device numbers, so that a
 * restarted demo finds its assets. VINs have a valid check digit. Everything is invented: the organizations, the VINs (their
 * first three characters belong to no manufacturer) and the IMEIs (type allocation code 00, reserved for tests). This is
 * data only. The server creates ids, keys and rows when it stores the data.
 */
export type DemoProduct = 'traccar' | 'samsara' | 'flespi' | 'deliversafe';

export interface DemoWorld {
  readonly seed: number;
  /** Runs the installation and owns the partner keys. */
  readonly operator: { readonly slug: string; readonly name: string; readonly email: string };
  readonly customer: { readonly slug: string; readonly name: string };
  readonly fleets: readonly DemoFleet[];
  /** 24 trailers, followed by 6 DeliverSafe units. */
  readonly assets: readonly DemoAsset[];
  /** Vehicles that send although their VIN is not registered. */
  readonly strangers: readonly DemoAsset[];
}

export interface DemoFleet {
  readonly slug: string;
  readonly name: string;
}

export interface DemoAsset {
  readonly kind: 'trailer' | 'deliversafe';
  readonly body: 'dryVan' | 'flatbed' | 'reefer' | 'deliveryVan';
  readonly vin: string;
  readonly name: string;
  readonly unitNumber: string;
  /** Set for DeliverSafe units only. */
  readonly serialNumber?: string;
  /** Slug of the trailer's fleet. Undefined for a DeliverSafe unit. */
  readonly fleet?: string;
  /** The product in whose format it reports. */
  readonly product: DemoProduct;
  /** The first device is in use. A second one, if any, was removed from the vehicle and no longer reports. */
  readonly devices: readonly DemoDevice[];
  readonly home: TownId;
  /** All states of the vehicle depend on this seed. */
  readonly seed: number;
}

export interface DemoDevice {
  readonly externalId: string;
  readonly kind: string;
  readonly isActive: boolean;
}

const TRAILERS_PER_PRODUCT = 8;
const DELIVERSAFE_UNITS = 6;
const DRY = { slug: 'dry-freight', name: 'Dry freight' };
const COLD = { slug: 'refrigerated', name: 'Refrigerated' };

const HOMES: readonly TownId[] = [
  'indianapolis',
  'st-louis',
  'dayton',
  'louisville',
  'joliet',
  'nashville',
  'columbus',
];
const DELIVERY_TOWNS: readonly TownId[] = ['indianapolis', 'louisville', 'dayton'];

export function createDemoWorld(options: { readonly seed: number }): DemoWorld {
  const build = createBuilder(createRandom(seedOf('world', options.seed)), options.seed);
  const assets: DemoAsset[] = [];
  for (let i = 0; i < TRAILERS_PER_PRODUCT; i++) assets.push(build('traccar', i % 4 === 3 ? 'flatbed' : 'dryVan', i));
  for (let i = 0; i < TRAILERS_PER_PRODUCT; i++) assets.push(build('flespi', i % 4 === 2 ? 'flatbed' : 'dryVan', i));
  for (let i = 0; i < TRAILERS_PER_PRODUCT; i++) assets.push(build('samsara', 'reefer', i));
  for (let i = 0; i < DELIVERSAFE_UNITS; i++) assets.push(build('deliversafe', 'deliveryVan', i));
  return {
    seed: options.seed,
    operator: { slug: 'demo-operator', name: 'Demo Operator', email: 'operator@demo.example' },
    customer: { slug: 'quillwater-freight', name: 'Quillwater Freight (demo)' },
    fleets: [DRY, COLD],
    assets,
    strangers: [build('flespi', 'dryVan', TRAILERS_PER_PRODUCT)],
  };
}

function createBuilder(random: Random, worldSeed: number) {
  let serial = random.integer(10_000, 60_000);
  return (product: DemoProduct, body: DemoAsset['body'], index: number): DemoAsset => {
    serial += random.integer(3, 90);
    const isUnit = body === 'deliveryVan';
    const vin = demoVin(body, serial, random);
    const unitNumber = `${UNIT_LETTER[body]}-${String(serial).padStart(6, '0')}`;
    const inUse = demoDevice(product, random);
    const retired = !isUnit && index === 5 ? [{ ...demoDevice(product, random), isActive: false }] : [];
    return {
      kind: isUnit ? 'deliversafe' : 'trailer',
      body,
      vin,
      name: `${BODY_NAME[body]} ${unitNumber}`,
      unitNumber,
      ...(isUnit ? { serialNumber: inUse.externalId } : { fleet: body === 'reefer' ? COLD.slug : DRY.slug }),
      product,
      devices: [inUse, ...retired],
      home: isUnit ? DELIVERY_TOWNS[index % DELIVERY_TOWNS.length]! : random.pick(HOMES),
      seed: seedOf('vehicle', worldSeed, vin),
    };
  };
}

const UNIT_LETTER = { dryVan: 'DV', flatbed: 'FB', reefer: 'RF', deliveryVan: 'LV' } as const;
const BODY_NAME = { dryVan: 'Dry van', flatbed: 'Flatbed', reefer: 'Reefer', deliveryVan: 'Delivery van' } as const;
/** An invented manufacturer, then body and length. The check digit in position 9 is added below. */
const VIN_HEAD = { dryVan: '1ZZV2532', flatbed: '5ZZF2482', reefer: '1ZZR2533', deliveryVan: '4ZZDB181' } as const;

function demoVin(body: DemoAsset['body'], serial: number, random: Random): string {
  const year = random.pick(['N', 'P', 'R', 'S', 'T'] as const); // 2022 to 2026
  const draft = `${VIN_HEAD[body]}0${year}7${String(serial).padStart(6, '0')}`;
  return draft.slice(0, 8) + vinCheckDigit(draft) + draft.slice(9);
}

function demoDevice(product: DemoProduct, random: Random): DemoDevice {
  const digits = (count: number) => Array.from({ length: count }, () => random.integer(0, 9)).join('');
  const letters = (count: number) =>
    Array.from({ length: count }, () => random.pick([...'ABCDEFGHJKLMNPRSTUVWXYZ'])).join('');
  switch (product) {
    case 'samsara':
      return { externalId: `GD${letters(3)}${digits(3)}${letters(3)}`, kind: 'gateway', isActive: true };
    case 'deliversafe':
      return { externalId: `DS-${digits(7)}`, kind: 'deliversafe', isActive: true };
    default:
      return { externalId: withLuhn(`001017${digits(8)}`), kind: 'gateway', isActive: true };
  }
}

/** The 15 digits of an IMEI: the given 14 and their Luhn check digit (3GPP TS 23.003, annex B). */
function withLuhn(digits: string): string {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const doubled = Number(digits[i]) * (i % 2 === 1 ? 2 : 1);
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return digits + ((10 - (sum % 10)) % 10);
}
