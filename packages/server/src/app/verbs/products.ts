import { readFileSync } from 'node:fs';
import { systemClock } from '@gladhand/base/clock.ts';
import { readJson } from '@gladhand/base/read-json.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { Config } from '../../config.ts';
import { readInstant } from '../../mapping/instant.ts';
import type { CompiledMapping } from '../../mapping/mapped-record.ts';
import { refuseChangedVersions } from '../../products/freeze-versions.ts';
import { faultLine, loadProducts, ProductsInvalid, readProductFolders } from '../../products/products.ts';
import type { ProductFolder } from '../../products/read-product.ts';
import { productDirectories } from '../products-directory.ts';
import { withDatabase } from './database.ts';
import { outcomeText } from './outcome-text.ts';

/** Flags of the commands for authors of products. They store nothing, and only `--frozen` opens a database. */
export interface ProductsFlags {
  /** Folder of products. Default: the built-in products and the installation's own. */
  readonly directory?: string;
}

export interface CheckFlags extends ProductsFlags {
  /** Also compare with the frozen versions in this installation's database. */
  readonly frozen?: boolean;
}

export interface TryFlags extends ProductsFlags {
  readonly vin: string;
  /** Mapping version. Default: the live version. */
  readonly version?: string;
  /** Time of receipt (RFC 3339). Default: now. */
  readonly receivedAt?: string;
}

/** Prints one line for each valid product. Throws a StartRefusal with every error in the files of the others. */
export async function checkProducts(config: Config, { directory, frozen }: CheckFlags): Promise<void> {
  const directories = directory === undefined ? productDirectories(config) : [directory];
  const folders = readProductFolders(...directories);
  for (const folder of folders.filter(({ faults }) => faults.length === 0)) console.log(summaryOf(folder));
  const faults = folders.flatMap((folder) => folder.faults);
  if (faults.length > 0) throw new ProductsInvalid(faults);
  if (frozen) await withDatabase(config, (database) => refuseChangedVersions(database, loadProducts(...directories)));
}

function summaryOf({ folder, document, versions }: ProductFolder): string {
  const live = versions.find(({ state }) => state === 'live')!;
  const others = versions.filter((one) => one !== live).map(({ version, state }) => `; version ${version} is ${state}`);
  return `${folder}: version ${live.version}, ${live.hash.slice(0, 19)}, ${document!.title}${others.join('')}`;
}

/**
 * Maps a payload and prints the result: the errors of the input schema, or else the records, the rejects, the number of
 * skipped elements and the counts of the leaves. Errors in other products, or in other versions of this product, are ignored.
 */
export function tryProduct(config: Config, name: string, file: string, flags: TryFlags): void {
  const directories = flags.directory === undefined ? productDirectories(config) : [flags.directory];
  const folders = readProductFolders(...directories);
  const folder = folders.find((one) => one.folder === name);
  if (folder === undefined) {
    const names = folders.map((one) => one.folder).join(', ');
    throw new StartRefusal(`There is no product ${name} in ${directories.join(' and ')}. Known products: ${names}.`);
  }
  const { document, validateInput } = folder;
  if (document === undefined || validateInput === undefined) throw new ProductsInvalid(folder.faults);
  const { version, mapping } = chooseVersion(folder, flags.version);
  for (const fault of folder.faults) console.error(`Another error in this product: ${faultLine(fault)}`);
  const vin = normalizeVin(flags.vin);
  if (!vin.ok) throw new StartRefusal(`--vin is not valid: ${vin.detail}.`);
  const receivedAtMs = readReceivedAt(flags.receivedAt);
  const payload = readPayload(file);
  const refused = validateInput(payload);
  if (refused.length > 0) {
    console.log(JSON.stringify({ refused }, null, 2));
    process.exitCode = 1;
    return;
  }
  console.log(outcomeText(version, mapping.run({ payload, vin: vin.vin, receivedAtMs })));
}

/** Returns the requested version, or the live one. Throws a StartRefusal if it is missing or has errors. */
function chooseVersion(
  folder: ProductFolder,
  asked: string | undefined,
): { version: number; mapping: CompiledMapping } {
  const listed = folder.document!.versions;
  const all = listed.map(({ version, state }) => `${version} (${state})`).join(', ');
  const chosen = listed.filter(({ version, state }) =>
    asked === undefined ? state === 'live' : String(version) === asked,
  );
  if (chosen.length !== 1) {
    const what =
      asked === undefined ? 'has no single live version: name one with --version' : `has no single version ${asked}`;
    throw new StartRefusal(`${folder.folder} ${what}. product.yaml lists ${all}.`);
  }
  const { version, state } = chosen[0]!;
  if (state === 'retired')
    throw new StartRefusal(
      `Version ${version} of ${folder.folder} is retired and no longer maps payloads. product.yaml lists ${all}.`,
    );
  const found = folder.versions.find((one) => one.version === version);
  if (found?.mapping === undefined)
    throw new ProductsInvalid(folder.faults.filter(({ file }) => file.endsWith(`/mapping-${version}.yaml`)));
  return { version, mapping: found.mapping };
}

function readReceivedAt(text: string | undefined): number {
  if (text === undefined) return systemClock.nowMs();
  const instant = readInstant(text, 'rfc3339');
  if ('ms' in instant) return instant.ms;
  throw new StartRefusal(`--received-at is not valid: ${instant.detail}. Write it like 2026-11-23T07:46:00Z.`);
}

function readPayload(file: string): unknown {
  try {
    return readJson(readFileSync(file));
  } catch (error) {
    throw new StartRefusal(`${file} could not be read: ${(error as Error).message}`, error);
  }
}
