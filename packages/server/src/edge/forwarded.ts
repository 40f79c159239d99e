import type { IncomingMessage } from 'node:http';
import { createNetworks, findPlainAddress, readNetwork } from '@gladhand/base/network.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';

/**
 * Whose request it is behind reverse proxies. Promise: `X-Forwarded-For` counts only when the connection comes from a
 * configured proxy, and then its right-most hop that is not such a proxy is the client, whatever a client wrote to the
 * left of it. A header that cannot be read up to there counts for nothing: the address is the proxy's own, which no
 * allowlist should have. No other header is looked at. Fails to start on a proxy that is not an address or network.
 */
export type ClientAddress = (connection: string, forwardedFor: string | undefined) => string;

const HOPS_MAX = 50;

export function createClientAddress(trustedProxies: readonly string[]): ClientAddress {
  const proxies = createNetworks(trustedProxies.map(proxyNetwork));
  return (connection, forwardedFor) => {
    const own = findPlainAddress(connection) ?? connection;
    if (forwardedFor === undefined || !proxies.has(own)) return own;
    const hops = forwardedFor.split(',', HOPS_MAX + 1);
    if (hops.length > HOPS_MAX) return own;
    let client = own;
    for (const hop of hops.reverse()) {
      const address = hopAddress(hop);
      if (address === undefined) return own;
      client = address;
      if (!proxies.has(address)) return client;
    }
    return client;
  };
}

/** Leaves in `X-Forwarded-For` what is believed, so that whoever reads it after this reads the client's address. */
export function settleForwarded(request: IncomingMessage, clientAddress: ClientAddress): void {
  const forwarded = request.headers['x-forwarded-for'];
  if (forwarded === undefined) return;
  const connection = request.socket.remoteAddress ?? '';
  const client = clientAddress(connection, String(forwarded));
  if (client === (findPlainAddress(connection) ?? connection)) delete request.headers['x-forwarded-for'];
  else request.headers['x-forwarded-for'] = client;
}

function proxyNetwork(text: string): string {
  const read = readNetwork(text);
  if (!read.ok) throw new StartRefusal(`http.trustedProxies: \`${text}\` ${read.detail}.`);
  if (read.isEverything)
    throw new StartRefusal(
      `http.trustedProxies: \`${text}\` would let every client name its own address. Name your proxies.`,
    );
  return read.cidr;
}

/** An address, perhaps with a port, as proxies write it: `203.0.113.5`, `203.0.113.5:4711`, `[2001:db8::1]:4711`, `2001:db8::1`. */
function hopAddress(hop: string): string | undefined {
  const text = hop.trim();
  const match = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text) ?? /^([0-9.]+):\d{1,5}$/.exec(text);
  return findPlainAddress(match?.[1] ?? text);
}
