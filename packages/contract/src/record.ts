import { type Static, Type } from 'typebox';
import { SignalsSchema } from './signals.ts';

/** The canonical record: one asset at one instant, in the canonical vocabulary, with its origin. */
const instant = (description: string) => Type.String({ format: 'date-time', description });
const uuid = (description: string) => Type.String({ format: 'uuid', description });

export const ASSET_KINDS = ['trailer', 'plant', 'deliversafe'] as const;
export type AssetKind = (typeof ASSET_KINDS)[number];

/**
 * The state of a signal, beside its value:
 * - notAvailable, error: the device itself said so (J1939-71 has a code for each), and the value is null.
 * - implausible: the device sent a value outside the bounds of use, which was left out.
 * - misfit: the device sent something that could not be read (another type, an unknown word or unit), which was left out.
 */
export const SIGNAL_STATES = ['notAvailable', 'error', 'implausible', 'misfit'] as const;
export type SignalState = (typeof SIGNAL_STATES)[number];

export const StatesSchema = Type.Record(Type.String(), Type.Enum([...SIGNAL_STATES], { type: 'string' }), {
  title: 'States',
  description:
    'Metric path -> why its value is null (notAvailable, error) or was left out (implausible, misfit); a metric that is not named here is ok',
});
export type States = Static<typeof StatesSchema>;

export const RecordSchema = Type.Object(
  {
    id: uuid('UUIDv7 of observedAt and content: the same record sent twice has the same id'),
    assetId: uuid('The trailer, plant or DeliverSafe unit'),
    assetKind: Type.Enum([...ASSET_KINDS], { type: 'string', description: 'Kind of the asset' }),
    deviceId: Type.Union([uuid('The device'), Type.Null()], { description: 'The device that reported it, when known' }),
    product: Type.String({ description: 'Product by whose mapping the record was made' }),
    mappingVersion: Type.Integer({ minimum: 1, description: 'Version of that mapping' }),
    receiptId: uuid('Receipt of the envelope it came in'),
    position: Type.Integer({ minimum: 1, description: 'Place in the change feed: grows with every stored record' }),
    observedAt: instant('Device clock: when it was true (time of the GNSS fix where there is one)'),
    deviceAt: Type.Union([instant('Device clock'), Type.Null()], {
      description: 'Device clock: when the device sent it; null when it does not say',
    }),
    receivedAt: instant('Our clock: when intake accepted the bytes'),
    processedAt: instant('Our clock: when the record was stored and became visible'),
    signals: SignalsSchema,
    states: Type.Optional(StatesSchema),
  },
  {
    additionalProperties: false,
    title: 'TelemetryRecord',
    description: 'A canonical record. Instants are RFC 3339 UTC with milliseconds.',
  },
);

export type TelemetryRecord = Static<typeof RecordSchema>;
