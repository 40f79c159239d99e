import { createRequire } from 'node:module';

/**
 * Converts a number from one unit to another: one multiplication and one addition. Units are UCUM codes. The UCUM library
 * of the United States National Library of Medicine is used at compile time only. It is loaded at the first unit that
 * differs from its target, which takes about 65 ms and 16 MB (measured).
 */
export type Convert = (value: number) => number;
export type UnitResult =
  | { readonly ok: true; readonly convert: Convert | undefined }
  | { readonly ok: false; readonly code: 'unit-unknown' | 'unit-dimension'; readonly detail: string };

/** Common spellings that are clear but not UCUM. */
const ALIASES: Readonly<Record<string, string>> = {
  '/': '1',
  'mi/h': '[mi_i]/h',
  mi: '[mi_i]',
  kn: '[kn_i]',
  psi: '[psi]',
  degF: '[degF]',
  Wh: 'W.h',
  kWh: 'kW.h',
  Ah: 'A.h',
};

interface UcumUtils {
  validateUnitString(code: string): { status: string; ucumCode: string | null; msg: string[] };
  convertUnitTo(from: string, value: number, to: string): { status: string; toVal: number | null; msg: string[] };
}

let loaded: UcumUtils | undefined;

function ucum(): UcumUtils {
  if (loaded === undefined) {
    const module = createRequire(import.meta.url)('@lhncbc/ucum-lhc') as { UcumLhcUtils: { getInstance(): UcumUtils } };
    loaded = module.UcumLhcUtils.getInstance();
  }
  return loaded;
}

const known = new Map<string, UnitResult>();

/**
 * Finds the conversion between two units (UCUM codes or the aliases above). `convert` is undefined if the units are equal.
 * Refuses a code that UCUM does not know, a unit of another dimension, and a scale that is not linear.
 */
export function findConversion(from: string, to: string): UnitResult {
  const source = ALIASES[from] ?? from;
  if (source === to) return { ok: true, convert: undefined };
  const key = `${source} ${to}`;
  let result = known.get(key);
  if (result === undefined) {
    result = derive(from, source, to);
    // Units come from documents, never from payloads. The limit is for an author who tries many units in an editor.
    if (known.size < 2000) known.set(key, result);
  }
  return result;
}

function derive(from: string, source: string, to: string): UnitResult {
  const check = ucum().validateUnitString(source);
  if (check.status !== 'valid') {
    const meant = check.ucumCode === null ? '' : `; did you mean ${check.ucumCode}?`;
    return { ok: false, code: 'unit-unknown', detail: `${from} is not a UCUM unit${meant}` };
  }
  const at = (value: number) => ucum().convertUnitTo(source, value, to).toVal;
  const zero = at(0);
  const million = at(1e6);
  const third = at(-40);
  if (zero === null || million === null) {
    return {
      ok: false,
      code: 'unit-dimension',
      detail: `${from} cannot be converted to ${to}: it has another dimension`,
    };
  }
  // Measured over a wide span, because the library converts through kelvin and loses digits near zero.
  const factor = Number(((million - zero) / 1e6).toPrecision(15));
  const offset = Number(zero.toPrecision(13));
  if (third === null || Math.abs(-40 * factor + offset - third) > 1e-9 * Math.max(1, Math.abs(third))) {
    return { ok: false, code: 'unit-dimension', detail: `${from} is not on a linear scale of ${to}` };
  }
  return { ok: true, convert: (value) => tidy(value * factor + offset) };
}

/** Removes binary rounding errors (33.30000000000001): rounds to nine decimals, or six for numbers over a million. */
function tidy(value: number): number {
  const size = Math.abs(value);
  if (size < 1e6) return Math.round(value * 1e9) / 1e9;
  return size < 1e9 ? Math.round(value * 1e6) / 1e6 : value;
}

/** SenML units (RFC 8428 12.1, RFC 8798) that are usual in telematics, with their UCUM codes. */
export const SENML_UNITS: Readonly<Record<string, string>> = {
  m: 'm',
  kg: 'kg',
  g: 'g',
  s: 's',
  A: 'A',
  K: 'K',
  rad: 'rad',
  N: 'N',
  Pa: 'Pa',
  J: 'J',
  W: 'W',
  C: 'C',
  V: 'V',
  Ohm: 'Ohm',
  Cel: 'Cel',
  'm/s': 'm/s',
  l: 'L',
  m3: 'm3',
  lat: 'deg',
  lon: 'deg',
  '/': '1',
  '%': '%',
  '%RH': '%',
  '%EL': '%',
  Hz: 'Hz',
  'Pa/s': 'Pa/s',
  ms: 'ms',
  min: 'min',
  h: 'h',
  kW: 'kW',
  Wh: 'W.h',
  kWh: 'kW.h',
  Ah: 'A.h',
  mV: 'mV',
  mA: 'mA',
  '/100': '%',
  '/1000': '[ppth]',
  hPa: 'hPa',
  mm: 'mm',
  cm: 'cm',
  km: 'km',
  'km/h': 'km/h',
  deg: 'deg',
};
