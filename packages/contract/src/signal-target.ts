import { SignalsSchema } from './signals.ts';

/** What a mapping may write to: the canonical vocabulary by dotted path, built once from its schema. */
export interface LeafTarget {
  readonly kind: 'leaf';
  /** Dotted, without element keys: `gps.speedKph`, `tires.pressureKpa`, `reefer.zones.setpointC`. */
  readonly path: string;
  readonly type: 'number' | 'integer' | 'string' | 'boolean';
  readonly description: string;
  /** UCUM code; absent if the leaf is not measured. */
  readonly unit?: string;
  /** The allowed values, if they are enumerated. */
  readonly values?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
  /** The value that means the same as 0 (360 degrees). */
  readonly cycle?: number;
  /** A counter: its value only rises. */
  readonly isCounter?: boolean;
  /** The value that means "not available" in the standard of this signal. */
  readonly notAvailable?: number;
  readonly lengthMax?: number;
  readonly pattern?: string;
  /** Part of the identity of its list's element; never null. */
  readonly identity: boolean;
}

export interface IdentityKey {
  readonly name: string;
  /** Every element must have it. (A key with a default always has a value.) */
  readonly required: boolean;
  readonly default?: string;
}

/** An object, whose fields are targets themselves. */
export interface GroupTarget {
  readonly kind: 'group';
  readonly path: string;
  readonly description: string;
  readonly fields: ReadonlyMap<string, SignalTarget>;
}

/** A list of elements that are identified by `identity`. */
export interface ListTarget {
  readonly kind: 'list';
  readonly path: string;
  readonly description: string;
  readonly identity: readonly IdentityKey[];
  /** States everything that is up: an empty list says that nothing is, and an element has a meaning without other fields. */
  readonly isStated: boolean;
  readonly fields: ReadonlyMap<string, SignalTarget>;
}

export type SignalTarget = LeafTarget | GroupTarget | ListTarget;

/** The part of JSON Schema that signals.ts uses. */
interface Schema {
  type?: string;
  description?: string;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  maxLength?: number;
  pattern?: string;
  'x-unit'?: string;
  'x-cycle'?: number;
  'x-counter'?: true;
  'x-not-available'?: number;
  'x-stated'?: true;
  'x-identity'?: string[];
  'x-identity-default'?: string;
}

const byPath = new Map<string, SignalTarget>();

/** The groups in the order of the schema, by name. */
export const SIGNAL_TARGETS: ReadonlyMap<string, SignalTarget> = readFields(SignalsSchema as unknown as Schema, '', []);

/**
 * The target at a dotted path (`gps.latitude`, `tires`, `tires.pressureKpa`, `reefer.zones.zone`, `grossWeightKg`).
 * Undefined if the canonical model has no such path.
 */
export function findSignalTarget(path: string): SignalTarget | undefined {
  return byPath.get(path);
}

/** Every path of the canonical model, in the order of the schema. */
export function signalPaths(): readonly string[] {
  return [...byPath.keys()];
}

function readFields(schema: Schema, prefix: string, identity: readonly string[]): Map<string, SignalTarget> {
  const fields = new Map<string, SignalTarget>();
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    fields.set(name, readTarget(field, path, identity.includes(name)));
  }
  return fields;
}

function readTarget(schema: Schema, path: string, isIdentity: boolean): SignalTarget {
  const description = schema.description ?? '';
  // Set before its fields, so that the paths are in reading order: a list before its fields.
  const put = (make: () => SignalTarget): SignalTarget => {
    byPath.set(path, undefined as unknown as SignalTarget);
    const target = make();
    byPath.set(path, target);
    return target;
  };
  if (schema.type === 'object') {
    return put(() => ({ kind: 'group', path, description, fields: readFields(schema, path, []) }));
  }
  if (schema.type === 'array' && schema.items) {
    const items = schema.items;
    const names = schema['x-identity'] ?? [];
    return put(() => ({
      kind: 'list',
      path,
      description,
      identity: names.map((name) => readIdentityKey(items, name)),
      isStated: schema['x-stated'] === true,
      fields: readFields(items, path, names),
    }));
  }
  return put(() => readLeaf(schema, path, description, isIdentity));
}

function readIdentityKey(element: Schema, name: string): IdentityKey {
  const fallback = element.properties?.[name]?.['x-identity-default'];
  return {
    name,
    required: element.required?.includes(name) === true && fallback === undefined,
    ...(fallback === undefined ? {} : { default: fallback }),
  };
}

function readLeaf(schema: Schema, path: string, description: string, identity: boolean): LeafTarget {
  const value = schema.anyOf?.find((option) => option.type !== 'null') ?? schema;
  return {
    kind: 'leaf',
    path,
    type: value.type as LeafTarget['type'],
    description,
    identity,
    ...(value['x-unit'] === undefined ? {} : { unit: value['x-unit'] }),
    ...(value.enum === undefined ? {} : { values: value.enum }),
    ...(value.minimum === undefined ? {} : { minimum: value.minimum }),
    ...(value.maximum === undefined ? {} : { maximum: value.maximum }),
    ...(value.exclusiveMaximum === undefined ? {} : { exclusiveMaximum: value.exclusiveMaximum }),
    ...(value['x-cycle'] === undefined ? {} : { cycle: value['x-cycle'] }),
    ...(value['x-counter'] === undefined ? {} : { isCounter: true }),
    ...(value['x-not-available'] === undefined ? {} : { notAvailable: value['x-not-available'] }),
    ...(value.maxLength === undefined ? {} : { lengthMax: value.maxLength }),
    ...(value.pattern === undefined ? {} : { pattern: value.pattern }),
  };
}
