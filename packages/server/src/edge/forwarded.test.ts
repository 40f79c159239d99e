import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { expect, onTestFinished, test } from 'vitest';
import { createClientAddress } from './forwarded.ts';
import { createHttp } from './http.ts';

const PROXY = '10.0.0.1';
const addressOf = createClientAddress([PROXY, '10.1.0.0/16', '2001:db8:1::/48']);

test('the client is the right-most hop that is no configured proxy, and a header that cannot be read counts for nothing', () => {
  // Header -> client, for a connection from the proxy.
  const shapes: Record<string, string> = {
    '203.0.113.5': '203.0.113.5',
    ' 203.0.113.5 ': '203.0.113.5',
    '203.0.113.5:4711': '203.0.113.5',
    '2001:db8::5': '2001:db8::5',
    '2001:DB8:0::5': '2001:db8::5',
    '[2001:db8::5]': '2001:db8::5',
    '[2001:db8::5]:4711': '2001:db8::5',
    '::ffff:203.0.113.5': '203.0.113.5',
    // What a client wrote itself stands to the left of what the proxy added.
    '198.51.100.1, 203.0.113.5': '203.0.113.5',
    '198.51.100.1,203.0.113.5': '203.0.113.5',
    '127.0.0.1, 203.0.113.5': '203.0.113.5',
    '10.0.0.1, 203.0.113.5': '203.0.113.5',
    'unknown, 203.0.113.5': '203.0.113.5',
    "'; drop table --, 203.0.113.5": '203.0.113.5',
    ', 203.0.113.5': '203.0.113.5',
    // A chain of own proxies is walked through.
    '203.0.113.5, 10.1.2.3': '203.0.113.5',
    '198.51.100.1, 203.0.113.5, 10.1.2.3, 10.0.0.1': '203.0.113.5',
    '203.0.113.5, 2001:db8:1::7': '203.0.113.5',
    '203.0.113.5, ::ffff:10.1.2.3': '203.0.113.5',
    '10.1.9.9, 10.1.2.3': '10.1.9.9',
    '10.1.2.3': '10.1.2.3',
    // Unreadable before a foreign hop: nothing is believed.
    '': PROXY,
    ' ': PROXY,
    ',': PROXY,
    '203.0.113.5,': PROXY,
    '203.0.113.5, , 10.1.2.3': PROXY,
    unknown: PROXY,
    _hidden: PROXY,
    'for=203.0.113.5': PROXY,
    '203.0.113.5, unknown': PROXY,
    '203.0.113.5, unknown, 10.1.2.3': PROXY,
    '203.0.113.5; 198.51.100.1': PROXY,
    '203.0.113.5 198.51.100.1': PROXY,
    '203.0.113.256': PROXY,
    '203.0.113': PROXY,
    '0xcb.0.113.5': PROXY,
    '0203.0.113.5': PROXY,
    '3405803781': PROXY,
    '203.0.113.5/32': PROXY,
    'fe80::1%eth0': PROXY,
    '[2001:db8::5': PROXY,
    '2001:db8::5]:80': PROXY,
    '[203.0.113.5:80': PROXY,
    '"203.0.113.5"': PROXY,
    'http://203.0.113.5': PROXY,
    '203.0.113.5\t198.51.100.1': PROXY,
    localhost: PROXY,
    [Array.from({ length: 60 }, () => '10.1.2.3').join(',')]: PROXY,
    [`${'a'.repeat(8_000)}, 203.0.113.5`]: '203.0.113.5',
  };
  const found = Object.fromEntries(Object.keys(shapes).map((header) => [header, addressOf(PROXY, header)]));
  expect(found).toEqual(shapes);
  // The same connection as a server that listens on :: sees it.
  expect(addressOf(`::ffff:${PROXY}`, '203.0.113.5')).toBe('203.0.113.5');
});

test('from any other connection the header is never looked at', () => {
  for (const connection of ['203.0.113.9', '10.0.0.2', '::ffff:10.0.0.2', '2001:db8:2::1', '::1']) {
    for (const header of ['127.0.0.1', '198.51.100.1, 10.0.0.1', '10.0.0.1', '']) {
      expect(addressOf(connection, header)).toBe(connection.replace('::ffff:', ''));
    }
  }
  expect(createClientAddress([])(PROXY, '203.0.113.5')).toBe(PROXY);
});

test('a proxy that is no address, and every address, refuse to start', () => {
  for (const wrong of ['loopback', '10.0.0.0/8 ', '010.0.0.1', '10.0.0.1/8', '0.0.0.0/0', '::/0', 'true', '1']) {
    expect(() => createClientAddress([wrong])).toThrow(/trustedProxies/);
  }
});

test('over HTTP, request.ip is that address, and no other header has a say', async () => {
  const ipOf = async (trustedProxies: string[], headers: Record<string, string>) => {
    const http = createHttp({ log: silentLogger, ids: systemIds, clock: systemClock, trustedProxies });
    onTestFinished(() => http.close());
    http.get('/ip', { config: { access: 'public' } }, async (request) => ({ ip: request.ip }));
    await http.listen({ host: '127.0.0.1', port: 0 });
    const { port } = http.server.address() as { port: number };
    const answer = await fetch(`http://127.0.0.1:${port}/ip`, { headers });
    return ((await answer.json()) as { ip: string }).ip;
  };
  const spoofed = {
    'x-forwarded-for': '203.0.113.5',
    'x-real-ip': '203.0.113.6',
    forwarded: 'for=203.0.113.7',
    'x-client-ip': '203.0.113.8',
  };
  expect(await ipOf([], spoofed)).toBe('127.0.0.1');
  expect(await ipOf(['10.0.0.1'], spoofed)).toBe('127.0.0.1');
  expect(await ipOf(['127.0.0.1'], spoofed)).toBe('203.0.113.5');
  expect(await ipOf(['127.0.0.1'], { 'x-forwarded-for': 'junk' })).toBe('127.0.0.1');
  expect(await ipOf(['127.0.0.1'], { 'x-forwarded-for': '198.51.100.1, 203.0.113.5, 127.0.0.1' })).toBe('203.0.113.5');
});
