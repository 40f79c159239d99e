import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/**
 * Sends one payload as signed intake and prints the receipt. Needs nothing but Node.js.
 *
 *   node examples/sign-intake.ts <API key> <id of the API key> <signing key> <VIN> <file.json>
 *        [--at http://localhost:8080] [--idempotency-key <key>]
 */
interface Signer {
  /** The id of the API key, not the key itself. */
  readonly keyId: string;
  /** 64 hex digits, as shown when the key was made: they stand for 32 bytes, and the bytes are the secret. */
  readonly signingKey: string;
}

/** The headers that sign this request. Call it for every attempt: a nonce counts once, also for a retry. */
export function signRequest(
  signer: Signer,
  request: { method: string; url: URL; body: Buffer; idempotencyKey?: string | undefined },
): Record<string, string> {
  const contentDigest = `sha-256=:${createHash('sha256').update(request.body).digest('base64')}:`;
  const covered: [name: string, value: string][] = [
    ['@method', request.method],
    ['@authority', request.url.host],
    ['@path', request.url.pathname],
    ['content-digest', contentDigest],
  ];
  if (request.idempotencyKey !== undefined) covered.push(['idempotency-key', request.idempotencyKey]);

  const names = covered.map(([name]) => `"${name}"`).join(' ');
  const created = Math.floor(Date.now() / 1000);
  const nonce = randomBytes(16).toString('hex');
  const parameters = `(${names});created=${created};nonce="${nonce}";keyid="${signer.keyId}"`;
  const base = [...covered.map(([name, value]) => `"${name}": ${value}`), `"@signature-params": ${parameters}`].join(
    '\n',
  );
  const signature = createHmac('sha256', Buffer.from(signer.signingKey, 'hex')).update(base).digest('base64');

  return {
    'Content-Digest': contentDigest,
    'Signature-Input': `gladhand=${parameters}`,
    Signature: `gladhand=:${signature}:`,
    ...(request.idempotencyKey !== undefined && { 'Idempotency-Key': request.idempotencyKey }),
  };
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { at: { type: 'string', default: 'http://localhost:8080' }, 'idempotency-key': { type: 'string' } },
});
const [apiKey, keyId, signingKey, vin, file] = positionals;
if (
  apiKey === undefined ||
  keyId === undefined ||
  signingKey === undefined ||
  vin === undefined ||
  file === undefined
) {
  console.error('Usage: node examples/sign-intake.ts <API key> <id of the API key> <signing key> <VIN> <file.json>');
  process.exit(2);
}

const authenticated = await fetch(new URL('/api/v1/partners/authenticate', values.at), {
  method: 'POST',
  headers: { 'X-API-KEY': apiKey },
});
if (!authenticated.ok) throw new Error(`authenticate: ${authenticated.status} ${await authenticated.text()}`);
const { accessToken } = (await authenticated.json()) as { accessToken: string };

const url = new URL(`/api/v1/telemetry/intake/${vin}`, values.at);
const body = readFileSync(file);
const signed = signRequest(
  { keyId, signingKey },
  { method: 'POST', url, body, idempotencyKey: values['idempotency-key'] },
);
const answer = await fetch(url, {
  method: 'POST',
  headers: { Authorization: `Bearer ${accessToken}`, 'Content-Type': 'application/json', ...signed },
  body,
});
console.log(await answer.text());
if (answer.status !== 202) process.exit(1);
