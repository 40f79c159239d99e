import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { Fault } from '@gladhand/base/fault.ts';
import { type Dictionary, type InnerList, isInnerList, parseDictionary, serializeInnerList } from 'structured-headers';

/**
 * HTTP message signatures (RFC 9421) as intake takes them: one profile, read strictly, over the bytes as they came.
 * Promise: what is found good here was made by somebody who has the signing key, for this method, authority, path, body
 * and Idempotency-Key; nothing sent makes it throw anything but a Fault. Pure: knows neither clock nor store.
 */
export interface ReceivedRequest {
  readonly method: string;
  /** The request target as it stood in the request line, in origin form. */
  readonly target: string;
  /** Of the client's side: what the default port of `@authority` depends on. */
  readonly scheme: string;
  /** Names and values in turn, as Node gives them; values are Latin-1. */
  readonly rawHeaders: readonly string[];
  /** The content as it was sent, before any Content-Encoding is undone: what Content-Digest is over (RFC 9530 2). */
  readonly body: Uint8Array;
}

/** What a signed request says about itself; nothing of it is to be believed before `isSignedWith`. */
export interface ReadSignature {
  readonly keyId: string;
  readonly nonce: string;
  readonly createdSeconds: number;
  readonly expiresSeconds: number | null;
  /** RFC 9421 2.5: what was signed. */
  readonly base: string;
  readonly signature: Uint8Array;
  readonly contentDigest: string;
}

export const PREFERRED_LABEL = 'gladhand';
export const NONCE_CHARS_MIN = 16;
export const NONCE_CHARS_MAX = 128;

const ALGORITHM = 'hmac-sha256';
const SIGNATURE_BYTES = 32;
/** A signature of ours takes some 250 characters; there may be others beside it. */
const FIELD_CHARS_MAX = 4_096;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: ':80', https: ':443' };
const ALWAYS_COVERED = ['@method', '@authority', '@path', 'content-digest'];

/**
 * Reads `Signature-Input` and `Signature`. Gives undefined when the request has neither; throws `signature-invalid`
 * when it has a signature that is not one of this profile.
 */
export function readSignature(request: ReceivedRequest): ReadSignature | undefined {
  const inputText = fieldOf(request, 'signature-input');
  const signatureText = fieldOf(request, 'signature');
  if (inputText === undefined && signatureText === undefined) return undefined;
  if (inputText === undefined || signatureText === undefined) {
    throw invalid(`the request has only one of the headers Signature and Signature-Input`);
  }
  const inputs = parse(inputText, 'Signature-Input');
  const label = labelOf(inputs);
  const input = inputs.get(label)!;
  if (!isInnerList(input)) throw invalid(`Signature-Input must read ${label}=("@method" ...);created=...`);
  const [signature, parameters] = parse(signatureText, 'Signature').get(label) ?? [];
  if (!(signature instanceof ArrayBuffer) || signature.byteLength !== SIGNATURE_BYTES || parameters?.size !== 0) {
    throw invalid(`Signature must read ${label}=:<32 bytes in base64>:`);
  }
  const values = coveredValues(request, coveredNames(request, input));
  return {
    ...readParameters(input[1]),
    base: baseOf(values, input),
    signature: new Uint8Array(signature),
    contentDigest: values.get('content-digest')!,
  };
}

/** Whether `key` made the signature. Takes the same time wherever they differ. */
export function isSignedWith(key: Uint8Array, read: ReadSignature): boolean {
  return timingSafeEqual(createHmac('sha256', key).update(read.base, 'latin1').digest(), read.signature);
}

/** Throws `digest-mismatch` unless `contentDigest` (RFC 9530) has a `sha-256` that is the body's; others are ignored. */
export function checkDigest(contentDigest: string, body: Uint8Array): void {
  let claimed: unknown;
  try {
    claimed = parseDictionary(contentDigest).get('sha-256')?.[0];
  } catch {
    // Answered below: there is no digest that could be compared.
  }
  if (!(claimed instanceof ArrayBuffer)) {
    throw new Fault(
      'digest-mismatch',
      'Content-Digest must read sha-256=:<SHA-256 of the body in base64>: (RFC 9530).',
    );
  }
  if (!createHash('sha256').update(body).digest().equals(new Uint8Array(claimed))) {
    throw new Fault(
      'digest-mismatch',
      `The SHA-256 of the ${body.length} bytes that arrived is not the one in Content-Digest. It is over the body exactly as sent, after compression; something on the way may have written the body anew.`,
    );
  }
}

/** The refusal that every flaw of a signature gets; `why` is the end of its first sentence. */
export function invalid(why: string, base?: string): Fault {
  return new Fault('signature-invalid', `The request's signature is not valid: ${why}. See docs/signing.md.`, {
    // All of it came with the request; a client's author compares it line by line with their own.
    errors: base === undefined ? [] : [{ pointer: '/headers/signature', code: 'signature-base', detail: base }],
  });
}

/** The field's value without the white space around it (RFC 9421 2.1); several lines of it leave open which one counts. */
function fieldOf(request: ReceivedRequest, name: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    if (request.rawHeaders[at]!.toLowerCase() !== name) continue;
    if (found !== undefined) throw invalid(`the header ${name} is there more than once`);
    found = request.rawHeaders[at + 1]!.replace(/^[ \t]+|[ \t]+$/g, '');
  }
  if (found !== undefined && found.length > FIELD_CHARS_MAX)
    throw invalid(`the header ${name} has more than ${FIELD_CHARS_MAX} characters`);
  return found;
}

function parse(text: string, name: string): Dictionary {
  try {
    return parseDictionary(text);
  } catch {
    throw invalid(`${name} is not a dictionary of structured fields (RFC 9651)`);
  }
}

/** A proxy may have added a signature of its own; then ours has to be told by its label. */
function labelOf(inputs: Dictionary): string {
  if (inputs.has(PREFERRED_LABEL)) return PREFERRED_LABEL;
  const [only, ...others] = inputs.keys();
  if (only !== undefined && others.length === 0) return only;
  throw invalid(`Signature-Input has ${inputs.size} signatures and none is labelled ${PREFERRED_LABEL}`);
}

/** The covered components in their order. Exactly those of the profile: one less is a hole, one more was agreed with nobody. */
function coveredNames(request: ReceivedRequest, [items]: InnerList): string[] {
  const names = items.map(([name, parameters]) => {
    if (typeof name !== 'string' || parameters.size > 0)
      throw invalid('covered components are strings without parameters');
    return name;
  });
  const required =
    fieldOf(request, 'idempotency-key') === undefined ? ALWAYS_COVERED : [...ALWAYS_COVERED, 'idempotency-key'];
  const isExact = names.length === required.length && required.every((name) => names.includes(name));
  if (!isExact)
    throw invalid(
      `it must cover exactly ${required.map((name) => `"${name}"`).join(' ')}, for a request like this one`,
    );
  return names;
}

function coveredValues(request: ReceivedRequest, names: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const name of names) {
    const value = name.startsWith('@') ? derive(request, name) : fieldOf(request, name);
    if (value === undefined) throw invalid(`the header ${name} is missing`);
    values.set(name, value);
  }
  return values;
}

/** RFC 9421 2.2.1, 2.2.3, 2.2.6. */
function derive(request: ReceivedRequest, name: string): string | undefined {
  if (name === '@method') return request.method;
  // In absolute form the target has an authority of its own, which may not be the one in Host.
  if (!request.target.startsWith('/')) throw invalid('the request target must be a path');
  if (name === '@path') return request.target.split('?', 1)[0];
  const host = fieldOf(request, 'host')?.toLowerCase();
  const port = DEFAULT_PORTS[request.scheme];
  return port !== undefined && host?.endsWith(port) ? host.slice(0, -port.length) : host;
}

function readParameters(
  parameters: InnerList[1],
): Pick<ReadSignature, 'keyId' | 'nonce' | 'createdSeconds' | 'expiresSeconds'> {
  const [created, expires, nonce, keyId, algorithm] = ['created', 'expires', 'nonce', 'keyid', 'alg'].map((name) =>
    parameters.get(name),
  );
  if (typeof created !== 'number' || !Number.isInteger(created))
    throw invalid('the parameter created must be a time in whole seconds');
  if (expires !== undefined && (typeof expires !== 'number' || !Number.isInteger(expires)))
    throw invalid('the parameter expires must be a time in whole seconds');
  if (typeof nonce !== 'string' || nonce.length < NONCE_CHARS_MIN || nonce.length > NONCE_CHARS_MAX) {
    throw invalid(`the parameter nonce must be a string of ${NONCE_CHARS_MIN} to ${NONCE_CHARS_MAX} characters`);
  }
  if (typeof keyId !== 'string') throw invalid('the parameter keyid must be the id of the API key, as a string');
  if (algorithm !== undefined && algorithm !== ALGORITHM) throw invalid(`the parameter alg can only be "${ALGORITHM}"`);
  return { createdSeconds: created, expiresSeconds: expires ?? null, nonce, keyId };
}

/** RFC 9421 2.5. */
function baseOf(values: ReadonlyMap<string, string>, input: InnerList): string {
  const lines = [...values].map(([name, value]) => `"${name}": ${value}`);
  try {
    return [...lines, `"@signature-params": ${serializeInnerList(input)}`].join('\n');
  } catch {
    throw invalid('its parameters cannot be written as structured fields (RFC 9651)');
  }
}
