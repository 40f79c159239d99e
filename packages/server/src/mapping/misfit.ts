import type { RejectCode } from './mapped-record.ts';

/** Maximum length in characters of `found` and of text quoted from a payload. */
export const FOUND_LENGTH_MAX = 120;

/** A line of the mapping document, for the reject that it may cause. */
export interface Place {
  readonly pointer: string;
  readonly expression: string;
}

/** Thrown when a value does not fit. The mapping engine always catches it and reports a reject. */
export class Misfit extends Error {
  readonly code: RejectCode;
  readonly place: Place;
  readonly found: string;

  constructor(code: RejectCode, place: Place, found: string, detail: string) {
    super(detail);
    this.code = code;
    this.place = place;
    this.found = found;
  }
}

/** Describes a value in a few words: its type, and the value itself if it is short. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'string') return shorten(`string ${JSON.stringify(value.slice(0, FOUND_LENGTH_MAX))}`);
  if (typeof value === 'object')
    return shorten(`an object with ${Object.keys(value).slice(0, 5).join(', ') || 'no keys'}`);
  return shorten(`${typeof value === 'bigint' ? 'number' : typeof value} ${String(value)}`);
}

export function shorten(text: string): string {
  return text.length <= FOUND_LENGTH_MAX ? text : `${text.slice(0, FOUND_LENGTH_MAX - 1).toWellFormed()}…`;
}
