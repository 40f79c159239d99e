import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { FieldError } from '@gladhand/contract/errors.ts';
import type { ProductDocument } from '../mapping/document.ts';
import type { CompiledMapping } from '../mapping/mapped-record.ts';
import type { ExampleTemplate } from './example.ts';
import { type ProductFault, type ProductFolder, type ProductVersion, readProductFolder } from './read-product.ts';

/**
 * The products of this installation, read once from their folders. Promise: every product that `find` gives is whole
 * (schema compiled, exactly one live mapping, every version that is not retired compiled); otherwise `loadProducts`
 * throws and names every fault of every file. Assumes that the folders are the operator's own. A folder `<name>` holds
 * product.yaml, mapping-<n>.yaml and, to be shown to partners, example.json.
 */
export interface Product extends Omit<ProductDocument, 'format' | 'versions'> {
  /** The live mapping version. */
  readonly mappingVersion: number;
  /** The content hash of the live version. */
  readonly mappingHash: string;
  readonly mapping: CompiledMapping;
  /** What a partner of it sends, with placeholders (see example.ts); null: its folder has no example.json. */
  readonly example: ExampleTemplate | null;
  /** The live mapping document, as it was read. */
  readonly mappingDocument: unknown;
  /** All versions, in ascending order. */
  readonly versions: readonly ProductVersion[];
  /** Checks a parsed body against `inputSchema`: [] or up to 20 findings with JSON Pointers into it. */
  validateInput(payload: unknown): FieldError[];
}

export interface Products {
  /** Undefined when there is no product of this name. */
  find(name: string): Product | undefined;
  /** In the order of their names. */
  readonly all: readonly Product[];
}

/** Thrown when products cannot be used; the message lists every fault, one on a line. */
export class ProductsInvalid extends StartRefusal {
  readonly faults: readonly ProductFault[];
  constructor(faults: readonly ProductFault[]) {
    super(`The products cannot be used:\n${faults.map((fault) => `  ${faultLine(fault)}`).join('\n')}`);
    this.name = 'ProductsInvalid';
    this.faults = faults;
  }
}

export function faultLine({ file, pointer, detail, code }: ProductFault): string {
  return `${file}#${pointer}: ${detail} (${code})`;
}

/** Reads and compiles every product below `directories`. Throws `ProductsInvalid`. */
export function loadProducts(...directories: readonly string[]): Products {
  const folders = readProductFolders(...directories);
  const faults = folders.flatMap((folder) => folder.faults);
  if (faults.length > 0) throw new ProductsInvalid(faults);
  const byName = new Map(folders.map((folder) => [folder.folder, toProduct(folder)]));
  return { find: (name) => byName.get(name), all: [...byName.values()] };
}

/**
 * Every folder of a product below `directories`, in the order of their names, whole or not. Throws a StartRefusal where
 * there is no such directory, or none of a product in it.
 */
export function readProductFolders(...directories: readonly string[]): ProductFolder[] {
  const found = new Map<string, ProductFolder>();
  for (const directory of directories) {
    for (const name of listFolders(directory)) {
      const read = readProductFolder(directory, name);
      const detail = `stands in two folders of products: ${directories.join(' and ')}; give yours another name`;
      const twice = { file: join(name, 'product.yaml'), pointer: '', code: 'assigned-twice', detail };
      found.set(name, found.has(name) ? { ...read, faults: [...read.faults, twice] } : read);
    }
  }
  return [...found.values()].sort((one, other) => (one.folder < other.folder ? -1 : 1));
}

/** Folders whose name begins with a dot, such as `.git`, are no products. */
function listFolders(directory: string): string[] {
  if (!existsSync(directory) || !statSync(directory).isDirectory())
    throw new StartRefusal(`There is no folder ${directory} to read products from.`);
  const isFolder = (name: string) => statSync(join(directory, name), { throwIfNoEntry: false })?.isDirectory() ?? false;
  const names = readdirSync(directory).filter((name) => !name.startsWith('.') && isFolder(name));
  if (existsSync(join(directory, 'product.yaml')))
    throw new StartRefusal(`${directory} is the folder of one product: name the folder that it stands in.`);
  if (names.length === 0)
    throw new StartRefusal(`There is no product in ${directory}: each is a folder with a product.yaml.`);
  return names.sort();
}

function toProduct({ document, validateInput, versions, example }: ProductFolder): Product {
  const { format: _format, versions: _versions, ...rest } = document!;
  const live = versions.find(({ state }) => state === 'live')!;
  return {
    ...rest,
    mappingVersion: live.version,
    mappingHash: live.hash,
    mapping: live.mapping!,
    mappingDocument: live.document,
    example,
    versions,
    validateInput: validateInput!,
  };
}
