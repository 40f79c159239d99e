import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FieldError } from '@gladhand/contract/errors.ts';
import { parse } from 'yaml';
import { compileMapping } from '../mapping/compile.ts';
import { type ProductDocument, ProductDocumentSchema, type ProductRules } from '../mapping/document.ts';
import type { CompiledMapping } from '../mapping/mapped-record.ts';
import { checkShape } from '../mapping/schema-errors.ts';
import { type ExampleTemplate, refuseExample } from './example.ts';
import { createInputCheck } from './input-check.ts';

/**
 * One folder of a product, read with every fault in every file of it. A fault in one file does not keep the others from
 * being read: whoever writes a product sees all there is to repair at once, and can try what is whole already.
 */
export interface ProductFolder {
  readonly folder: string;
  readonly faults: readonly ProductFault[];
  /** product.yaml, when its shape is right. */
  readonly document: ProductDocument | undefined;
  /** Checks a parsed body against `inputSchema`: [] or up to 20 findings. Undefined when the schema cannot be used. */
  readonly validateInput: ((payload: unknown) => FieldError[]) | undefined;
  /** What partners are shown; null when there is none that can be. */
  readonly example: ExampleTemplate | null;
  /** The versions whose file can be used, in ascending order. */
  readonly versions: readonly ProductVersion[];
}

export interface ProductVersion {
  readonly version: number;
  readonly state: ProductDocument['versions'][number]['state'];
  /** `sha256:<hex>` over everything that decides what its bytes mean. */
  readonly hash: string;
  /** As it was read. */
  readonly document: unknown;
  /** Undefined when it is retired: it maps nothing any more, and what compiled once need not compile for ever. */
  readonly mapping: CompiledMapping | undefined;
}

/** A fault in a product file: `pointer` is a JSON Pointer into `file`. */
export interface ProductFault extends FieldError {
  readonly file: string;
}

const MAPPING_FILE = /^mapping-([1-9]\d*)\.yaml$/;
/** Compiled against where product.yaml does not say: rules matter when a mapping runs, and this one never does. */
const NO_RULES: ProductRules = { vinCheck: 'mark', clockSkew: { pastSecondsMax: 0, futureSecondsMax: 0 } };

export function readProductFolder(directory: string, folder: string): ProductFolder {
  const faults: ProductFault[] = [];
  const file = join(folder, 'product.yaml');
  const raw = readYaml(directory, file, faults);
  const shape = raw === undefined ? [] : checkShape(ProductDocumentSchema, raw, '');
  faults.push(...shape.map((fault) => ({ file, ...fault })));
  const document = raw === undefined || shape.length > 0 ? undefined : (raw as ProductDocument);
  if (document !== undefined) faults.push(...findContradictions(document, folder).map((fault) => ({ file, ...fault })));
  const validateInput = readInputSchema(raw, (fault) => faults.push({ file, ...fault }));
  const listed = document?.versions ?? listFiles(directory, folder);
  const versions = [...new Map(listed.map((one) => [one.version, one])).values()]
    .sort((one, other) => one.version - other.version)
    .flatMap((one) => readVersion({ directory, folder, document, faults }, one) ?? []);
  const example = readExample(directory, folder, { validateInput, versions, faults });
  return { folder, faults, document, validateInput, versions, example };
}

const EXAMPLE_FILE = 'example.json';

function readExample(
  directory: string,
  folder: string,
  of: Pick<ProductFolder, 'validateInput' | 'versions'> & { faults: ProductFault[] },
): ExampleTemplate | null {
  const file = join(folder, EXAMPLE_FILE);
  const refuse = (fault: FieldError) => void of.faults.push({ file, ...fault });
  if (!existsSync(join(directory, file))) return null;
  let found: unknown;
  try {
    found = JSON.parse(readFileSync(join(directory, file), 'utf8'));
  } catch (error) {
    refuse({ pointer: '', code: 'json', detail: (error as Error).message });
    return null;
  }
  if (typeof found !== 'object' || found === null) {
    refuse({ pointer: '', code: 'type', detail: 'expected an object or an array' });
    return null;
  }
  const mapping = of.versions.find(({ state }) => state === 'live')?.mapping;
  // Held against what is whole: a fault elsewhere is told by itself.
  if (of.validateInput === undefined || mapping === undefined) return null;
  const wrong = refuseExample(found, { validateInput: of.validateInput, mapping });
  wrong.forEach(refuse);
  return wrong.length === 0 ? found : null;
}

function findContradictions({ name, versions }: ProductDocument, folder: string): FieldError[] {
  const faults: FieldError[] = [];
  const refuse = (pointer: string, code: string, detail: string) => faults.push({ pointer, code, detail });
  if (name !== folder) refuse('/name', 'value', `expected the name of its folder, ${folder}`);
  if (new Set(versions.map(({ version }) => version)).size < versions.length)
    refuse('/versions', 'assigned-twice', 'a version number stands here twice');
  const live = versions.filter(({ state }) => state === 'live').length;
  if (live !== 1) refuse('/versions', 'value', `expected exactly one live version, found ${live}`);
  return faults;
}

/** Also of a product.yaml whose shape is wrong elsewhere. */
function readInputSchema(raw: unknown, refuse: (fault: FieldError) => void): ProductFolder['validateInput'] {
  const { inputSchema } = (raw ?? {}) as Partial<ProductDocument>;
  if (typeof inputSchema !== 'object' || inputSchema === null) return undefined;
  const input = createInputCheck(inputSchema);
  if (input.ok) return input.validate;
  refuse({ pointer: '/inputSchema', code: 'schema', detail: input.detail });
  return undefined;
}

/** Which versions there seem to be, where product.yaml does not say. */
function listFiles(directory: string, folder: string): ProductDocument['versions'] {
  const numbers = readdirSync(join(directory, folder)).flatMap((name) => MAPPING_FILE.exec(name)?.[1] ?? []);
  return numbers.map((number) => ({ version: Number(number), state: 'draft' }));
}

function readVersion(
  of: { directory: string; folder: string; document: ProductDocument | undefined; faults: ProductFault[] },
  { version, state }: ProductDocument['versions'][number],
): ProductVersion | undefined {
  const file = join(of.folder, `mapping-${version}.yaml`);
  const document = readYaml(of.directory, file, of.faults);
  if (document === undefined) return undefined;
  const hash = hashMapping(document, of.document?.decode ?? []);
  if (state === 'retired') return { version, state, hash, document, mapping: undefined };
  const compiled = compileMapping(document, { product: of.document ?? NO_RULES });
  if (compiled.ok) return { version, state, hash, document, mapping: compiled.mapping };
  of.faults.push(...compiled.errors.map((error) => ({ file, ...error })));
  return undefined;
}

function readYaml(directory: string, file: string, faults: ProductFault[]): unknown {
  const path = join(directory, file);
  const refuse = (code: string, detail: string) => void faults.push({ file, pointer: '', code, detail });
  if (!existsSync(path)) return refuse('required', 'there is no such file');
  try {
    return (parse(readFileSync(path, 'utf8')) as unknown) ?? {};
  } catch (error) {
    return refuse('yaml', (error as Error).message.split('\n', 1)[0] ?? 'is not YAML');
  }
}

/**
 * The content hash of a mapping version: everything that decides what a payload's bytes mean. Not `description`, which
 * is for people; not `inputSchema`, `vinCheck` and `clockSkew`, which decide whether a payload or record is taken and
 * never what it becomes.
 */
export function hashMapping(document: unknown, decode: readonly unknown[]): string {
  const { description: _, ...meaning } = Object(document) as { description?: unknown };
  return `sha256:${createHash('sha256')
    .update(canonical({ decode, document: meaning }))
    .digest('hex')}`;
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
