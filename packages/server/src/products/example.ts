import type { CompiledMapping } from '../mapping/mapped-record.ts';

/**
 * A product's example: what a partner of it sends, to be copied. It stands in the product's folder as `example.json`
 * with placeholders, because a fixed instant would be too old for the product's `clockSkew` one day:
 *
 *   "$now"             the instant in RFC 3339; "$now-90s" is 90 seconds before it
 *   "$now-90s:epoch-s" the same as a whole number of seconds; `epoch-ms`: of milliseconds
 *   "$vin"             the VIN, also inside a longer text
 *
 * Promise: an example that is loaded is valid for its product and makes records of that VIN alone, whenever it is filled
 * in; `refuseExample` says why another one is not loaded.
 */
export type ExampleTemplate = object;

export interface Filling {
  readonly nowMs: number;
  readonly vin: string;
}

/** Stands in examples for the VIN of whoever reads them. */
export const EXAMPLE_VIN = '1UYVS2533P7204518';

const INSTANT = /^\$now(?:-(\d{1,9})s)?(?::(rfc3339|epoch-s|epoch-ms))?$/;

/** The payload that `template` stands for. */
export function fillExample(template: ExampleTemplate, filling: Filling): unknown {
  return fill(template, filling);
}

function fill(template: unknown, filling: Filling): unknown {
  if (typeof template === 'string') return fillText(template, filling);
  if (Array.isArray(template)) return template.map((item) => fill(item, filling));
  if (typeof template !== 'object' || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, fill(value, filling)]));
}

function fillText(text: string, { nowMs, vin }: Filling): unknown {
  const instant = INSTANT.exec(text);
  if (instant === null) return text.replaceAll('$vin', vin);
  const [, secondsBefore = '0', format = 'rfc3339'] = instant;
  const ms = nowMs - Number(secondsBefore) * 1000;
  if (format === 'rfc3339') return new Date(ms).toISOString();
  return format === 'epoch-ms' ? ms : Math.floor(ms / 1000);
}

export interface ExampleFault {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

/** Any instant will do: nothing in a product looks at the clock. */
const TRIAL: Filling = { nowMs: Date.UTC(2026, 0, 1), vin: EXAMPLE_VIN };

/** Why the example cannot be shown to partners; empty when it can. */
export function refuseExample(
  template: ExampleTemplate,
  product: {
    readonly validateInput: (payload: unknown) => readonly ExampleFault[];
    readonly mapping: CompiledMapping;
  },
): readonly ExampleFault[] {
  const unknown = unknownPlaceholders(template, '');
  if (unknown.length > 0) return unknown;
  const payload = fillExample(template, TRIAL);
  const misfits = product.validateInput(payload);
  if (misfits.length > 0) return misfits;
  const { records, rejects } = product.mapping.run({ payload, vin: TRIAL.vin, receivedAtMs: TRIAL.nowMs });
  const refused = rejects.map(({ element = '', code, detail }) => ({ pointer: element, code, detail }));
  if (refused.length > 0) return refused;
  const isForeign = records.some(({ assetRef }) => !('vin' in assetRef) || assetRef.vin !== TRIAL.vin);
  if (isForeign) return [{ pointer: '', code: 'vin', detail: 'names a VIN of its own: write $vin in its place' }];
  return records.length > 0 ? [] : [{ pointer: '', code: 'no-records', detail: 'the mapping makes no record of it' }];
}

function unknownPlaceholders(template: unknown, pointer: string): ExampleFault[] {
  if (typeof template === 'string') {
    if (!template.startsWith('$now') || INSTANT.test(template)) return [];
    const detail = `expected $now, $now-<seconds>s, or either with :epoch-s or :epoch-ms, found ${template.slice(0, 40)}`;
    return [{ pointer, code: 'placeholder', detail }];
  }
  if (typeof template !== 'object' || template === null) return [];
  return Object.entries(template).flatMap(([key, value]) =>
    unknownPlaceholders(value, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  );
}
