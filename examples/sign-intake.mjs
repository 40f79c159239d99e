import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/**
 * Sends one payload as signed intake and prints the receipt. Needs nothing but Node.js 20 or newer.
 *
 *   export GLADHAND_API_KEY=... GLADHAND_KEY_ID=... GLADHAND_SIGNING_KEY=...
 *   node examples/sign-intake.mjs <VIN> <file.json> [--at http://127.0.0.1:8080] [--idempotency-key <key>]
 *
 * @typedef {object} Signer
 * @property {string} keyId The id of the API key, not the key itself.
 * @property {string} signingKey 64 hex digits, as shown when the key was made: the secret is the 32 bytes they stand for.
 */

/**
 * The headers that sign this request. Call it for every attempt: a nonce counts once, also for a retry.
 *
 * @param {Signer} signer
 * @param {{ method: string, url: URL, body: Buffer, idempotencyKey?: string | undefined }} request
 * @returns {Record<string, string>}
 */
export function signRequest(signer, request) {
  const contentDigest = `sha-256=:${createHash('sha256').update(request.body).digest('base64')}:`;
  const covered = [
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
  options: { at: { type: 'string', default: 'http://127.0.0.1:8080' }, 'idempotency-key': { type: 'string' } },
});
const [vin, file] = positionals;
const { GLADHAND_API_KEY: apiKey, GLADHAND_KEY_ID: keyId, GLADHAND_SIGNING_KEY: signingKey } = process.env;
if (!apiKey || !keyId || !signingKey || vin === undefined || file === undefined) {
  console.error('Usage: node examples/sign-intake.mjs <VIN> <file.json>');
  console.error('GLADHAND_API_KEY, GLADHAND_KEY_ID and GLADHAND_SIGNING_KEY have to be set.');
  process.exit(2);
}

const authenticated = await fetch(new URL('/api/v1/partners/authenticate', values.at), {
  method: 'POST',
  headers: { 'X-API-KEY': apiKey },
});
if (!authenticated.ok) throw new Error(`authenticate: ${authenticated.status} ${await authenticated.text()}`);
const { accessToken } = /** @type {{ accessToken: string }} */ (await authenticated.json());

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
