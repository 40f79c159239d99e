import { BlockList, isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * A strict parser of networks and addresses: IPv4 as four decimal numbers without leading zeros, or IPv6 without a zone, and
 * a decimal prefix. Two parsers (ipaddr.js and Node's own) must agree, because some programs read `010.0.0.1` as 8.0.0.1 and
 * others as 10.0.0.1. An IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is read as that IPv4 address.
 */
export type ReadNetwork =
  | {
      readonly ok: true /** As PostgreSQL's `cidr` prints it, always with the prefix. */;
      readonly cidr: string;
      readonly isEverything: boolean;
    }
  | { readonly ok: false; readonly detail: string };

/** A network in CIDR notation (RFC 4632, RFC 4291 2.3). An address without a prefix is the network of that address. */
export function readNetwork(text: string): ReadNetwork {
  const refuse = (detail: string): ReadNetwork => ({ ok: false, detail });
  const match = /^([0-9A-Fa-f.:]{2,45})(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text);
  if (match === null) return refuse('is not an address or network such as 203.0.113.0/24 or 2001:db8::/32');
  const written = match[1]!;
  const address = parse(written);
  if (address === undefined)
    return refuse('is not an address: write four decimal numbers without leading zeros, or IPv6 without a zone');
  const writtenBits = written.includes(':') ? 128 : 32;
  const writtenPrefix = match[2] === undefined ? writtenBits : Number(match[2]);
  if (writtenPrefix > writtenBits) return refuse(`has a prefix longer than ${writtenBits}`);
  const mappedBits = writtenBits - address.bytes.length * 8;
  const prefix = writtenPrefix - mappedBits;
  if (prefix < 0) return refuse('takes in all of IPv4 inside IPv6; write the IPv4 network and the IPv6 network apart');
  const network = masked(address.bytes, prefix);
  const cidr = `${format(network)}/${prefix}`;
  if (network.some((byte, place) => byte !== address.bytes[place])) {
    return refuse(
      `is an address with a prefix that cuts it; write ${cidr} for the whole network, or ${format(address.bytes)} for this address alone`,
    );
  }
  return { ok: true, cidr, isEverything: prefix === 0 };
}

/** The canonical form of an address: IPv4-mapped as IPv4, IPv6 shortened. Undefined for anything else, zones included. */
export function findPlainAddress(text: string): string | undefined {
  // Nearly every request has an IPv4 address.
  if (isIPv4(text)) return text;
  const address = parse(text);
  return address && format(address.bytes);
}

/**
 * What counts as one client: an IPv4 address, or the /64 of an IPv6 address, because every host has at least a /64. A text
 * that is not an address is returned unchanged.
 */
export function networkOf(text: string): string {
  if (isIPv4(text)) return text;
  const address = parse(text);
  if (address === undefined) return text;
  if (address.bytes.length === 4) return format(address.bytes);
  return `${format(masked(address.bytes, 64))}/64`;
}

export interface Networks {
  /** Whether `address` is in one of the networks. False for a text that is not an address. */
  has(address: string): boolean;
}

/** `cidrs` must have the form that `readNetwork` returns. */
export function createNetworks(cidrs: readonly string[]): Networks {
  // Two lists, because Node matches IPv4 addresses against IPv6 rules: `::/0` would admit all of IPv4.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const cidr of cidrs) {
    const [address, prefix] = cidr.split('/') as [string, string];
    const family = isIPv4(address) ? 'ipv4' : 'ipv6';
    lists[family].addSubnet(address, Number(prefix), family);
  }
  return {
    has(address) {
      const plain = findPlainAddress(address);
      if (plain === undefined) return false;
      const family = isIPv4(plain) ? 'ipv4' : 'ipv6';
      return lists[family].check(plain, family);
    },
  };
}

/** 4 or 16 bytes. Undefined if the two parsers disagree. */
function parse(text: string): { bytes: readonly number[] } | undefined {
  if (text.includes('%')) return undefined;
  if (isIPv4(text))
    return ipaddr.IPv4.isValidFourPartDecimal(text) ? { bytes: ipaddr.IPv4.parse(text).toByteArray() } : undefined;
  if (!isIPv6(text)) return undefined;
  // ipaddr.js reads `::10.0.0.1` as `::ffff:10.0.0.1`, which is another address.
  const hex = text.replace(/[\d.]+\.[\d.]+$/, (dotted) => {
    const [one, two, three, four] = dotted.split('.').map(Number) as [number, number, number, number];
    return `${(one * 256 + two).toString(16)}:${(three * 256 + four).toString(16)}`;
  });
  if (!ipaddr.IPv6.isValid(hex) || !isSameToNode(text, hex)) return undefined;
  const address = ipaddr.IPv6.parse(hex);
  const bytes = address.toByteArray();
  return { bytes: address.isIPv4MappedAddress() ? bytes.slice(12) : bytes };
}

function isSameToNode(one: string, other: string): boolean {
  if (one === other) return true;
  const list = new BlockList();
  list.addAddress(one, 'ipv6');
  return list.check(other, 'ipv6');
}

function masked(bytes: readonly number[], prefix: number): readonly number[] {
  return bytes.map((byte, place) => {
    const kept = Math.min(8, Math.max(0, prefix - place * 8));
    return byte & (0xff00 >> kept) & 0xff;
  });
}

function format(bytes: readonly number[]): string {
  const address = ipaddr.fromByteArray([...bytes]);
  return address.kind() === 'ipv6' ? (address as ipaddr.IPv6).toRFC5952String() : address.toString();
}
