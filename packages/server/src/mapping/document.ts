import { type Static, Type } from 'typebox';

/**
 * Schemas of the two documents that describe a partner's format. The product says what is accepted. A mapping version
 * says what it means. The schemas have no alternatives (`anyOf`), so that a wrong document gives one clear error for each
 * place. If a part can be written in two ways, the compiler picks the form first and checks it against that schema.
 */
export const MAPPING_LIMITS = {
  /** Records of one payload, mapped or rejected. Elements that a `when` leaves out do not count. */
  recordsPerPayloadMax: 5000,
  /** Elements of one list of one record. */
  elementsPerListMax: 256,
  /** UTF-8 bytes of one CEL expression. */
  expressionBytesMax: 4096,
  recordSpecsMax: 64,
  loopsPerRecordMax: 4,
  linesPerRecordMax: 400,
  valuesPerTableMax: 1000,
  /**
   * Elements of outer lists that all expressions together may visit in one payload. Without this limit, a filter over the
   * whole payload inside a loop over the payload takes quadratic time. 250,000 elements take about 30 ms.
   */
  outerElementsMax: 250_000,
} as const;

const closed = { additionalProperties: false } as const;
const expression = (description: string) => Type.String({ minLength: 1, description });

/** A name that a loop or let binds: a CEL identifier. */
const VARIABLE_PATTERN = '^[a-z][A-Za-z0-9_]{0,39}$';
export const SLUG_PATTERN = '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$';

export const LoopSchema = Type.Object(
  {
    as: Type.String({ pattern: VARIABLE_PATTERN, description: 'Name the element is bound to' }),
    in: expression('CEL: the list to go through'),
  },
  { ...closed, description: 'One loop; an inner loop may use the name of an outer one' },
);

export const INSTANT_FORMATS = ['rfc3339', 'iso8601', 'epoch-s', 'epoch-ms', 'epoch-auto'] as const;
export type InstantFormat = (typeof INSTANT_FORMATS)[number];

export const InstantSchema = Type.Object(
  {
    value: expression('CEL: the instant'),
    format: Type.Enum([...INSTANT_FORMATS], {
      type: 'string',
      description:
        'Format of the timestamp; iso8601 also accepts +0100, +01 and no separators; epoch-auto finds s, ms, us or ns by magnitude',
    }),
  },
  closed,
);

export const DeviceClockSchema = Type.Object(
  {
    ...InstantSchema.properties,
    identifies: Type.Optional(
      Type.Boolean({
        description:
          'true: two records that differ only in this clock are two records. Leave it out if the clock is the time of sending, because a retry changes it',
      }),
    ),
  },
  closed,
);

export const DeviceSchema = Type.Object(
  {
    externalId: expression('CEL: the id the partner gives the device, a string'),
    kind: Type.String({
      pattern: SLUG_PATTERN,
      description: 'Kind of device: gateway, sensor, ... (not an expression)',
    }),
  },
  closed,
);

export const RecordSpecSchema = Type.Object(
  {
    each: Type.Optional(
      Type.Unknown({ description: 'CEL: the list whose elements are bound to `item`; or a list of {as, in}' }),
    ),
    when: Type.Optional(expression('CEL: a bool; false or a missing input leaves the element out')),
    let: Type.Optional(
      Type.Record(Type.String({ pattern: VARIABLE_PATTERN }), expression('CEL'), {
        maxProperties: 20,
        description: 'Names for values that several lines use; each may use those before it',
      }),
    ),
    asset: Type.Optional(expression('CEL: the VIN; default: the asset of the request path')),
    device: Type.Optional(DeviceSchema),
    observedAt: InstantSchema,
    deviceAt: Type.Optional(DeviceClockSchema),
    signals: Type.Record(Type.String(), Type.Unknown(), {
      minProperties: 1,
      description: 'Canonical path -> CEL, or a line with options, or the elements of a list',
    }),
  },
  closed,
);

export const MappingDocumentSchema = Type.Object(
  {
    format: Type.Literal('gladhand.mapping/v1'),
    description: Type.Optional(Type.String()),
    records: Type.Array(RecordSpecSchema, { minItems: 1, maxItems: MAPPING_LIMITS.recordSpecsMax }),
  },
  closed,
);
export type MappingDocument = Static<typeof MappingDocumentSchema>;

/** A signal line with options. A plain string is short for `{value: string}`. */
export const LineSchema = Type.Object(
  {
    value: Type.Optional(expression('CEL: the value')),
    literal: Type.Optional(Type.Unknown({ description: 'A constant, instead of `value`' })),
    unit: Type.Optional(
      Type.Unknown({
        description:
          'UCUM code of the value; or {senml: CEL, untold: UCUM code}: the payload names the unit, and `untold` is the unit if it does not',
      }),
    ),
    values: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        minProperties: 1,
        maxProperties: MAPPING_LIMITS.valuesPerTableMax,
        description: "The partner's value as text -> the canonical value; null leaves the signal out",
      }),
    ),
    otherwise: Type.Optional(
      Type.Unknown({
        description: 'The canonical value for a value that is not in `values`; default: it is rejected and left out',
      }),
    ),
    default: Type.Optional(
      Type.Unknown({
        description:
          'Used for a missing identity key; not allowed for a measured value, because a missing value is not a reading',
      }),
    ),
    notAvailable: Type.Optional(
      Type.Array(Type.Unknown(), { minItems: 1, description: 'Values that mean "not available"' }),
    ),
    error: Type.Optional(Type.Array(Type.Unknown(), { minItems: 1, description: 'Values that mean "sensor error"' })),
  },
  closed,
);
export type Line = Static<typeof LineSchema>;

/** A unit that the payload names, as a SenML unit (RFC 8428 12.1, RFC 8798). */
export const ToldUnitSchema = Type.Object(
  {
    senml: expression('CEL: the name of the unit'),
    untold: Type.Optional(Type.String({ description: 'UCUM code of the unit if the payload names none' })),
  },
  closed,
);

/** The options of a list that is mapped from a list in the payload. Every other key is a field of the element. */
export const ListSpecSchema = Type.Object({
  each: expression('CEL: the list to go through'),
  as: Type.String({ pattern: VARIABLE_PATTERN, description: 'Name the element is bound to' }),
  when: Type.Optional(expression('CEL: a bool; false or a missing input leaves the element out')),
});

export const DecodeStepSchema = Type.Object(
  { step: Type.Literal('senml', { description: 'RFC 8428 resolution: an item for each asset or device and time' }) },
  closed,
);

const seconds = (description: string) => Type.Integer({ minimum: 0, maximum: 10 * 366 * 86400, description });

export const ClockSkewSchema = Type.Object(
  {
    pastSecondsMax: seconds('How much older than receivedAt an observation may be'),
    futureSecondsMax: seconds('How much newer than receivedAt an observation may be'),
  },
  closed,
);

/** The suffix `+json` says that the body is JSON (RFC 6839 3.1). */
const MEDIA_TYPE_PATTERN = '^[a-z]+/[a-z0-9!#$&^_.-]+\\+json$';

export const VIN_CHECKS = ['mark', 'strict'] as const;

export const ProductDocumentSchema = Type.Object(
  {
    format: Type.Literal('gladhand.product/v1'),
    name: Type.String({ pattern: SLUG_PATTERN, description: "The token's scope is product:<name>" }),
    title: Type.String({ minLength: 1, maxLength: 200 }),
    partnerId: Type.String({ minLength: 1, maxLength: 100, description: 'Whose format it is' }),
    inputSchema: Type.Record(Type.String(), Type.Unknown(), { description: 'JSON Schema 2020-12, checked at intake' }),
    intakeLimit: Type.Object(
      { limit: Type.Integer({ minimum: 1 }), windowSeconds: Type.Integer({ minimum: 1, maximum: 86400 }) },
      { ...closed, description: 'Fixed window for each VIN' },
    ),
    vinCheck: Type.Enum([...VIN_CHECKS], {
      type: 'string',
      description: 'mark: a VIN with a wrong check digit is accepted and marked; strict: it is rejected',
    }),
    clockSkew: ClockSkewSchema,
    mediaTypes: Type.Optional(
      Type.Array(Type.String({ pattern: MEDIA_TYPE_PATTERN }), {
        minItems: 1,
        maxItems: 10,
        description: 'Media types accepted beside application/json; each ends in +json (RFC 6839)',
      }),
    ),
    decode: Type.Optional(
      Type.Array(DecodeStepSchema, { maxItems: 1, description: 'Steps that turn the payload into plain items' }),
    ),
    versions: Type.Array(
      Type.Object(
        {
          version: Type.Integer({ minimum: 1 }),
          state: Type.Enum(['draft', 'certified', 'live', 'retired'], { type: 'string' }),
        },
        closed,
      ),
      { minItems: 1, description: 'Version n is the document mapping-n.yaml beside this one' },
    ),
  },
  closed,
);
export type ProductDocument = Static<typeof ProductDocumentSchema>;

/** The parts of a product that its mappings need. */
export type ProductRules = Pick<ProductDocument, 'vinCheck' | 'clockSkew'> & Partial<Pick<ProductDocument, 'decode'>>;
