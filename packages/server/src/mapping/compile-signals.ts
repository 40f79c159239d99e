import { type ListTarget, SIGNAL_TARGETS, type SignalTarget } from '@gladhand/contract/signal-target.ts';
import type { Compilation } from './compilation.ts';
import { compileLeaf } from './compile-leaf.ts';
import { ListSpecSchema, MAPPING_LIMITS } from './document.ts';
import type { Expression } from './expression.ts';
import type { Scope } from './path.ts';
import { createReadPlan } from './read-plan.ts';
import { checkShape, pointerStep } from './schema-errors.ts';
import {
  type ElementPlan,
  type Line,
  type ListPlan,
  linesOf,
  type SignalNode,
  type Values,
  type Writing,
} from './signal-node.ts';
import { writeNodes } from './write-signals.ts';

type Lines = Readonly<Record<string, unknown>>;
type Fields = ReadonlyMap<string, SignalTarget>;

/** Signals that count only as a pair. */
const POSITION = new Set(['gps.latitude', 'gps.longitude']);

/** Compiles the `signals` of a record spec into nodes. Adds every error to `build.errors`. */
export function compileSignals(
  lines: Lines,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): SignalNode[] {
  const entries = Object.entries(lines);
  if (entries.length > MAPPING_LIMITS.linesPerRecordMax) {
    build.refuse(pointer, 'bounds', `a record has at most ${MAPPING_LIMITS.linesPerRecordMax} lines`);
    return [];
  }
  const half = [...POSITION].filter((path) => path in lines);
  if (half.length === 1)
    build.refuse(
      pointer,
      'position-incomplete',
      `${half[0]} alone is not a position: map both ${[...POSITION].join(' and ')}`,
    );
  return compileFields(entries, SIGNAL_TARGETS, '', pointer, names, build);
}

function compileFields(
  entries: ReadonlyArray<[string, unknown]>,
  fields: Fields,
  within: string,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): SignalNode[] {
  const nodes: SignalNode[] = [];
  for (const [path, raw] of entries) {
    const at = pointer + pointerStep(path);
    const target = findTarget(path, fields, within, at, build);
    if (target === undefined) continue;
    const parts = path.split('.');
    const name = parts.pop() as string;
    const place = groupOf(parts, nodes);
    if (target.kind === 'leaf') {
      const line = compileLeaf(raw, target, at, names, build);
      if (line !== undefined) place.push({ kind: 'leaf', name, line, isPosition: POSITION.has(target.path) });
    } else {
      const plan = compileList(raw, target, at, names, build);
      if (plan !== undefined) place.push({ kind: 'list', name, plan });
    }
  }
  return nodes;
}

function findTarget(path: string, fields: Fields, within: string, at: string, build: Compilation) {
  let current: SignalTarget | undefined;
  let level = fields;
  for (const part of path.split('.')) {
    if (current?.kind === 'list') {
      return build.refuse(at, 'target-is-list', `${current.path} is a list: write its elements under ${current.path}`);
    }
    current = level.get(part);
    if (current === undefined) {
      const known = [...level.keys()].join(', ');
      return build.refuse(at, 'target-unknown', `the canonical model has no ${within}${path}; known here: ${known}`);
    }
    level = current.kind === 'leaf' ? new Map() : current.fields;
  }
  if (current === undefined || current.kind === 'group') {
    const fieldNames = [...level.keys()].join(', ');
    return build.refuse(
      at,
      'target-is-group',
      `${within}${path} is a group: write ${within}${path}.<field>, one of ${fieldNames}`,
    );
  }
  return current;
}

/** The nodes of the group at the path `parts`. Missing groups are created. */
function groupOf(parts: readonly string[], nodes: SignalNode[]): SignalNode[] {
  let level = nodes;
  for (const name of parts) {
    let group = level.find((node) => node.kind === 'group' && node.name === name);
    if (group === undefined) level.push((group = { kind: 'group', name, nodes: [] }));
    level = (group as SignalNode & { kind: 'group' }).nodes;
  }
  return level;
}

function compileList(
  raw: unknown,
  target: ListTarget,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): ListPlan | undefined {
  if (Array.isArray(raw)) return compileElements(raw, target, pointer, names, build);
  if (typeof raw !== 'object' || raw === null) {
    return build.refuse(
      pointer,
      'type',
      `${target.path} is a list: expected {each, as, ...fields}, or a list of elements`,
    );
  }
  const shape = checkShape(ListSpecSchema, raw, pointer);
  if (shape.length > 0) {
    build.errors.push(...shape);
    return undefined;
  }
  const { each, as, when, ...fields } = raw as { each: string; as: string; when?: string } & Lines;
  if (!build.name(as, `${pointer}/as`, names)) return undefined;
  const inner = [...names, as];
  const list = build.expression(each, `${pointer}/each`, names, ['list']);
  if (list !== undefined) build.bind(as, list);
  const filter = when === undefined ? undefined : build.expression(when, `${pointer}/when`, inner, ['bool']);
  const element = compileElement(fields, target, pointer, inner, build, filter);
  if (list === undefined || element === undefined) return undefined;
  return {
    target,
    place: { pointer, expression: '' },
    elements: [element.plan],
    loop: {
      as,
      list,
      isOuter: build.isOuter(list),
      listPlace: { pointer: `${pointer}/each`, expression: each },
      whenPlace: { pointer: `${pointer}/when`, expression: when ?? '' },
      ...(filter === undefined ? {} : { when: filter }),
    },
  };
}

function compileElements(
  raw: readonly unknown[],
  target: ListTarget,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): ListPlan | undefined {
  if (raw.length === 0 || raw.length > MAPPING_LIMITS.elementsPerListMax) {
    return build.refuse(pointer, 'bounds', `expected 1 to ${MAPPING_LIMITS.elementsPerListMax} elements`);
  }
  const taken = new Map<string, string>();
  const elements: ElementPlan[] = [];
  raw.forEach((fields, index) => {
    const at = `${pointer}/${index}`;
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
      build.refuse(at, 'type', `expected an object with the fields of ${target.path}`);
      return;
    }
    const element = compileElement(fields as Lines, target, at, names, build);
    if (element === undefined) return;
    elements.push(element.plan);
    // With a constant identity, two elements that are the same can be reported at compile time.
    if (element.identity === undefined) return;
    const first = taken.get(element.identity);
    if (first !== undefined)
      build.refuse(at, 'assigned-twice', `${target.path}[${element.identity}] is already mapped by ${first}`);
    taken.set(element.identity, at);
  });
  return { target, place: { pointer, expression: '' }, elements };
}

function compileElement(
  fields: Lines,
  target: ListTarget,
  pointer: string,
  names: readonly string[],
  build: Compilation,
  filter?: Expression,
) {
  const identity = new Map<string, Line>();
  const rest: Array<[string, unknown]> = [];
  const before = build.errors.length;
  for (const [name, raw] of Object.entries(fields)) {
    const field = target.fields.get(name);
    if (field?.kind !== 'leaf' || !field.identity) {
      rest.push([name, raw]);
      continue;
    }
    const leaf = compileLeaf(raw, field, pointer + pointerStep(name), names, build);
    if (leaf !== undefined) identity.set(name, leaf);
  }
  for (const key of target.identity) {
    if (key.required && fields[key.name] === undefined) {
      build.refuse(
        pointer + pointerStep(key.name),
        'required',
        `is required: it identifies an element of ${target.path}`,
      );
    }
  }
  const optional = target.identity.filter((key) => !key.required && key.default === undefined);
  if (optional.length > 0 && !optional.some((key) => fields[key.name] !== undefined)) {
    const choices = optional.map((key) => key.name).join(', ');
    build.refuse(pointer, 'required', `one of ${choices} is required: it identifies an element of ${target.path}`);
  }
  const nodes = compileFields(rest, target.fields, `${target.path}.`, pointer, names, build);
  if (build.errors.length > before) return undefined;
  const lines = [...identity.values(), ...linesOf(nodes)];
  const reads = lines.flatMap((line) => line.reads);
  const whole = createReadPlan([...reads, ...(filter ? build.readsOfPayload(filter) : [])]);
  return {
    plan: {
      place: { pointer, expression: '' },
      identity,
      nodes,
      lines,
      write: (scope: Scope, prefix: string, writing: Writing, into: Values) => {
        writeNodes(nodes, scope, prefix, writing, into);
      },
      whole,
    },
    identity: constantIdentity(target, identity),
  };
}

function constantIdentity(target: ListTarget, identity: ReadonlyMap<string, Line>): string | undefined {
  const parts: string[] = [];
  for (const key of target.identity) {
    const leaf = identity.get(key.name);
    if (leaf?.constant === false) return undefined;
    const value = leaf?.literal ?? key.default;
    if (value !== undefined) parts.push(`${value}`);
  }
  return parts.join('.');
}
