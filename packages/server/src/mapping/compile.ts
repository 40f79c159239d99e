import { Build } from './build.ts';
import { compileSignals } from './compile-signals.ts';
import {
  DeviceSchema,
  InstantSchema,
  LoopSchema,
  MAPPING_LIMITS,
  type MappingDocument,
  MappingDocumentSchema,
  type ProductRules,
} from './document.ts';
import { createMapping, type InstantPlan, type LetPlan, type LoopPlan, type RecordPlan } from './map-envelope.ts';
import type { CompileResult } from './mapped-record.ts';
import { checkShape, pointerStep } from './schema-errors.ts';

/**
 * From a mapping document to something that runs. Promise: whatever can be known from the document alone is known here
 * and answered as JSON Pointers into it, all of them at once; a mapping that compiles can only fail on payloads.
 * Assumes nothing of `document` but that it is plain data.
 */
export function compileMapping(document: unknown, options: { product: ProductRules }): CompileResult {
  const shape = checkShape(MappingDocumentSchema, document, '');
  if (shape.length > 0) return { ok: false, errors: shape };
  const build = new Build();
  const { records } = document as MappingDocument;
  const plans = records.map((spec, index) => compileRecord(spec, `/records/${index}`, build));
  if (build.errors.length > 0) return { ok: false, errors: build.errors };
  return { ok: true, mapping: createMapping(plans as RecordPlan[], options.product) };
}

type RecordSpec = MappingDocument['records'][number];

function compileRecord(spec: RecordSpec, pointer: string, build: Build): RecordPlan | undefined {
  const loops = compileLoops(spec.each, `${pointer}/each`, build);
  const loopNames = namesOf(spec.each);
  const when =
    spec.when === undefined ? undefined : build.expression(spec.when, `${pointer}/when`, loopNames, ['bool']);
  const lets = compileLets(spec.let ?? {}, `${pointer}/let`, loopNames, build);
  const names = [...loopNames, ...lets.map((binding) => binding.as)];
  const asset =
    spec.asset === undefined ? undefined : build.expression(spec.asset, `${pointer}/asset`, names, ['string']);
  const device = spec.device === undefined ? undefined : compileDevice(spec.device, `${pointer}/device`, names, build);
  const observedAt = compileInstant(spec.observedAt, `${pointer}/observedAt`, names, build);
  const deviceAt =
    spec.deviceAt === undefined ? undefined : compileInstant(spec.deviceAt, `${pointer}/deviceAt`, names, build);
  const nodes = compileSignals(spec.signals, `${pointer}/signals`, names, build);
  if (observedAt === undefined) return undefined;
  return {
    pointer,
    loops,
    lets,
    nodes,
    observedAt,
    ...(when === undefined ? {} : { when }),
    ...(asset === undefined
      ? {}
      : { asset: { expression: asset, place: { pointer: `${pointer}/asset`, expression: asset.source } } }),
    ...(device === undefined ? {} : { device }),
    ...(deviceAt === undefined ? {} : { deviceAt }),
  };
}

/** The names the loops bind, whether they compile or not: one wrong loop is one fault, not one for each line below. */
function namesOf(each: unknown): string[] {
  if (!Array.isArray(each)) return each === undefined ? [] : ['item'];
  return each.flatMap((loop: unknown) =>
    typeof loop === 'object' && loop !== null && 'as' in loop ? String(loop.as) : [],
  );
}

function compileLoops(each: unknown, pointer: string, build: Build): LoopPlan[] {
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
    if (list !== undefined) loops.push({ as, list, place: { pointer: sourcePointer, expression: source } });
  });
  return loops;
}

function compileLets(
  bindings: Readonly<Record<string, string>>,
  pointer: string,
  outer: readonly string[],
  build: Build,
): LetPlan[] {
  const lets: LetPlan[] = [];
  for (const [as, source] of Object.entries(bindings)) {
    const at = pointer + pointerStep(as);
    const names = [...outer, ...lets.map((binding) => binding.as)];
    const expression = build.name(as, at, names) ? build.expression(source, at, names) : undefined;
    if (expression !== undefined) lets.push({ as, expression });
  }
  return lets;
}

function compileDevice(
  raw: { externalId: string; kind: string },
  pointer: string,
  names: readonly string[],
  build: Build,
) {
  const shape = checkShape(DeviceSchema, raw, pointer);
  build.errors.push(...shape);
  const at = `${pointer}/externalId`;
  const externalId = build.expression(raw.externalId, at, names, ['string', 'null']);
  return externalId && { externalId, kind: raw.kind, place: { pointer: at, expression: raw.externalId } };
}

function compileInstant(
  raw: RecordSpec['observedAt'],
  pointer: string,
  names: readonly string[],
  build: Build,
): InstantPlan | undefined {
  build.errors.push(...checkShape(InstantSchema, raw, pointer));
  const types = raw.format === 'rfc3339' ? ['string'] : ['int', 'uint', 'double'];
  const expression = build.expression(raw.value, `${pointer}/value`, names, types);
  return expression && { expression, format: raw.format, place: { pointer, expression: raw.value } };
}
