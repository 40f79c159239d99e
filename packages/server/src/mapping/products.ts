import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FieldError } from '@gladhand/contract/errors.ts';
import { parse, YAMLParseError } from 'yaml';
import { StartRefusal } from '../base/start-refusal.ts';
import { compileMapping } from './compile.ts';
import { type ProductDocument, ProductDocumentSchema } from './document.ts';
import { type ExampleTemplate, refuseExample } from './example.ts';
import { createInputCheck } from './input-check.ts';
import type { CompiledMapping } from './mapped-record.ts';
import { checkShape } from './schema-errors.ts';

/**
 * The products of this installation, read once from their folder. Promise: every product that `find` gives is whole
 * (schema compiled, exactly one live mapping, compiled); otherwise `loadProducts` throws and names every fault of
 * every file. Assumes that the folder is the operator's own. A folder `<name>` holds product.yaml,
 * mapping-<n>.yaml and, to be shown to partners, example.json.
 */
export interface Product extends Omit<ProductDocument, 'format' | 'versions'> {
  /** The live mapping version. */
  readonly mappingVersion: number;
  /** `sha256:<hex>` over the mapping document and the decode steps, canonical (keys sorted). */
  readonly mappingHash: string;
  readonly mapping: CompiledMapping;
  /** What a partner of it sends, with placeholders (see example.ts); null: its folder has no example.json. */
  readonly example: ExampleTemplate | null;
  /** The live mapping document, as it was read. */
  readonly mappingDocument: unknown;
  /** Checks a parsed body against `inputSchema`: [] or up to 20 findings with JSON Pointers into it. */
  validateInput(payload: unknown): FieldError[];
}

export interface Products {
  /** Undefined when there is no product of this name. */
  find(name: string): Product | undefined;
  /** In the order of their names. */
  readonly all: readonly Product[];
}

/** A fault in a product file: `pointer` is a JSON Pointer into `file`. */
export interface ProductFault extends FieldError {
  readonly file: string;
}

/** Thrown by `loadProducts`; the message lists every fault, one on a line. */
export class ProductsInvalid extends StartRefusal {
  readonly faults: readonly ProductFault[];
  constructor(faults: readonly ProductFault[]) {
    const lines = faults.map((fault) => `  ${fault.file}#${fault.pointer}: ${fault.detail} (${fault.code})`);
    super(`The products cannot be used:\n${lines.join('\n')}`);
    this.name = 'ProductsInvalid';
    this.faults = faults;
  }
}

/** Reads and compiles every product below `directory`. Throws `ProductsInvalid`. */
export function loadProducts(directory: string): Products {
  const faults: ProductFault[] = [];
  const byName = new Map<string, Product>();
  const folders = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const product = readProduct(directory, name, faults);
    if (product !== undefined) byName.set(product.name, product);
  }
  if (faults.length > 0) throw new ProductsInvalid(faults);
  return { find: (name) => byName.get(name), all: [...byName.values()] };
}

function readProduct(directory: string, folder: string, faults: ProductFault[]): Product | undefined {
  const file = join(folder, 'product.yaml');
  const refuse = (pointer: string, code: string, detail: string): undefined => {
    faults.push({ file, pointer, code, detail });
    return undefined;
  };
  const raw = readYaml(directory, file, faults);
  if (raw === undefined) return undefined;
  const shape = checkShape(ProductDocumentSchema, raw, '');
  faults.push(...shape.map((fault) => ({ file, ...fault })));
  if (shape.length > 0) return undefined;
  const { format: _format, versions, ...document } = raw as ProductDocument;
  if (document.name !== folder) return refuse('/name', 'value', `expected the name of its folder, ${folder}`);
  const live = versions.filter((version) => version.state === 'live');
  const numbers = new Set(versions.map((version) => version.version));
  if (numbers.size < versions.length)
    return refuse('/versions', 'assigned-twice', 'a version number stands here twice');
  if (live.length !== 1) return refuse('/versions', 'value', `expected exactly one live version, found ${live.length}`);

  const input = createInputCheck(document.inputSchema);
  if (!input.ok) return refuse('/inputSchema', 'schema', input.detail);
  const version = live[0]?.version ?? 0;
  const mappingFile = join(folder, `mapping-${version}.yaml`);
  const mappingDocument = readYaml(directory, mappingFile, faults);
  if (mappingDocument === undefined) return undefined;
  const compiled = compileMapping(mappingDocument, { product: document });
  if (!compiled.ok) {
    faults.push(...compiled.errors.map((error) => ({ file: mappingFile, ...error })));
    return undefined;
  }
  const example = readExample(directory, folder, faults);
  if (example === undefined) return undefined;
  const parts = { validateInput: input.validate, mapping: compiled.mapping };
  const wrong = example === null ? [] : refuseExample(example, parts);
  faults.push(...wrong.map((fault) => ({ file: join(folder, EXAMPLE_FILE), ...fault })));
  if (wrong.length > 0) return undefined;
  return {
    ...document,
    ...parts,
    mappingVersion: version,
    mappingHash: hashMapping(mappingDocument, document.decode ?? []),
    mappingDocument,
    example,
  };
}

function readYaml(directory: string, file: string, faults: ProductFault[]): unknown {
  const path = join(directory, file);
  if (!existsSync(path)) {
    faults.push({ file, pointer: '', code: 'required', detail: 'there is no such file' });
    return undefined;
  }
  try {
    return (parse(readFileSync(path, 'utf8')) as unknown) ?? {};
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    const detail = error.message.split('\n', 1)[0] ?? 'is not YAML';
    faults.push({ file, pointer: '', code: 'yaml', detail });
    return undefined;
  }
}

const EXAMPLE_FILE = 'example.json';

/** Null when there is none. */
function readExample(directory: string, folder: string, faults: ProductFault[]): ExampleTemplate | null | undefined {
  const file = join(folder, EXAMPLE_FILE);
  if (!existsSync(join(directory, file))) return null;
  try {
    const found: unknown = JSON.parse(readFileSync(join(directory, file), 'utf8'));
    if (typeof found === 'object' && found !== null) return found;
    faults.push({ file, pointer: '', code: 'type', detail: 'expected an object or an array' });
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    faults.push({ file, pointer: '', code: 'json', detail: error.message });
  }
  return undefined;
}

/** The content hash of a mapping version: everything that decides what its bytes mean. */
export function hashMapping(document: unknown, decode: readonly unknown[]): string {
  return `sha256:${createHash('sha256').update(canonical({ decode, document })).digest('hex')}`;
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
