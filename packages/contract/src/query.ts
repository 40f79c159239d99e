import { type Static, Type } from 'typebox';
import { ASSET_KINDS, RecordSchema } from './record.ts';
import { pageOf } from './registry.ts';
import { SignalsSchema } from './signals.ts';
import { VIN_PATTERN } from './vin.ts';

/** What the reading side answers of telemetry: pages by time, the feed by arrival, the latest values. */
const closed = { additionalProperties: false } as const;
const uuid = (description: string) => Type.String({ format: 'uuid', description });
const instant = (description: string) => Type.String({ format: 'date-time', description });

export const RecordPageSchema = pageOf(RecordSchema, 'RecordPage');
export type RecordPage = Static<typeof RecordPageSchema>;

/** A record with a position, of whose signals only the position is left. All other fields are those of the whole record. */
export const GpsFixSchema = Type.Object(
  {
    ...RecordSchema.properties,
    signals: Type.Required(Type.Pick(SignalsSchema, ['gps']), { ...closed, description: 'The gps group alone' }),
  },
  { ...closed, title: 'GpsFix', description: 'A canonical record cut down to its position' },
);
export type GpsFix = Static<typeof GpsFixSchema>;

export const GpsPageSchema = pageOf(GpsFixSchema, 'GpsPage');

export const FeedPageSchema = Type.Object(
  {
    data: Type.Array(RecordSchema, {
      description:
        'Records in the order in which they became visible, at most `take`. May hold fewer, even none, although more follow: only `caughtUp` says that you have reached the end',
    }),
    next: Type.String({
      description:
        'Never null: where to go on. It has moved past all records that this page has examined. LiveFeed resumes from it too',
    }),
    caughtUp: Type.Boolean({
      description:
        'true: this page reached the end of the feed as it was when you asked; ask again later with `next`. false: ask again at once',
    }),
  },
  { ...closed, title: 'FeedPage', description: 'A page of the change feed' },
);
export type FeedPage = Static<typeof FeedPageSchema>;

export const LatestValueSchema = Type.Object(
  {
    value: Type.Union([Type.Number(), Type.String(), Type.Boolean(), Type.Null()], {
      description: 'The value; null when the device itself said "not available" or "error"',
    }),
    observedAt: instant('Device clock: when it was true'),
    receivedAt: instant('Our clock: when it was received'),
    recordId: uuid('The record it comes from'),
    deviceId: Type.Union([uuid('A device'), Type.Null()], { description: 'The device that reported it, when known' }),
  },
  { ...closed, title: 'LatestValue', description: 'The newest value of one metric, by observedAt' },
);

export const LatestSchema = Type.Object(
  {
    assetId: uuid('The asset'),
    assetKind: Type.Enum([...ASSET_KINDS], { type: 'string', description: 'Kind of the asset' }),
    vin: Type.Union([Type.String({ pattern: VIN_PATTERN }), Type.Null()], { description: 'Its VIN; null for a plant' }),
    metrics: Type.Record(Type.String(), LatestValueSchema, {
      description:
        'Metric, such as gps.speedKph or tires[1.left.outer].pressureKpa -> its newest value with its own clocks',
    }),
    cappedGroups: Type.Optional(
      Type.Array(Type.String(), {
        description:
          'Groups of signals that have more metrics than are kept (1,000 for each asset and group). Their oldest metrics are missing here.',
      }),
    ),
  },
  { ...closed, title: 'Latest', description: 'The latest value of every metric of one asset' },
);
export type Latest = Static<typeof LatestSchema>;

export const LatestPageSchema = pageOf(LatestSchema, 'LatestPage');
