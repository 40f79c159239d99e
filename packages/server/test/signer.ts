import { createHash, createHmac } from 'node:crypto';

/**
 * Signs requests for tests, each part replaceable. Written apart from the product's own code, from RFC 9421: what both
 * agree on is not one mistake made twice.
 */
export interface SignOrder {
  readonly keyId: string;
  /** Hex. */
  readonly signingKey: string;
  readonly method?: string;
  readonly authority?: string;
  readonly path?: string;
  readonly body?: string | Uint8Array;
  readonly digest?: string;
  readonly idempotencyKey?: string;
  readonly created?: number;
  readonly nonce?: string;
  readonly label?: string;
  /** Names in the order in which they are covered. */
  readonly covered?: readonly string[];
  /** What follows the covered names, instead of created, nonce and keyid. */
  readonly parameters?: string;
}

export const AUTHORITY = 'telemetry.example';
export const PATH = '/api/v1/telemetry/intake/1UYVS2533P7204518';

let nonces = 0;

/** A nonce of this process that was not used before. */
export function freshNonce(): string {
  nonces += 1;
  return `nonce-${process.pid}-${String(nonces).padStart(12, '0')}`;
}

/** The headers of the signed request, but for Host. */
export function sign(order: SignOrder): Record<string, string> {
  const { label = 'gladhand', created = Math.floor(Date.now() / 1000), nonce = freshNonce() } = order;
  const digest =
    order.digest ??
    `sha-256=:${createHash('sha256')
      .update(order.body ?? '')
      .digest('base64')}:`;
  const values: Record<string, string> = {
    '@method': order.method ?? 'POST',
    '@authority': order.authority ?? AUTHORITY,
    '@path': order.path ?? PATH,
    'content-digest': digest,
    ...(order.idempotencyKey !== undefined && { 'idempotency-key': order.idempotencyKey }),
    'content-type': 'application/json',
  };
  const covered = order.covered ?? Object.keys(values).filter((name) => name !== 'content-type');
  const parameters = order.parameters ?? `;created=${created};nonce="${nonce}";keyid="${order.keyId}"`;
  const input = `(${covered.map((name) => `"${name}"`).join(' ')})${parameters}`;
  const base = `${covered.map((name) => `"${name}": ${values[name]}\n`).join('')}"@signature-params": ${input}`;
  const signature = createHmac('sha256', Buffer.from(order.signingKey, 'hex')).update(base).digest('base64');
  return {
    'content-digest': digest,
    ...(order.idempotencyKey !== undefined && { 'idempotency-key': order.idempotencyKey }),
    'signature-input': `${label}=${input}`,
    signature: `${label}=:${signature}:`,
  };
}
