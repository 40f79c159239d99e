import type { Logger } from '@gladhand/base/log.ts';
import type { FeedRow } from '../telemetry/read.ts';
import type { RecordFilter } from './filter.ts';
import { encodeProvenance, encodeRecord, recordsMessage } from './wire.ts';

/** A record on its way to subscribers: encoded when the first of them wants it, and never again. */
export interface Entry extends Omit<FeedRow, 'json'> {
  /** Wire JSON until it is encoded. */
  json: string | null;
  encoded: Uint8Array | null;
  /** Memory it is reckoned with: the length of its JSON. */
  readonly bytes: number;
}

export function toEntry(row: FeedRow): Entry {
  return { ...row, json: row.json, encoded: null, bytes: row.json.length };
}

export interface Batch {
  /** Everything up to this position has been looked at. */
  readonly through: number;
  /** A SubscribeResponse with the records that passed; null when none did. */
  readonly message: Buffer | null;
  readonly records: number;
}

/**
 * A message ends with the record that brings it past this: a hundred ordinary records, so that the cost of a message
 * is spread, and small enough that what waits for a slow reader stays small.
 */
export const MESSAGE_BYTES_MAX = 32 * 1024;

/**
 * The next message for one filter from `entries`, which are in order of position, beginning at index `start`. Must
 * have an entry there. Logs a record that the proto cannot express, and sends its provenance without signals.
 */
export function assembleBatch(
  entries: readonly Entry[],
  start: number,
  filter: RecordFilter,
  sealCursor: (position: number) => string,
  log: Logger,
): Batch {
  const records: Uint8Array[] = [];
  let bytes = 0;
  let index = start;
  for (; index < entries.length && bytes < MESSAGE_BYTES_MAX; index += 1) {
    const entry = entries[index]!;
    if (!filter.matches(entry)) continue;
    const encoded = encode(entry, log);
    records.push(encoded);
    bytes += encoded.length;
  }
  const through = entries[index - 1]!.position;
  const message = records.length === 0 ? null : recordsMessage(sealCursor(through), records);
  return { through, message, records: records.length };
}

function encode(entry: Entry, log: Logger): Uint8Array {
  if (entry.encoded !== null) return entry.encoded;
  const json = entry.json!;
  try {
    entry.encoded = encodeRecord(json);
  } catch (error) {
    log.error(
      { err: error, assetId: entry.assetId, position: entry.position },
      'a record has a form the LiveFeed proto does not know; its signals are not sent',
    );
    entry.encoded = encodeProvenance(json);
  }
  entry.json = null;
  return entry.encoded;
}
