import { type Static, Type } from 'typebox';

/** Content types that every product accepts. */
export const INTAKE_CONTENT_TYPES = ['application/json'] as const;
/** Content encodings that a body may have. */
export const INTAKE_CONTENT_ENCODINGS = ['gzip', 'br', 'zstd'] as const;

/** Headers of intake besides `Authorization` and `Content-Type: application/json`. */
export const IntakeHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        '1 to 255 visible ASCII characters; honoured for 24 hours. The same key and bytes give the same receipt.',
    }),
  ),
  'content-encoding': Type.Optional(Type.String({ description: '`gzip`, `br` or `zstd`.' })),
  'content-digest': Type.Optional(
    Type.String({
      description: 'On a signed request: `sha-256=:<base64>:` (RFC 9530), over the body as sent, after compression.',
    }),
  ),
  'signature-input': Type.Optional(
    Type.String({
      description:
        'RFC 9421: `gladhand=("@method" "@authority" "@path" "content-digest");created=<seconds>;nonce="<16 to 128 characters>";keyid="<id of the API key>"`, with `"idempotency-key"` covered when it is sent.',
    }),
  ),
  signature: Type.Optional(
    Type.String({
      description: 'RFC 9421: `gladhand=:<base64>:`, HMAC-SHA-256 with the signing key. A key may require it.',
    }),
  ),
});

/** The body of intake in the API reference. Its real schema is the input schema of the product. */
export const PartnerPayload = Type.Unknown({
  title: 'PartnerPayload',
  description:
    "A JSON document in the partner's own words, UTF-8, 1 MiB after decoding as the server is shipped. What it must look like is decided by the product of the key; a mismatch is a 400 that names each place.",
});

/** The answer of 202: the bytes are on disk. */
export const AcceptedBody = Type.Object(
  {
    receiptId: Type.String({
      format: 'uuid',
      description: 'Ask GET /telemetry/receipts/{id} what became of the payload.',
    }),
    receivedAt: Type.String({ format: 'date-time', description: 'Our clock: when the bytes were accepted' }),
    status: Type.Literal('queued', { description: 'On disk, not mapped yet' }),
  },
  { title: 'Accepted', description: 'The bytes are on disk' },
);

/** The parts of a payload that a reject can leave out, from the smallest to the largest. Everything around the part is kept. */
export const REFUSED_PARTS = ['value', 'group', 'element', 'record', 'payload'] as const;
export type RefusedPart = (typeof REFUSED_PARTS)[number];

/** Why the mapping refused a part of a payload. */
export const RejectBody = Type.Object(
  {
    refused: Type.Enum([...REFUSED_PARTS], {
      type: 'string',
      description:
        'What was left out because of it: one value, a group of signals, an element of a list, the whole record, or the whole payload. The rest is kept.',
    }),
    record: Type.Integer({ description: 'Which record of the payload, counted from 0 in the order of the mapping.' }),
    code: Type.String({ description: 'Why, as a code that never changes its meaning.' }),
    pointer: Type.String({ description: 'RFC 6901 pointer into the mapping document: the line that refused it.' }),
    element: Type.Union([Type.String(), Type.Null()], {
      description: 'RFC 6901 pointer into the payload: the element it was made from.',
    }),
    expression: Type.String({ description: 'The CEL expression of that line.' }),
    found: Type.String({ description: 'What was found there, cut short.' }),
    detail: Type.String({ description: 'What was expected.' }),
  },
  { title: 'Reject', description: 'A part of a payload that could not be taken' },
);
export type RejectBody = Static<typeof RejectBody>;

export const RECEIPT_STATUSES = [
  'queued',
  'processed',
  'partly-rejected',
  'rejected',
  'nothing-taken',
  'unclaimed',
] as const;

/** A receipt lists at most this many rejects, and at most this many paths of each kind. */
export const REJECTS_TOLD_MAX = 100;
export const LEAF_PATHS_TOLD_MAX = 50;

const leaves = (description: string) => Type.Integer({ minimum: 0, description });
const leafPaths = (description: string) => Type.Array(Type.String(), { maxItems: LEAF_PATHS_TOLD_MAX, description });

/** What became of every leaf of a payload. A leaf is a text, number, boolean or null, or an empty list or object. */
export const LeavesBody = Type.Object(
  {
    taken: leaves('Used by a line of the mapping that made something of it'),
    skipped: leaves('In an element that a `when` of the mapping leaves out'),
    leftOut: leaves('Read by a line that made nothing of it: null, or a word that the mapping leaves out on purpose'),
    rejected: leaves('Read by a line that refused it, or part of what was refused; see `rejects`'),
    unused: leaves('Not used by any line of the mapping'),
    leftOutPaths: leafPaths(
      'Where the leaves left out stand: JSON Pointers, each once, `*` for any index; the first 50',
    ),
    unusedPaths: leafPaths('Where the unused leaves stand: JSON Pointers, each once, `*` for any index; the first 50'),
  },
  {
    title: 'Leaves',
    description: 'Every leaf of the payload, counted once: the five numbers add up to all of them',
  },
);
export type LeavesBody = Static<typeof LeavesBody>;

/** What became of a payload. */
export const ReceiptBody = Type.Object(
  {
    receiptId: Type.String({ format: 'uuid', description: 'Id of the receipt' }),
    receivedAt: Type.String({ format: 'date-time', description: 'Our clock: when the bytes were accepted' }),
    status: Type.Enum([...RECEIPT_STATUSES], {
      type: 'string',
      description:
        'queued: on disk, not mapped yet. processed: everything that the mapping reads is stored. partly-rejected: some records are stored, and something was refused. rejected: no record could be stored. nothing-taken: the mapping found nothing that it reads. unclaimed: at least one record is for a VIN that nobody has registered; it is mapped the moment the VIN is.',
    }),
    product: Type.String({ description: 'Product of the key that sent it' }),
    vin: Type.Union([Type.String(), Type.Null()], {
      description: 'VIN of the request path, upper case; null for a plant',
    }),
    plantId: Type.Union([Type.String({ format: 'uuid' }), Type.Null()], {
      description: 'Plant of the request path; null for a vehicle',
    }),
    mappingVersion: Type.Union([Type.Integer(), Type.Null()], {
      description: 'Version of the mapping that was run; null while queued',
    }),
    processedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
      description: 'When it was mapped; null while queued',
    }),
    recordIds: Type.Array(Type.String({ format: 'uuid' }), {
      description: 'The records it became; a repeated record has the id it had before.',
    }),
    skipped: Type.Integer({ description: 'Elements that every `when` of the mapping leaves out.' }),
    rejectsTotal: Type.Integer({
      minimum: 0,
      description: 'How many parts were refused; `rejects` has the first 100.',
    }),
    rejects: Type.Array(RejectBody, {
      maxItems: REJECTS_TOLD_MAX,
      description: 'What could not be taken, and why; the first 100.',
    }),
    leaves: Type.Union([LeavesBody, Type.Null()], {
      description: 'What became of every leaf of the payload; null while queued, or when the mapping could not be run',
    }),
    repeats: Type.Union([Type.String({ format: 'uuid' }), Type.Null()], {
      description:
        'The receipt of the same bytes that came shortly before, whose clock this one was given. Only for payloads whose times count from their arrival.',
    }),
    unclaimed: Type.Array(Type.String(), { description: 'VINs that nobody has registered.' }),
  },
  { title: 'Receipt', description: 'What became of a payload' },
);
export type ReceiptBody = Static<typeof ReceiptBody>;
