import { AcceptedBody, IntakeHeaders, PartnerPayload } from '@gladhand/contract/intake.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Principal } from '../access/principal.ts';
import { Fault } from '../base/fault.ts';
import { principalOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import type { Intake, Submission } from './accept.ts';
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

/** The door of intake: a partner's JSON for an asset comes in, a receipt goes out. */
export function registerIntakeRoutes(http: Http, parts: IntakeDoorParts): void {
  http.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers();
    // The bytes are kept as they are, so nothing parses them before they are read here.
    scope.addContentTypeParser(
      'application/json',
      { parseAs: 'buffer', bodyLimit: parts.bodyBytesMax },
      (_request, body, parsed) => parsed(null, body),
    );

    const route = (
      url: string,
      params: object,
      summary: string,
      assetOf: (request: FastifyRequest) => Submission['asset'],
    ) =>
      scope.post(
        url,
        {
          config: { access: { audience: 'partner', scopes: ['telemetry:write'] }, limit: 'intake' },
          bodyLimit: parts.bodyBytesMax,
          schema: {
            tags: ['Partner intake'],
            summary,
            description:
              '202 means the bytes are on disk. Send `Idempotency-Key` to make retries safe by themselves; without it, a repeated payload still collapses by content.',
            params,
            headers: IntakeHeaders,
            consumes: ['application/json'],
            body: PartnerPayload,
            response: { 202: AcceptedBody },
          },
        },
        (request, reply) => submit(parts, request, reply, assetOf(request)),
      );

    route(
      '/api/v1/telemetry/intake/:vin',
      Type.Object({ vin: Type.String({ description: 'The VIN of the trailer or delivery vehicle, either case.' }) }),
      'Send telemetry of a trailer or delivery vehicle',
      (request) => ({ vin: (request.params as { vin: string }).vin }),
    );
    route(
      '/api/v1/telemetry/intake/plants/:plantId',
      Type.Object({ plantId: Type.String({ description: 'The UUID of the plant.' }) }),
      'Send telemetry of a plant',
      (request) => ({ plantId: (request.params as { plantId: string }).plantId }),
    );
    done();
  });
}

async function submit(
  parts: IntakeDoorParts,
  request: FastifyRequest,
  reply: FastifyReply,
  asset: Submission['asset'],
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

function bodyOf(request: FastifyRequest): Buffer {
  if (request.headers['content-type'] === undefined) {
    throw new Fault('unsupported-media-type', 'Send the body as `Content-Type: application/json`.');
  }
  if (!Buffer.isBuffer(request.body))
    throw new Fault('empty-body', 'The body is empty. Send the telemetry as a JSON document.');
  return request.body;
}
