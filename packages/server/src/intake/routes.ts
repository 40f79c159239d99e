import { Fault } from '@gladhand/base/fault.ts';
import type { AssetRef } from '@gladhand/contract/asset-ref.ts';
import type { ErrorCode } from '@gladhand/contract/errors.ts';
import { AcceptedBody, INTAKE_CONTENT_TYPES, IntakeHeaders, PartnerPayload } from '@gladhand/contract/intake.ts';
import type { FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import { Type } from 'typebox';
import type { Principal } from '../access/principal.ts';
import { principalOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import type { Intake } from './accept.ts';
import { decodeBody, guessDecodedBytes, readCoding } from './decode-body.ts';

export interface IntakeDoorParts {
  readonly intake: Intake;
  readonly bodyBytesMax: number;
  /** Throws unless the request is signed as its key demands; `body` is as it was sent, still encoded. */
  checkSignature(
    principal: Principal,
    request: { method: string; target: string; scheme: string; rawHeaders: readonly string[]; body: Uint8Array },
  ): Promise<void>;
}

/** JSON, by its own name or by its suffix (RFC 6839 3.1); which of them a product takes is looked at with the product. */
const JSON_TYPES = /^\s*(application\/json|[^/;\s]+\/[^/;\s]+\+json)\s*(;|$)/i;
/** Of both routes, beside what follows from their declarations. */
const REFUSALS: readonly ErrorCode[] = [
  'signature-missing',
  'signature-invalid',
  'signature-expired',
  'signature-replayed',
  'digest-mismatch',
  'malformed-encoding',
  'unknown-product',
  'too-deep',
  'forbidden-json-key',
  'invalid-idempotency-key',
  'idempotency-key-reused',
];

/** The door of intake: a partner's JSON for an asset comes in, a receipt goes out. */
export function registerIntakeRoutes(http: Http, parts: IntakeDoorParts): void {
  http.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    // The bytes are kept as they are, so nothing parses them before they are read here.
    scope.addContentTypeParser(
      JSON_TYPES,
      { parseAs: 'buffer', bodyLimit: parts.bodyBytesMax },
      (_request, body, parsed) => parsed(null, body),
    );

    const route = (url: string, schema: FastifySchema, assetOf: (request: FastifyRequest) => AssetRef) =>
      scope.post(
        url,
        {
          config: { access: { audience: 'partner', scopes: ['telemetry:write'] }, limit: 'intake' },
          bodyLimit: parts.bodyBytesMax,
          schema: {
            ...schema,
            refusals: [...REFUSALS, ...(schema.refusals ?? [])],
            tags: ['Partner intake'],
            description:
              '202 means the bytes are on disk. Send `Idempotency-Key` to make retries safe by themselves; without it, a repeated payload still collapses by content.',
            headers: IntakeHeaders,
            consumes: [...INTAKE_CONTENT_TYPES],
            body: PartnerPayload,
            response: { 202: AcceptedBody },
          },
        },
        (request, reply) => submit(parts, request, reply, assetOf(request)),
      );

    route(
      '/api/v1/telemetry/intake/:vin',
      {
        operationId: 'sendTelemetry',
        summary: 'Send telemetry of a trailer or delivery vehicle',
        refusals: ['invalid-vin'],
        params: Type.Object({
          vin: Type.String({ description: 'The VIN of the trailer or delivery vehicle, either case.' }),
        }),
      },
      (request) => ({ vin: (request.params as { vin: string }).vin }),
    );
    route(
      '/api/v1/telemetry/intake/plants/:plantId',
      {
        operationId: 'sendPlantTelemetry',
        summary: 'Send telemetry of a plant',
        refusals: ['not-found'],
        params: Type.Object({ plantId: Type.String({ description: 'The UUID of the plant.' }) }),
      },
      (request) => ({ plantId: (request.params as { plantId: string }).plantId }),
    );
    done();
  });
}

async function submit(
  parts: IntakeDoorParts,
  request: FastifyRequest,
  reply: FastifyReply,
  asset: AssetRef,
): Promise<FastifyReply> {
  const principal = principalOf(request);
  await parts.checkSignature(principal, {
    method: request.method,
    target: request.raw.url ?? '',
    scheme: request.protocol,
    rawHeaders: request.raw.rawHeaders,
    body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
  });
  const body = await decodedBody(request, parts.bodyBytesMax);
  const accepted = await parts.intake.accept({
    principal,
    asset,
    mediaType: mediaTypeOf(request),
    body,
    idempotencyKey: request.headers['idempotency-key'] as string | undefined,
  });
  reply.code(202).header('location', `/api/v1/telemetry/receipts/${accepted.receiptId}`);
  if (accepted.isRepeated) reply.header('idempotency-replayed', 'true');
  return reply.send({
    receiptId: accepted.receiptId,
    receivedAt: new Date(accepted.receivedAtMs).toISOString(),
    status: 'queued',
  });
}

async function decodedBody(request: FastifyRequest, bytesMax: number): Promise<Buffer> {
  const raw = bodyOf(request);
  const coding = readCoding(request.headers['content-encoding']);
  if (coding === undefined) {
    request.intakePass?.hold(raw.length);
    return raw;
  }
  request.intakePass?.hold(guessDecodedBytes(raw, bytesMax));
  const body = await decodeBody(raw, coding, bytesMax);
  request.intakePass?.hold(body.length);
  return body;
}

function mediaTypeOf(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

function bodyOf(request: FastifyRequest): Buffer {
  if (request.headers['content-type'] === undefined) {
    throw new Fault('unsupported-media-type', 'Send the body as `Content-Type: application/json`.');
  }
  if (!Buffer.isBuffer(request.body))
    throw new Fault('empty-body', 'The body is empty. Send the telemetry as a JSON document.');
  return request.body;
}
