import { type Decoded, decodePayload } from './decode.ts';
import { MAPPING_LIMITS, type ProductRules } from './document.ts';
import { type Key, Leaves } from './leaves.ts';
import { elementOf, mapRecord, type RecordFrame } from './map-record.ts';
import type { CompiledMapping, MappedRecord, MappingInput, MappingOutcome } from './mapped-record.ts';
import { markRecord, type Nest } from './mark-record.ts';
import { describe, Misfit, type Place } from './misfit.ts';
import { passesWhen } from './passes-when.ts';
import { readKey, type Scope } from './path.ts';
import { markReads } from './read-plan.ts';
import type { LoopPlan, RecordPlan } from './record-plan.ts';
import { Rejects } from './rejects.ts';
import { pointerStep } from './schema-errors.ts';
import type { RecordWriting } from './signal-node.ts';
import { Skips } from './skips.ts';
import { beginWork, countOuter } from './work-limit.ts';

/**
 * Runs a compiled mapping on payloads.
 *
 * - Pure and deterministic: the same payload, asset, `receivedAt` and mapping version always give the same outcome.
 * - No payload makes it throw. A part that does not fit becomes a reject, and the rest of the payload is still mapped.
 * - A record that fails never changes the values, asset or time of another record.
 * - Every leaf of the payload is counted in the outcome.
 *
 * The payload must come from `readJson`, and the VIN must be normalised.
 */
export function createMapping(
  plans: readonly RecordPlan[],
  rules: ProductRules,
  readsArrival: boolean,
): CompiledMapping {
  return { run: (input) => new Run(rules, input, readsArrival).outcome(plans) };
}

/** JSON Pointer (RFC 6901) to the element of a loop. Undefined if it is not at one place in the payload. */
type Element = string | undefined;

class Run {
  readonly #input: MappingInput;
  readonly #frame: RecordFrame;
  readonly #readsArrival: boolean;
  readonly #leaves = new Leaves();
  readonly #records: MappedRecord[] = [];
  readonly #rejects = new Rejects();
  readonly #skips = new Skips(this.#leaves);
  /** Pointers of elements that are not objects although a loop expects a list inside them. */
  readonly #refusedAt = new Set<string>();
  #candidates = 0;
  /** True once `recordsPerPayloadMax` is exceeded: no further record is made. */
  #full = false;
  readonly #nest: Nest = [];
  /** The `letsKey` of the lets that are bound in the scope. Record specs with the same lets need not bind them again. */
  #boundLets: string | undefined;

  constructor(rules: ProductRules, input: MappingInput, readsArrival: boolean) {
    this.#input = input;
    this.#readsArrival = readsArrival;
    const pathAsset = 'vin' in input ? { vin: input.vin } : { plantId: input.plantId };
    this.#frame = { rules, pathAsset, receivedAtMs: input.receivedAtMs };
  }

  outcome(plans: readonly RecordPlan[]): MappingOutcome {
    const decoded = decodePayload(this.#frame.rules.decode, this.#input);
    if (decoded !== undefined) this.#rejectFaults(decoded);
    const payload = decoded === undefined ? this.#input.payload : decoded.payload;
    const vin = 'vin' in this.#input ? this.#input.vin : null;
    const pathAsset = 'vin' in this.#input ? this.#input.vin : this.#input.plantId;
    const scope: Scope = { payload, vin, pathAsset, receivedAt: new Date(this.#input.receivedAtMs) };
    beginWork(scope);
    // A pointer into a decoded payload is not a pointer into the payload that was sent.
    const element = decoded === undefined ? '' : undefined;
    if (payload !== undefined)
      for (const plan of plans) this.#loop(plan, 0, scope, new Map([['payload', element]]), element);
    const skipped = this.#skips.mark();
    decoded?.account(this.#leaves);
    const leaves = this.#leaves.count(this.#input.payload);
    if (this.#records.length === 0 && this.#rejects.total === 0 && skipped === 0) this.#rejectAll(leaves.unusedPaths);
    return {
      records: this.#records,
      rejects: this.#rejects.told,
      rejectsTotal: this.#rejects.total,
      skipped,
      leaves,
      dependsOnArrival: this.#readsArrival || decoded?.dependsOnArrival === true,
    };
  }

  #rejectFaults(decoded: Decoded): void {
    for (const { found, detail, element, refused } of decoded.faults) {
      const misfit = new Misfit('decode-failed', { pointer: '', expression: '' }, found, detail);
      this.#rejects.add(this.#candidates, misfit, refused, element);
    }
  }

  #rejectAll(unusedPaths: readonly string[]): void {
    const found = unusedPaths.length === 0 ? describe(this.#input.payload) : unusedPaths.join(', ');
    const place: Place = { pointer: '/records', expression: '' };
    const misfit = new Misfit('nothing-taken', place, found, 'expected at least one value that the mapping reads');
    this.#rejects.add(0, misfit, 'payload', undefined);
  }

  /** Runs loop number `depth` of a plan. After the innermost loop, makes the record. */
  #loop(plan: RecordPlan, depth: number, scope: Scope, places: Map<string, Element>, element: Element): void {
    const loop = plan.loops[depth];
    if (loop === undefined) return this.#candidate(plan, scope, element);
    let list: readonly unknown[] | null | undefined;
    try {
      list = this.#readList(loop, scope);
    } catch (error) {
      markRecord(plan, scope, this.#nest, this.#leaves, 'rejected');
      return this.#rejectLoop(error, places, element);
    }
    if (list === undefined) return;
    if (list === null || list.length === 0) return markReads(loop.reads, scope, this.#leaves, 'leftOut');
    this.#boundLets = undefined;
    const at = listPlace(loop, scope, places);
    for (let index = 0; index < list.length && !this.#full; index += 1) {
      scope[loop.as] = list[index];
      this.#nest[depth] = { as: loop.as, list, index };
      const here = at === undefined ? undefined : `${at}/${index}`;
      places.set(loop.as, here);
      this.#loop(plan, depth + 1, scope, places, here ?? (element || undefined));
    }
    this.#nest.length = depth;
  }

  /** The list of a loop: null if the payload has null there, undefined if it has nothing. Throws `Misfit`. */
  #readList(loop: LoopPlan, scope: Scope): readonly unknown[] | null | undefined {
    const list = loop.list.evaluate(scope);
    if (list === null || list === undefined) return list;
    if (!Array.isArray(list)) {
      if (typeof list === 'object') this.#leaves.markInside(list, 'rejected');
      throw new Misfit('wrong-type', loop.place, describe(list), 'expected a list');
    }
    if (loop.isOuter) countOuter(list.length, scope, loop.place);
    return list;
  }

  /** Rejects an element that is not an object once, not once for every list that record specs expect inside it. */
  #rejectLoop(error: unknown, places: ReadonlyMap<string, Element>, element: Element): void {
    const cell = this.#nest.findLast(({ as }) => element !== undefined && places.get(as) === element);
    if (element !== undefined && cell !== undefined && !isObject(cell.list[cell.index])) {
      if (this.#refusedAt.has(element)) return;
      this.#refusedAt.add(element);
    }
    this.#rejects.add(this.#candidates++, error, 'element', element);
  }

  #candidate(plan: RecordPlan, scope: Scope, element: Element): void {
    const writing: RecordWriting = { drops: [], failed: new Map(), elements: [], statements: [], refused: [] };
    try {
      if (plan.when?.usesLets) this.#bindLets(plan, scope);
      if (plan.when !== undefined && !passesWhen(plan.when.expression, plan.when.place, scope)) {
        return this.#skips.add(element, { element: elementOf(plan, scope), cell: this.#nest.at(-1) });
      }
      if (this.#isFull(plan, element)) return;
      if (!plan.when?.usesLets) this.#bindLets(plan, scope);
      this.#records.push(mapRecord(plan, scope, this.#frame, writing));
      markRecord(plan, scope, this.#nest, this.#leaves, 'taken', writing);
      this.#rejectDrops(writing, element);
    } catch (error) {
      markRecord(plan, scope, this.#nest, this.#leaves, 'rejected', writing);
      this.#rejectDrops(writing, element);
      this.#rejects.add(this.#candidates, error, 'record', element);
    }
    this.#candidates += 1;
    this.#skips.settle(element);
  }

  #bindLets(plan: RecordPlan, scope: Scope): void {
    if (plan.letsKey !== undefined && plan.letsKey === this.#boundLets) return;
    this.#boundLets = undefined;
    for (const binding of plan.lets) scope[binding.as] = binding.expression.evaluate(scope) ?? null;
    this.#boundLets = plan.letsKey;
  }

  #isFull(plan: RecordPlan, element: Element): boolean {
    if (this.#candidates < MAPPING_LIMITS.recordsPerPayloadMax) return false;
    if (!this.#full) {
      this.#full = true;
      const detail = `a payload has at most ${MAPPING_LIMITS.recordsPerPayloadMax} records; the rest is not mapped: send smaller payloads`;
      const place: Place = { pointer: plan.pointer, expression: '' };
      this.#rejects.add(this.#candidates, new Misfit('too-many-records', place, 'more', detail), 'payload', element);
    }
    return true;
  }

  #rejectDrops(writing: RecordWriting, element: Element): void {
    for (const { misfit, refused } of writing.drops) this.#rejects.add(this.#candidates, misfit, refused, element);
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON Pointer to a loop's list. Undefined unless its expression is a path from a place that is known. */
function listPlace(loop: LoopPlan, scope: Scope, places: ReadonlyMap<string, Element>): Element {
  const { path } = loop.list;
  const base = path === undefined ? undefined : places.get(path.root);
  if (base === undefined || path === undefined) return undefined;
  // The list was read along these steps, so every computed step has a key.
  const keys = path.steps.map((step) => (typeof step === 'object' ? readKey(step, scope) : step));
  return base + keys.map((key) => pointerStep(key as Key)).join('');
}
