import type { TSchema } from 'typebox';
import { Compilation } from './compilation.ts';
import { compileSignals } from './compile-signals.ts';
import {
  DeviceClockSchema,
  DeviceSchema,
  InstantSchema,
  LoopSchema,
  MAPPING_LIMITS,
  type MappingDocument,
  MappingDocumentSchema,
  type ProductRules,
} from './document.ts';
import type { Expression } from './expression.ts';
import { createMapping } from './map-payload.ts';
import type { CompileResult } from './mapped-record.ts';
import { createReadPlan } from './read-plan.ts';
import type { DeviceClockPlan, DevicePlan, InstantPlan, LetPlan, LoopPlan, RecordPlan } from './record-plan.ts';
import { checkShape, pointerStep } from './schema-errors.ts';
import { linesOf, type SignalNode } from './signal-node.ts';

/**
 * Compiles a mapping document. Every error that the document alone can show is found here, and all errors are returned
 * together, each with a JSON Pointer (RFC 6901) into the document. After that, only a payload can make the mapping fail.
 * `document` may be any plain data. Does not throw for a wrong document.
 */
export function compileMapping(document: unknown, options: { product: ProductRules }): CompileResult {
  const shape = checkShape(MappingDocumentSchema, document, '');
  if (shape.length > 0) return { ok: false, errors: shape };
  const build = new Compilation();
  const { records } = document as MappingDocument;
  const plans = records.map((spec, index) => compileRecord(spec, `/records/${index}`, build));
  if (build.errors.length > 0) return { ok: false, errors: build.errors };
  return { ok: true, mapping: createMapping(plans as RecordPlan[], options.product, build.readsArrival) };
}

type RecordSpec = MappingDocument['records'][number];

function compileRecord(spec: RecordSpec, pointer: string, build: Compilation): RecordPlan | undefined {
  build.enterLoop(undefined);
  const loops = compileLoops(spec.each, `${pointer}/each`, build);
  const loopNames = namesOf(spec.each);
  const lets = compileLets(spec.let ?? {}, `${pointer}/let`, loopNames, build);
  const names = [...loopNames, ...lets.map((binding) => binding.as)];
  const when = spec.when === undefined ? undefined : compileWhen(spec.when, `${pointer}/when`, names, lets, build);
  const asset = spec.asset === undefined ? undefined : compileAsset(spec.asset, `${pointer}/asset`, names, build);
  const device = spec.device === undefined ? undefined : compileDevice(spec.device, `${pointer}/device`, names, build);
  const observedAt = compileInstant(spec.observedAt, `${pointer}/observedAt`, names, build, InstantSchema);
  const deviceAt = spec.deviceAt && compileDeviceClock(spec.deviceAt, `${pointer}/deviceAt`, names, build);
  const nodes = compileSignals(spec.signals, `${pointer}/signals`, names, build);
  if (observedAt === undefined) return undefined;
  const framing: Array<Expression | undefined> = [
    ...loops.map((loop) => loop.list),
    ...lets.map((binding) => binding.expression),
    when?.expression,
    asset?.expression,
    device?.externalId,
    observedAt.expression,
    ...listsOf(nodes),
  ];
  const lines = linesOf(nodes);
  const frame = framing.flatMap((expression) => (expression ? build.readsOfPayload(expression) : []));
  return {
    pointer,
    loops,
    lets,
    nodes,
    lines,
    letsKey: loops.length === 0 && lets.length > 0 ? JSON.stringify(spec.let) : undefined,
    observedAt,
    frame: createReadPlan(frame),
    whole: createReadPlan([
      ...frame,
      ...(deviceAt ? build.readsOfPayload(deviceAt.expression) : []),
      ...lines.flatMap((line) => line.reads),
    ]),
    ...(when === undefined ? {} : { when }),
    ...(asset === undefined ? {} : { asset }),
    ...(device === undefined ? {} : { device }),
    ...(deviceAt === undefined ? {} : { deviceAt }),
  };
}

/**
 * Compiles `when`. It is evaluated before the lets, because a let may fail on an element that `when` leaves out. If it
 * names a let, it is evaluated after them.
 */
function compileWhen(
  source: string,
  pointer: string,
  names: readonly string[],
  lets: readonly LetPlan[],
  build: Compilation,
): RecordPlan['when'] {
  const expression = build.expression(source, pointer, names, ['bool']);
  if (expression === undefined) return undefined;
  const usesLets = expression.reads.some((read) => lets.some((binding) => binding.as === read.root));
  return { expression, place: { pointer, expression: source }, usesLets };
}

function compileAsset(
  source: string,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): RecordPlan['asset'] {
  const expression = build.expression(source, pointer, names, ['string']);
  return expression && { expression, place: { pointer, expression: source } };
}

/** The `each` and `when` expressions of all lists in `nodes`. */
function* listsOf(nodes: readonly SignalNode[]): Generator<Expression> {
  for (const node of nodes) {
    if (node.kind === 'group') yield* listsOf(node.nodes);
    else if (node.kind === 'list' && node.plan.loop !== undefined) yield node.plan.loop.list;
  }
}

/** The names that the loops bind, also those of a wrong loop: one wrong loop gives one error, not one for each line in it. */
function namesOf(each: unknown): string[] {
  if (!Array.isArray(each)) return each === undefined ? [] : ['item'];
  return each.flatMap((loop: unknown) =>
    typeof loop === 'object' && loop !== null && 'as' in loop ? String(loop.as) : [],
  );
}

function compileLoops(each: unknown, pointer: string, build: Compilation): LoopPlan[] {
  if (each === undefined) return [];
  const written: unknown[] = typeof each === 'string' ? [{ as: 'item', in: each }] : Array.isArray(each) ? each : [];
  if (written.length === 0 || written.length > MAPPING_LIMITS.loopsPerRecordMax) {
    build.refuse(
      pointer,
      'type',
      `expected a CEL expression, or a list of 1 to ${MAPPING_LIMITS.loopsPerRecordMax} loops {as, in}`,
    );
    return [];
  }
  const loops: LoopPlan[] = [];
  written.forEach((raw, index) => {
    const at = typeof each === 'string' ? pointer : `${pointer}/${index}`;
    const shape = checkShape(LoopSchema, raw, at);
    build.errors.push(...shape);
    if (shape.length > 0) return;
    const { as, in: source } = raw as { as: string; in: string };
    const names = loops.map((loop) => loop.as);
    const sourcePointer = typeof each === 'string' ? pointer : `${at}/in`;
    if (!build.name(as, `${at}/as`, names)) return;
    const list = build.expression(source, sourcePointer, names, ['list']);
    if (list === undefined) return;
    build.bind(as, list);
    const isOuter = build.isOuter(list);
    build.enterLoop(as);
    const reads = createReadPlan(build.readsOfPayload(list));
    loops.push({ as, list, isOuter, reads, place: { pointer: sourcePointer, expression: source } });
  });
  return loops;
}

function compileLets(
  bindings: Readonly<Record<string, string>>,
  pointer: string,
  outer: readonly string[],
  build: Compilation,
): LetPlan[] {
  const lets: LetPlan[] = [];
  for (const [as, source] of Object.entries(bindings)) {
    const at = pointer + pointerStep(as);
    const names = [...outer, ...lets.map((binding) => binding.as)];
    const expression = build.name(as, at, names) ? build.expression(source, at, names) : undefined;
    if (expression === undefined) continue;
    build.bind(as, expression);
    lets.push({ as, expression });
  }
  return lets;
}

function compileDevice(
  raw: { externalId: string; kind: string },
  pointer: string,
  names: readonly string[],
  build: Compilation,
): DevicePlan | undefined {
  const shape = checkShape(DeviceSchema, raw, pointer);
  build.errors.push(...shape);
  const at = `${pointer}/externalId`;
  const externalId = build.expression(raw.externalId, at, names, ['string', 'int', 'uint', 'double', 'null']);
  return externalId && { externalId, kind: raw.kind, place: { pointer: at, expression: raw.externalId } };
}

function compileDeviceClock(
  raw: NonNullable<RecordSpec['deviceAt']>,
  pointer: string,
  names: readonly string[],
  build: Compilation,
): DeviceClockPlan | undefined {
  const instant = compileInstant(raw, pointer, names, build, DeviceClockSchema);
  if (instant === undefined) return undefined;
  const reads = createReadPlan(build.readsOfPayload(instant.expression));
  return { ...instant, identifies: raw.identifies === true, reads };
}

function compileInstant(
  raw: RecordSpec['observedAt'],
  pointer: string,
  names: readonly string[],
  build: Compilation,
  schema: TSchema,
): InstantPlan | undefined {
  build.errors.push(...checkShape(schema, raw, pointer));
  const isText = raw.format === 'rfc3339' || raw.format === 'iso8601';
  const types = isText ? ['string', 'null'] : ['int', 'uint', 'double', 'null'];
  const expression = build.expression(raw.value, `${pointer}/value`, names, types);
  return expression && { expression, format: raw.format, place: { pointer, expression: raw.value } };
}
