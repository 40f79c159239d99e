import { type DescField, type DescMessage, fromJson, toJson } from '@bufbuild/protobuf';
import type { TSchema } from 'typebox';
import { expect, test } from 'vitest';
import { SignalsSchema as SignalsMessage, TelemetryRecordSchema } from './gen/gladhand/livefeed/v1/record_pb.ts';
import { RecordSchema } from './record.ts';
import { SIGNAL_GROUPS } from './signals.ts';

interface Shape {
  readonly type?: string;
  readonly anyOf?: readonly Shape[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
  readonly patternProperties?: unknown;
  readonly format?: string;
}

/** How a JSON type may be written in the proto; unset stands for null. */
const SCALARS: Readonly<Record<string, readonly string[]>> = {
  number: ['double'],
  integer: ['uint32', 'uint64', 'int64'],
  string: ['string', 'google.protobuf.Timestamp'],
  boolean: ['bool'],
};

function compare(schema: TSchema | Shape, message: DescMessage, path: string, differences: string[]): void {
  const properties = (schema as Shape).properties ?? {};
  const fields = new Map(message.fields.map((field) => [field.jsonName, field]));
  for (const name of fields.keys()) if (!(name in properties)) differences.push(`${path}${name} is only in the proto`);
  for (const [name, property] of Object.entries(properties)) {
    const field = fields.get(name);
    const shape = property.anyOf?.find(({ type }) => type !== 'null') ?? property;
    if (field === undefined) differences.push(`${path}${name} is not in the proto`);
    else if (shape.type === 'array') {
      if (field.fieldKind === 'list' && field.message)
        compare(shape.items!, field.message, `${path}${name}[].`, differences);
      else differences.push(`${path}${name} is not a list of messages`);
    } else if (shape.type === 'object' && shape.patternProperties) {
      if (field.fieldKind !== 'map') differences.push(`${path}${name} is not a map`);
    } else if (shape.type === 'object') {
      if (field.message && field.fieldKind === 'message') compare(shape, field.message, `${path}${name}.`, differences);
      else differences.push(`${path}${name} is not a message`);
    } else if (!SCALARS[shape.type!]!.includes(kindOf(field))) {
      differences.push(`${path}${name} is ${shape.type}, in the proto ${kindOf(field)}`);
    }
  }
}

function kindOf(field: DescField): string {
  if (field.fieldKind === 'message') return field.message.typeName;
  const names: Readonly<Record<number, string>> = {
    1: 'double',
    3: 'int64',
    4: 'uint64',
    8: 'bool',
    9: 'string',
    13: 'uint32',
  };
  return field.fieldKind === 'scalar' ? (names[field.scalar] ?? String(field.scalar)) : field.fieldKind;
}

test('the proto has every field of a canonical record under its JSON name, and no other', () => {
  const differences: string[] = [];
  compare(RecordSchema, TelemetryRecordSchema, '', differences);
  expect(differences).toEqual([]);
});

test('signal groups are numbered in the proto as they are in the bit set', () => {
  expect(SignalsMessage.fields.map(({ jsonName, number }) => [jsonName, number])).toEqual(
    SIGNAL_GROUPS.map((name, place) => [name, place + 1]),
  );
});

test('every optional signal can be told apart from its zero', () => {
  const visit = (message: DescMessage): DescField[] =>
    message.fields.flatMap((field) => (field.message && field.fieldKind !== 'map' ? visit(field.message) : [field]));
  // Identity keys are always there, so they need no presence; everything else says `optional`.
  const bare = visit(SignalsMessage).filter((field) => field.fieldKind === 'scalar' && !field.proto.proto3Optional);
  expect([...new Set(bare.map(({ jsonName }) => jsonName))].sort()).toEqual([
    'axle',
    'circuit',
    'code',
    'dual',
    'id',
    'protocol',
    'role',
    'side',
    'zone',
  ]);
});

test('the JSON of a REST record is read as it is, and comes back the same', () => {
  const record = {
    id: '019a9b2c-5a10-7000-8000-000000000001',
    assetId: '019a9b2c-5a10-7000-8000-000000000002',
    assetKind: 'trailer',
    deviceId: null,
    product: 'traccar',
    mappingVersion: 3,
    receiptId: '019a9b2c-5a10-7000-8000-000000000003',
    position: 9_007_199_254_740_991,
    observedAt: '2026-11-20T08:00:00.120Z',
    deviceAt: null,
    receivedAt: '2026-11-20T08:00:01.001Z',
    processedAt: '2026-11-20T08:00:01.999Z',
    signals: {
      gps: { latitude: 0, longitude: -87.5 },
      motion: { moving: false },
      doors: [{ id: 'rear', state: 'ajar' }],
      grossWeightKg: 18_000,
    },
    states: { 'gps.altitudeM': 'error' },
  };
  const message = fromJson(TelemetryRecordSchema, record);
  const { deviceId: _device, deviceAt: _at, ...set } = record;
  expect(toJson(TelemetryRecordSchema, message)).toEqual({ ...set, position: '9007199254740991' });
});
