import type { Signals } from '@gladhand/contract/signals.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import { decodeSenml } from './decode-senml.ts';
import { type InstantFormat, MAPPING_LIMITS, type ProductRules } from './document.ts';
import type { Expression } from './expression.ts';
import { readInstant } from './instant.ts';
import type { AssetRef, CompiledMapping, MappedRecord, MappingInput, MappingOutcome, Reject } from './mapped-record.ts';
import { describe, Misfit, type Place, shorten } from './misfit.ts';
import type { Scope } from './path.ts';
import { pointerStep } from './schema-errors.ts';
import { checkStorable } from './target-check.ts';
import { type SignalNode, type Sink, writeNodes } from './write-signals.ts';

/**
 * The mapping engine at run time. Promise: pure and deterministic, so the same payload, asset, receivedAt and mapping
 * version always give the same outcome; a candidate that does not fit becomes a reject and its siblings go on; no
 * payload makes it throw. Assumes a payload that JSON.parse made, and a VIN that is already normalised.
 */
export interface LoopPlan {
  readonly as: string;
  readonly list: Expression;
  readonly place: Place;
}

/** A name for a value; null where there is none, which makes what is read from it a miss. */
export interface LetPlan {
  readonly as: string;
  readonly expression: Expression;
}

export interface InstantPlan {
  readonly expression: Expression;
  readonly format: InstantFormat;
  readonly place: Place;
}

export interface RecordPlan {
  readonly pointer: string;
  readonly loops: readonly LoopPlan[];
  readonly lets: readonly LetPlan[];
  readonly when?: Expression;
  readonly asset?: { readonly expression: Expression; readonly place: Place };
  readonly device?: { readonly externalId: Expression; readonly kind: string; readonly place: Place };
  readonly observedAt: InstantPlan;
  readonly deviceAt?: InstantPlan;
  readonly nodes: readonly SignalNode[];
}

export function createMapping(plans: readonly RecordPlan[], rules: ProductRules): CompiledMapping {
  return { run: (input) => new Run(rules, input).outcome(plans) };
}

/** Where in the payload the elements of the loops stand; undefined where that is not one place. */
type Element = string | undefined;

class Run {
  readonly #rules: ProductRules;
  readonly #input: MappingInput;
  readonly #pathAsset: AssetRef;
  readonly #records: MappedRecord[] = [];
  readonly #rejects: Reject[] = [];
  #skipped = 0;
  #candidates = 0;
  #full = false;

  constructor(rules: ProductRules, input: MappingInput) {
    this.#rules = rules;
    this.#input = input;
    this.#pathAsset = input.vin === undefined ? { plantId: input.plantId ?? '' } : { vin: input.vin };
  }

  outcome(plans: readonly RecordPlan[]): MappingOutcome {
    const payload = this.#decode();
    const scope: Scope = { payload, vin: this.#input.vin ?? null, receivedAt: new Date(this.#input.receivedAtMs) };
    // What stands where in a decoded payload says nothing about the bytes that were sent.
    const element = this.#rules.decode?.length ? undefined : '';
    if (payload !== undefined)
      for (const plan of plans) this.#loop(plan, 0, scope, new Map([['payload', element]]), element);
    return { records: this.#records, rejects: this.#rejects, skipped: this.#skipped };
  }

  #decode(): unknown {
    let { payload } = this.#input;
    for (const _step of this.#rules.decode ?? []) {
      const decoded = decodeSenml(payload, this.#input.receivedAtMs);
      for (const fault of decoded.faults) {
        const place: Place = { pointer: '', expression: '' };
        this.#reject(this.#candidates++, new Misfit('decode-failed', place, fault.found, fault.detail), fault.element);
      }
      payload = decoded.items;
    }
    return payload;
  }

  /** Goes through loop number `depth` of a plan, or makes a record when every loop has its element. */
  #loop(plan: RecordPlan, depth: number, scope: Scope, places: Map<string, Element>, element: Element): void {
    const loop = plan.loops[depth];
    if (loop === undefined) return this.#candidate(plan, scope, element);
    let list: unknown;
    try {
      list = loop.list.evaluate(scope) ?? [];
      if (!Array.isArray(list)) throw new Misfit('wrong-type', loop.place, describe(list), 'expected a list');
    } catch (error) {
      return this.#reject(this.#candidates++, error, element);
    }
    const at = listPlace(loop, places);
    for (let index = 0; index < (list as unknown[]).length && !this.#full; index += 1) {
      scope[loop.as] = (list as unknown[])[index];
      const here = at === undefined ? undefined : `${at}/${index}`;
      places.set(loop.as, here);
      this.#loop(plan, depth + 1, scope, places, here ?? (element || undefined));
    }
  }

  #candidate(plan: RecordPlan, scope: Scope, element: Element): void {
    const record = this.#candidates++;
    if (record >= MAPPING_LIMITS.recordsPerPayloadMax) {
      if (this.#full) return;
      this.#full = true;
      const detail = `a payload has at most ${MAPPING_LIMITS.recordsPerPayloadMax} records; what comes after is not mapped`;
      return this.#reject(
        record,
        new Misfit('too-many-records', { pointer: plan.pointer, expression: '' }, 'more', detail),
        element,
      );
    }
    try {
      if (plan.when !== undefined && plan.when.evaluate(scope) !== true) this.#skipped += 1;
      else this.#records.push(this.#map(plan, scope));
    } catch (error) {
      this.#reject(record, error, element);
    }
  }

  #map(plan: RecordPlan, scope: Scope): MappedRecord {
    for (const binding of plan.lets) scope[binding.as] = binding.expression.evaluate(scope) ?? null;
    const assetRef = plan.asset === undefined ? this.#pathAsset : this.#asset(plan.asset, scope);
    const observedAtMs = this.#observedAt(plan.observedAt, scope);
    const deviceAtMs = plan.deviceAt === undefined ? undefined : readPlan(plan.deviceAt, scope);
    const externalId = plan.device === undefined ? undefined : readDevice(plan.device, scope);
    const sink: Sink = { states: undefined, found: 0 };
    const signals = writeNodes(plan.nodes, scope, '', sink) as Signals | undefined;
    if (signals === undefined) {
      const place: Place = { pointer: `${plan.pointer}/signals`, expression: '' };
      throw new Misfit('no-signals', place, 'nothing', 'expected at least one signal of the mapping');
    }
    const record: { -readonly [K in keyof MappedRecord]: MappedRecord[K] } = { assetRef, observedAtMs, signals };
    if (externalId !== undefined && plan.device !== undefined) record.device = { externalId, kind: plan.device.kind };
    if (deviceAtMs !== undefined) record.deviceAtMs = deviceAtMs;
    if (sink.states !== undefined) record.states = sink.states;
    return record;
  }

  #asset(asset: NonNullable<RecordPlan['asset']>, scope: Scope): AssetRef {
    const text = asset.expression.evaluate(scope) ?? undefined;
    if (text === undefined) {
      throw new Misfit('asset-missing', asset.place, 'nothing', 'expected the VIN that this record belongs to');
    }
    if (typeof text !== 'string') throw new Misfit('wrong-type', asset.place, describe(text), 'expected a VIN, text');
    const result = normalizeVin(text);
    if (!result.ok) throw new Misfit('vin-invalid', asset.place, describe(text), result.detail);
    if (result.check === 'fail' && this.#rules.vinCheck === 'strict') {
      throw new Misfit('vin-check-failed', asset.place, describe(text), 'the check digit (position 9) does not match');
    }
    return { vin: result.vin };
  }

  #observedAt(plan: InstantPlan, scope: Scope): number {
    const ms = readPlan(plan, scope);
    if (ms === undefined) {
      throw new Misfit('observed-at-missing', plan.place, 'nothing', 'expected the instant of the observation');
    }
    const { pastSecondsMax, futureSecondsMax } = this.#rules.clockSkew;
    const aheadMs = ms - this.#input.receivedAtMs;
    if (aheadMs > futureSecondsMax * 1000 || aheadMs < -pastSecondsMax * 1000) {
      const seconds = Math.abs(Math.round(aheadMs / 1000));
      const detail = `expected at most ${pastSecondsMax} s before and ${futureSecondsMax} s after receivedAt`;
      const found = `${new Date(ms).toISOString()}, ${seconds} s ${aheadMs > 0 ? 'after' : 'before'} receivedAt`;
      throw new Misfit('observed-at-out-of-range', plan.place, found, detail);
    }
    return ms;
  }

  #reject(record: number, error: unknown, element: Element): void {
    if (!(error instanceof Misfit)) throw error;
    const { code, place, found } = error;
    this.#rejects.push({
      record,
      code,
      pointer: place.pointer,
      ...(element === undefined ? {} : { element }),
      expression: place.expression,
      found: shorten(found),
      detail: error.message,
    });
  }
}

/** The place of a loop's list in the payload, when its expression is a plain path from a known place. */
function listPlace(loop: LoopPlan, places: ReadonlyMap<string, Element>): Element {
  const { path } = loop.list;
  const base = path === undefined ? undefined : places.get(path.root);
  return base === undefined || path === undefined ? undefined : base + path.steps.map(pointerStep).join('');
}

function readPlan(plan: InstantPlan, scope: Scope): number | undefined {
  const value = plan.expression.evaluate(scope) ?? undefined;
  if (value === undefined) return undefined;
  const result = readInstant(value, plan.format);
  if ('ms' in result) return result.ms;
  throw new Misfit(result.code, plan.place, describe(value), result.detail);
}

function readDevice(device: NonNullable<RecordPlan['device']>, scope: Scope): string | undefined {
  const id = device.externalId.evaluate(scope) ?? undefined;
  if (id === undefined) return undefined;
  if (typeof id !== 'string' || id.length < 1 || id.length > 200) {
    throw new Misfit('wrong-type', device.place, describe(id), 'expected a device id, text of 1 to 200 characters');
  }
  checkStorable(id, device.place);
  return id;
}
