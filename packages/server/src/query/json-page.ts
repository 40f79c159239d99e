import type { Cursors } from '@gladhand/base/cursor.ts';
import type { Registry } from '../registry/registry.ts';
import type { TelemetryReader } from '../telemetry/read.ts';

/** A page whose items are wire JSON already, as the database has built it. */
export interface JsonPage {
  /** The items, joined by commas: what stands between `[` and `]`. */
  readonly items: string;
  /** The cursor of the next page; null: there is none. */
  readonly next: string | null;
}

export interface QueryParts {
  readonly registry: Registry;
  readonly reader: TelemetryReader;
  readonly cursors: Cursors;
}

export function joined(rows: readonly { readonly json: string }[]): string {
  return rows.map((row) => row.json).join(',');
}
