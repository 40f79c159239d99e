import { createHash } from 'node:crypto';
import { Fault } from '@gladhand/base/fault.ts';
import { type Ids, isUuid, uuidTimeMs } from '@gladhand/base/ids.ts';
import { readJson } from '@gladhand/base/read-json.ts';
import type { AssetRef } from '@gladhand/contract/asset-ref.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { Principal } from '../access/principal.ts';
import type { AppendOutcome, Envelope, IntakeLog } from '../intake-log/intake-log.ts';

/**
 * Accepting an envelope. Promise: when `accept` resolves, the bytes are on disk under the receipt's id and nothing
 * about them is lost whatever happens next; what is refused is refused before anything is stored, with every place
 * named. Assumes an authenticated partner. Fails with a Fault; `temporarily-unavailable` means "unknown: send the same
 * bytes again", which never doubles a record.
 */
export interface Intake {
  accept(submission: Submission): Promise<Accepted>;
}

export interface Submission {
  readonly principal: Principal;
  /** As it stands in the path. */
  readonly asset: AssetRef;
  /** Of `Content-Type`, lower case, without parameters. */
  readonly mediaType: string;
  readonly body: Buffer;
  readonly idempotencyKey: string | undefined;
}

export interface Accepted {
  readonly receiptId: string;
  readonly receivedAtMs: number;
  /** The same Idempotency-Key and bytes were accepted before; this is the receipt of that time. */
  readonly isRepeated: boolean;
}

/** What intake has to know of a product. */
export interface IntakeProduct {
  readonly name: string;
  readonly vinCheck: 'mark' | 'strict';
  /** Media types it takes beside application/json. */
  readonly mediaTypes?: readonly string[];
  /** Where the payload does not match the product's input schema, at most 20 places. */
  validateInput(payload: unknown): readonly { pointer: string; code: string; detail: string }[];
}

export interface IntakeParts {
  readonly log: IntakeLog;
  readonly ids: Ids;
  readonly findProduct: (name: string) => IntakeProduct | undefined;
  readonly onAccepted: () => void;
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

export function createIntake(parts: IntakeParts): Intake {
  return {
    async accept(submission) {
      const { principal, body } = submission;
      const product = findProduct(parts, principal);
      refuseMediaType(product, submission.mediaType);
      const asset =
        'vin' in submission.asset
          ? { vin: readVin(submission.asset.vin, product) }
          : { plantId: readPlantId(submission.asset.plantId, principal) };
      refuseInput(product, readJson(body));
      const id = parts.ids.uuid();
      const envelope: Envelope = {
        id,
        receivedAtMs: uuidTimeMs(id),
        organizationId: principal.organizationId,
        keyId: principal.keyId,
        partnerId: principal.partnerId,
        product: product.name,
        asset,
        body,
      };
      const outcome = await append(parts.log, envelope, submission.idempotencyKey);
      if (outcome.kind === 'conflict') {
        throw new Fault(
          'idempotency-key-reused',
          'This Idempotency-Key was used within 24 hours with other bytes or for another asset. Use a new key for a new payload.',
        );
      }
      parts.onAccepted();
      return {
        receiptId: outcome.envelopeId,
        receivedAtMs: outcome.receivedAtMs,
        isRepeated: outcome.kind === 'repeated',
      };
    },
  };
}

function append(log: IntakeLog, envelope: Envelope, key: string | undefined): Promise<AppendOutcome> {
  if (key === undefined) return log.append(envelope);
  if (!IDEMPOTENCY_KEY.test(key)) {
    throw new Fault(
      'invalid-idempotency-key',
      'An Idempotency-Key has 1 to 255 visible ASCII characters; a UUID per payload is a good one.',
    );
  }
  const asset = 'vin' in envelope.asset ? envelope.asset.vin : envelope.asset.plantId;
  const fingerprint = createHash('sha256').update(`${asset}\n`).update(envelope.body).digest();
  return log.append(envelope, { key, fingerprint });
}

function findProduct(parts: IntakeParts, principal: Principal): IntakeProduct {
  const product = principal.product === null ? undefined : parts.findProduct(principal.product);
  if (product === undefined) {
    throw new Fault(
      'unknown-product',
      `The key's product \`${principal.product ?? 'none'}\` is not installed here. Ask the operator to install it, or for a key of another product.`,
    );
  }
  return product;
}

function refuseMediaType({ name, mediaTypes = [] }: IntakeProduct, mediaType: string): void {
  const taken = ['application/json', ...mediaTypes];
  if (taken.includes(mediaType)) return;
  const detail = `The product \`${name}\` takes ${taken.join(' and ')}, not \`${mediaType.slice(0, 100)}\`.`;
  throw new Fault('unsupported-media-type', `${detail} Send the body as one of these.`);
}

function readVin(text: string, product: IntakeProduct): string {
  const result = normalizeVin(text);
  if (!result.ok) throw invalidVin(`The VIN in the path is not valid: ${result.detail}.`, result.reason, result.detail);
  if (result.check === 'fail' && product.vinCheck === 'strict') {
    const detail = 'the check digit in position 9 is wrong (49 CFR 565.15)';
    throw invalidVin(
      `The VIN in the path is not valid: ${detail}, and the product \`${product.name}\` is strict about it.`,
      'check-digit',
      detail,
    );
  }
  return result.vin;
}

function invalidVin(text: string, code: string, detail: string): Fault {
  return new Fault('invalid-vin', text, { errors: [{ pointer: '/path/vin', code, detail }] });
}

function readPlantId(text: string, principal: Principal): string {
  const id = text.toLowerCase();
  // A plant outside the key's restriction answers as one that does not exist.
  if (!isUuid(id) || (principal.plantIds !== null && !principal.plantIds.has(id))) {
    throw new Fault('not-found', 'There is no such plant.');
  }
  return id;
}

function refuseInput(product: IntakeProduct, payload: unknown): void {
  const errors = product.validateInput(payload);
  const first = errors[0];
  if (first === undefined) return;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  throw new Fault(
    'validation-failed',
    `The body does not match what the product \`${product.name}\` takes: ${first.pointer || '/'} ${first.detail}${more}.`,
    { errors },
  );
}
