import { Fault } from '@gladhand/base/fault.ts';
import { findPlainAddress } from '@gladhand/base/network.ts';

/** The token of a call's `authorization` metadata. Throws `unauthorized` when there is none in the right form. */
export function bearerToken(header: string | Buffer | undefined): string {
  if (header === undefined) {
    throw new Fault('unauthorized', 'Send an access token as metadata `authorization: Bearer <token>`.');
  }
  const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(String(header))?.[1];
  if (token === undefined) throw new Fault('unauthorized', 'The authorization metadata must read `Bearer <token>`.');
  return token;
}

/**
 * The address in a peer, which gRPC writes as `address:port`, IPv6 without brackets. The connection's own: metadata
 * that names another one (`x-forwarded-for`) is the caller's word and is not asked for.
 */
export function addressOf(peer: string): string {
  const colon = peer.lastIndexOf(':');
  const address = colon === -1 ? peer : peer.slice(0, colon);
  return findPlainAddress(address) ?? address;
}
