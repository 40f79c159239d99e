import type { AssetRef } from '@gladhand/contract/asset-ref.ts';
import type { Signals } from '@gladhand/contract/signals.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import { readDeviceId } from './device-id.ts';
import type { ProductRules } from './document.ts';
import { readInstant } from './instant.ts';
import type { MappedRecord } from './mapped-record.ts';
import { describe, Misfit, type Place } from './misfit.ts';
import type { Scope } from './path.ts';
import { checkPosition } from './position.ts';
import type { DeviceClockPlan, InstantPlan, RecordPlan } from './record-plan.ts';
import type { RecordWriting, Writing } from './signal-node.ts';
import { writeNodes } from './write-signals.ts';

/** What mapping a record needs beside the mapping and the payload. */
export interface RecordFrame {
  readonly rules: ProductRules;
  /** The asset of the request path. It is used if the mapping has no `asset` expression. */
  readonly pathAsset: AssetRef;
  readonly receivedAtMs: number;
}

/**
 * Makes one record from one element. Throws `Misfit` if the asset, `observedAt`, the device id, a latitude or a longitude
 * does not fit, or if no signal is left. Any other part that does not fit is left out and added to `writing`.
 */
export function mapRecord(plan: RecordPlan, scope: Scope, frame: RecordFrame, writing: RecordWriting): MappedRecord {
  const assetRef = plan.asset === undefined ? frame.pathAsset : readAsset(plan.asset, scope, frame);
  const observedAtMs = readObservedAt(plan.observedAt, scope, frame);
  const externalId = plan.device === undefined ? undefined : readDeviceId(plan.device, scope);
  const deviceAtMs = plan.deviceAt === undefined ? undefined : readDeviceAt(plan.deviceAt, scope, frame, writing);
  const inside: Writing = { states: undefined, found: 0, record: writing };
  const written = writeNodes(plan.nodes, scope, '', inside) as Signals | undefined;
  const signals = written && checkPosition(written, plan, inside);
  if (signals === undefined || inside.found === 0) {
    const place: Place = { pointer: `${plan.pointer}/signals`, expression: '' };
    const detail = 'expected at least one value that the mapping reads';
    throw new Misfit('no-signals', place, foundKeys(plan, scope), detail);
  }
  return {
    assetRef,
    observedAtMs,
    signals,
    ...(externalId !== undefined && plan.device !== undefined && { device: { externalId, kind: plan.device.kind } }),
    ...(deviceAtMs !== undefined && { deviceAtMs }),
    ...(deviceAtMs !== undefined && plan.deviceAt?.identifies && { isIdentifiedByDeviceAt: true as const }),
    ...(inside.states !== undefined && { states: inside.states }),
  };
}

/** The element that a record is made from: of the innermost loop, or the whole payload if there is no loop. */
export function elementOf(plan: RecordPlan, scope: Scope): unknown {
  const innermost = plan.loops.at(-1);
  return scope[innermost === undefined ? 'payload' : innermost.as];
}

function foundKeys(plan: RecordPlan, scope: Scope): string {
  const element = elementOf(plan, scope);
  if (typeof element !== 'object' || element === null || Array.isArray(element)) return describe(element);
  return `keys ${Object.keys(element).join(', ') || '(none)'}`;
}

/** Reads the asset that the payload names. A wrong VIN is rejected and never replaced by the asset of the request path. */
function readAsset(asset: NonNullable<RecordPlan['asset']>, scope: Scope, frame: RecordFrame): AssetRef {
  const text = asset.expression.evaluate(scope) ?? undefined;
  if (text === undefined) {
    throw new Misfit('asset-missing', asset.place, 'nothing', 'expected the VIN that this record belongs to');
  }
  if (typeof text !== 'string') throw new Misfit('wrong-type', asset.place, describe(text), 'expected a VIN as text');
  // The mapping may use the variable `pathAsset`. It may be a plant, which has no VIN to check.
  if (text === scope['pathAsset']) return frame.pathAsset;
  const result = normalizeVin(text);
  if (!result.ok) throw new Misfit('vin-invalid', asset.place, describe(text), result.detail);
  if (result.check === 'fail' && frame.rules.vinCheck === 'strict') {
    throw new Misfit('vin-check-failed', asset.place, describe(text), 'the check digit (position 9) does not match');
  }
  return { vin: result.vin };
}

function readObservedAt(plan: InstantPlan, scope: Scope, frame: RecordFrame): number {
  const ms = readPlan(plan, scope);
  if (ms === undefined) {
    throw new Misfit('observed-at-missing', plan.place, 'nothing', 'expected the time of the observation');
  }
  checkRange(ms, 'observed-at-out-of-range', plan.place, frame);
  return ms;
}

/** Reads the device's clock. If it does not fit, it is left out and reported, and the record is kept. */
function readDeviceAt(
  plan: DeviceClockPlan,
  scope: Scope,
  frame: RecordFrame,
  writing: RecordWriting,
): number | undefined {
  try {
    const ms = readPlan(plan, scope);
    if (ms !== undefined) checkRange(ms, 'device-at-out-of-range', plan.place, frame);
    return ms;
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    writing.drops.push({ refused: 'value', misfit: error });
    writing.failed.set(plan, 'rejected');
    return undefined;
  }
}

function checkRange(
  ms: number,
  code: 'observed-at-out-of-range' | 'device-at-out-of-range',
  place: Place,
  { rules, receivedAtMs }: RecordFrame,
): void {
  const { pastSecondsMax, futureSecondsMax } = rules.clockSkew;
  const aheadMs = ms - receivedAtMs;
  if (aheadMs <= futureSecondsMax * 1000 && aheadMs >= -pastSecondsMax * 1000) return;
  const seconds = Math.abs(Math.round(aheadMs / 1000));
  const detail = `expected at most ${pastSecondsMax} s before and ${futureSecondsMax} s after receivedAt`;
  const found = `${new Date(ms).toISOString()}, ${seconds} s ${aheadMs > 0 ? 'after' : 'before'} receivedAt`;
  throw new Misfit(code, place, found, detail);
}

function readPlan(plan: InstantPlan, scope: Scope): number | undefined {
  const value = plan.expression.evaluate(scope) ?? undefined;
  if (value === undefined) return undefined;
  const result = readInstant(value, plan.format);
  if ('ms' in result) return result.ms;
  throw new Misfit(result.code, plan.place, describe(value), result.detail);
}
