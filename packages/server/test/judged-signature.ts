import { Fault } from '@gladhand/base/fault.ts';
import { expect } from 'vitest';
import { checkDigest, isSignedWith, type ReceivedRequest, readSignature } from '../src/access/signature.ts';
import { AUTHORITY, PATH, type SignOrder, sign } from './signer.ts';

export const KEY_ID = '019aae2f-6a2c-7c1e-9d3a-5f1b2c3d4e5f';
export const SIGNING_KEY = '2eb1257e7f7b98d06c2cba8ef466ddebc655f544b427f7e12c3db4572b1d7c50';
export const SECRET = Buffer.from(SIGNING_KEY, 'hex');
export const BODY = '{"speedKph":50}';
export const BY = { keyId: KEY_ID, signingKey: SIGNING_KEY };

export function receive(headers: Record<string, string>, changes: Partial<ReceivedRequest> = {}): ReceivedRequest {
  const rawHeaders = Object.entries({ host: AUTHORITY, ...headers }).flat();
  return { method: 'POST', target: PATH, scheme: 'https', rawHeaders, body: Buffer.from(BODY), ...changes };
}

/** `good`, or the code it is refused with. */
export function judge(request: ReceivedRequest, key: Buffer = SECRET): string {
  try {
    const read = readSignature(request);
    if (read === undefined) return 'unsigned';
    if (!isSignedWith(key, read)) return 'signature-invalid';
    checkDigest(read.contentDigest, request.body);
    return 'good';
  } catch (error) {
    expect(error).toBeInstanceOf(Fault);
    return (error as Fault).code;
  }
}

export const signed = (order: Partial<SignOrder> = {}) => sign({ ...BY, body: BODY, ...order });
