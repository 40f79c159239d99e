import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { expect, test } from 'vitest';
import { createNetworks, findPlainAddress, readNetwork } from './network.ts';

const cidrOf = (text: string) => {
  const read = readNetwork(text);
  return read.ok ? read.cidr : 'refused';
};

test('a network is read strictly, and what two parsers could read differently is refused', () => {
  const expected: Record<string, string> = {
    '203.0.113.5': '203.0.113.5/32',
    '203.0.113.5/32': '203.0.113.5/32',
    '10.20.30.0/24': '10.20.30.0/24',
    '0.0.0.0/0': '0.0.0.0/0',
    '2001:db8::': '2001:db8::/128',
    '2001:DB8:0:0::/32': '2001:db8::/32',
    '2001:db8::1/128': '2001:db8::1/128',
    '::/0': '::/0',
    '::1': '::1/128',
    '::ffff:10.0.0.1': '10.0.0.1/32',
    '::ffff:10.0.0.0/104': '10.0.0.0/8',
    '::10.0.0.1': '::a00:1/128',
    '64:ff9b::10.0.0.1': '64:ff9b::a00:1/128',
    '::ffff:0:0/96': '0.0.0.0/0',
    // Host bits set: which of two networks was meant cannot be known.
    '10.20.30.5/24': 'refused',
    '2001:db8::1/32': 'refused',
    '::ffff:0:0/95': 'refused',
    '010.0.0.1': 'refused',
    '10.0.0.01': 'refused',
    '1.1': 'refused',
    '1': 'refused',
    '16777217': 'refused',
    '0x7f.1': 'refused',
    '0x7f000001': 'refused',
    '127.1/8': 'refused',
    '10.0.0.256': 'refused',
    '10.0.0.0/33': 'refused',
    '10.0.0.0/08': 'refused',
    '10.0.0.0/-1': 'refused',
    '10.0.0.0/+8': 'refused',
    '10.0.0.0/8/8': 'refused',
    '10.0.0.0/255.0.0.0': 'refused',
    '10.0.0.0/': 'refused',
    '/8': 'refused',
    '': 'refused',
    ' 10.0.0.1': 'refused',
    '10.0.0.1\n': 'refused',
    '10.0.0.1,10.0.0.2': 'refused',
    'fe80::1%eth0': 'refused',
    'fe80::1%25eth0': 'refused',
    '[::1]': 'refused',
    '::1/129': 'refused',
    '1::2::3': 'refused',
    '::ffff:010.0.0.1': 'refused',
    '2001:db8::/32 ': 'refused',
    '１０.0.0.1': 'refused',
    localhost: 'refused',
    '*': 'refused',
  };
  expect(Object.fromEntries(Object.keys(expected).map((text) => [text, cidrOf(text)]))).toEqual(expected);
});

test('only the networks of every address are everything', () => {
  const everything = ['0.0.0.0/0', '::/0', '::ffff:0:0/96'];
  for (const text of everything) expect(readNetwork(text)).toMatchObject({ isEverything: true });
  for (const text of ['0.0.0.0/1', '::/1', '0.0.0.0']) expect(readNetwork(text)).toMatchObject({ isEverything: false });
});

test('a refusal of host bits names the network and the address that may have been meant', () => {
  expect(readNetwork('10.20.30.5/24')).toMatchObject({
    detail: expect.stringMatching(/10\.20\.30\.0\/24.*10\.20\.30\.5/),
  });
});

const v4 = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });
const v6 = fc.array(fc.nat(255), { minLength: 16, maxLength: 16 });
const text = (bytes: readonly number[]) => ipaddr.fromByteArray([...bytes]).toString();

test('membership is what both ipaddr.js and Node say, for any network and address of one family', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.tuple(v4, v4, fc.nat(32)), fc.tuple(v6, v6, fc.nat(128))),
      fc.nat(128),
      ([network, other, prefix], shared) => {
        // Alike in their first bits, so that both outcomes are frequent.
        const address = network.map((byte, place) => {
          const bits = Math.min(8, Math.max(0, shared - place * 8));
          const mask = (0xff00 >> bits) & 0xff;
          return (byte & mask) | (other[place]! & ~mask & 0xff);
        });
        const first = network.map(
          (byte, place) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - place * 8))) & 0xff,
        );
        const read = readNetwork(`${text(first)}/${prefix}`);
        fc.pre(read.ok);
        const own = createNetworks([read.ok ? read.cidr : '']).has(text(address));
        const parsed = ipaddr.process(text(address));
        const [base, bits] = ipaddr.parseCIDR(read.ok ? read.cidr : '');
        const byIpaddr = parsed.kind() === base.kind() && parsed.match(base as never, bits);
        const list = new BlockList();
        list.addSubnet(base.toString(), bits, base.kind());
        const byNode =
          isIP(parsed.toString()) === isIP(base.toString()) && list.check(parsed.toString(), parsed.kind());
        expect([own, byIpaddr, byNode]).toEqual([byNode, byNode, byNode]);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('an IPv4 rule matches the address inside IPv6, and an IPv6 rule never matches IPv4', () => {
  const office = createNetworks(['10.20.30.0/24']);
  expect([office.has('10.20.30.9'), office.has('::ffff:10.20.30.9'), office.has('::ffff:a14:1e09')]).toEqual([
    true,
    true,
    true,
  ]);
  expect([office.has('10.20.31.9'), office.has('::ffff:10.20.31.9'), office.has('::10.20.30.9')]).toEqual([
    false,
    false,
    false,
  ]);
  const everyV6 = createNetworks(['::/0']);
  expect([everyV6.has('2001:db8::1'), everyV6.has('10.0.0.1'), everyV6.has('::ffff:10.0.0.1')]).toEqual([
    true,
    false,
    false,
  ]);
  const everyV4 = createNetworks(['0.0.0.0/0']);
  expect([everyV4.has('10.0.0.1'), everyV4.has('::ffff:10.0.0.1'), everyV4.has('2001:db8::1')]).toEqual([
    true,
    true,
    false,
  ]);
  for (const nothing of ['', 'unknown', 'fe80::1%eth0', '010.20.30.9'])
    expect([office.has(nothing), everyV6.has(nothing), everyV4.has(nothing)]).toEqual([false, false, false]);
});

test('an address has one plain form', () => {
  expect(findPlainAddress('::FFFF:10.0.0.1')).toBe('10.0.0.1');
  expect(findPlainAddress('2001:0db8:0:0:0:0:0:1')).toBe('2001:db8::1');
  expect(findPlainAddress('fe80::1%eth0')).toBeUndefined();
});
