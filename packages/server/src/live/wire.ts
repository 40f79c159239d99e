import { create, fromJson, type JsonObject, type JsonValue, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  type LatestValues,
  LatestValuesSchema,
  SubscribeResponseSchema,
} from '@gladhand/contract/gen/gladhand/livefeed/v1/livefeed_pb.ts';
import { TelemetryRecordSchema } from '@gladhand/contract/gen/gladhand/livefeed/v1/record_pb.ts';
import { metricsOf } from '@gladhand/contract/metrics.ts';
import type { Signals } from '@gladhand/contract/signals.ts';

/**
 * LiveFeed messages as bytes. A record is encoded once; a batch is put together from records that are bytes already,
 * by writing the two enclosing fields around them, so that a thousand subscribers share one encoding.
 */

// Names the proto does not have yet are left out: an older feed reader stays able to read a newer record.
const LENIENT = { ignoreUnknownFields: true };

/** One record's wire JSON as a TelemetryRecord. Throws when the proto cannot express it. */
export function encodeRecord(json: string): Uint8Array {
  const record = JSON.parse(json) as JsonObject;
  nameNulls(record);
  return toBinary(TelemetryRecordSchema, fromJson(TelemetryRecordSchema, record, LENIENT));
}

/** The record without its signals: what is sent of one that the proto cannot express. */
export function encodeProvenance(json: string): Uint8Array {
  const { signals: _signals, states: _states, ...provenance } = JSON.parse(json) as JsonObject;
  return toBinary(TelemetryRecordSchema, fromJson(TelemetryRecordSchema, provenance, LENIENT));
}

/** Protobuf cannot tell null from absent, so every null signal is named in `states`. */
function nameNulls(record: JsonObject): void {
  const states: JsonObject = { ...(record['states'] as JsonObject | undefined) };
  for (const [metric, value] of metricsOf((record['signals'] ?? {}) as Signals)) {
    if (value === null) states[metric] ??= 'notAvailable';
  }
  record['states'] = states;
}

const FIELDS = SubscribeResponseSchema.field;

/** A SubscribeResponse with `records`, each of them an encoded TelemetryRecord. */
export function recordsMessage(cursor: string, records: readonly Uint8Array[]): Buffer {
  const writer = new BinaryWriter();
  writer.tag(FIELDS.cursor.number, WireType.LengthDelimited).string(cursor);
  writer.tag(FIELDS.records.number, WireType.LengthDelimited).fork();
  for (const record of records) writer.tag(1, WireType.LengthDelimited).bytes(record);
  return asBuffer(writer.join().finish());
}

export function heartbeatMessage(cursor: string, atMs: number): Buffer {
  return message({ cursor, event: { case: 'heartbeat', value: { at: timestampFromMs(atMs) } } });
}

export function gapMessage(cursor: string, reason: string, fromCursor: string): Buffer {
  return message({ cursor, event: { case: 'gap', value: { reason, fromCursor } } });
}

/** A snapshot message; only the last one has a cursor. */
export function snapshotMessage(assets: LatestValues[], cursor: string | null): Buffer {
  return message({ cursor: cursor ?? '', event: { case: 'snapshot', value: { assets, complete: cursor !== null } } });
}

export function latestValues(json: JsonValue): LatestValues {
  return fromJson(LatestValuesSchema, json, LENIENT);
}

function message(init: MessageInitShape<typeof SubscribeResponseSchema>): Buffer {
  return asBuffer(toBinary(SubscribeResponseSchema, create(SubscribeResponseSchema, init)));
}

/** The same memory as a Buffer: grpc-js copies messages by Buffer's own means. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
