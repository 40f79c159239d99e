import { readFileSync } from 'node:fs';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import { systemClock } from '../../base/clock.ts';
import { StartRefusal } from '../../base/start-refusal.ts';
import type { MappedRecord } from '../../mapping/mapped-record.ts';
import { loadProducts } from '../../mapping/products.ts';
import { PRODUCTS_DIRECTORY } from '../products-directory.ts';

/** Verbs for whoever writes a product: nothing is stored, no database is opened. */
export interface ProductsFlags {
  /** Default: the installation's own. */
  readonly directory?: string;
}

export interface TryFlags extends ProductsFlags {
  readonly vin: string;
}

/** Reads every product as a start would; prints one line for each, or refuses with every fault of every file. */
export function checkProducts({ directory = PRODUCTS_DIRECTORY }: ProductsFlags): void {
  for (const { name, title, mappingVersion, mappingHash } of loadProducts(directory).all) {
    console.log(`${name}: version ${mappingVersion}, ${mappingHash.slice(0, 19)}, ${title}`);
  }
}

/** Prints what a payload becomes: the findings of the input schema, else records, rejects and how many were skipped. */
export function tryProduct(name: string, file: string, { directory = PRODUCTS_DIRECTORY, vin }: TryFlags): void {
  const product = loadProducts(directory).find(name);
  if (product === undefined) throw new StartRefusal(`There is no product ${name} in ${directory}.`);
  const checked = normalizeVin(vin);
  if (!checked.ok) throw new StartRefusal(`--vin is not valid: ${checked.detail}.`);
  const payload = readPayload(file);
  const refused = product.validateInput(payload);
  if (refused.length > 0) {
    console.log(JSON.stringify({ refused }, null, 2));
    process.exitCode = 1;
    return;
  }
  const outcome = product.mapping.run({ payload, vin: checked.vin, receivedAtMs: systemClock.nowMs() });
  console.log(JSON.stringify({ ...outcome, records: outcome.records.map(readable) }, null, 2));
}

/** Instants as text, as fixtures have them. */
function readable({ assetRef, observedAtMs, deviceAtMs, ...rest }: MappedRecord): object {
  const at = (ms: number) => new Date(ms).toISOString();
  const deviceAt = deviceAtMs === undefined ? {} : { deviceAt: at(deviceAtMs) };
  return { asset: assetRef, observedAt: at(observedAtMs), ...deviceAt, ...rest };
}

function readPayload(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new StartRefusal(`${file} could not be read: ${(error as Error).message}`, error);
  }
}
