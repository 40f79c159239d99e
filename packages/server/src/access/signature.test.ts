import { execFileSync } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { httpbis } from 'http-message-signatures';
import { describe, expect, test } from 'vitest';
import { BODY, judge, KEY_ID, receive, SECRET, SIGNING_KEY, signed } from '../../test/judged-signature.ts';
import { AUTHORITY, PATH } from '../../test/signer.ts';
import { isSignedWith, type ReceivedRequest, readSignature } from './signature.ts';

describe('known answers', () => {
  const PARAMETERS = `("@method" "@authority" "@path" "content-digest" "idempotency-key");created=1795165200;nonce="5f0e8ec3b4b5c6f8d6a2f1c09a7e3d21";keyid="${KEY_ID}"`;
  const headers = {
    'content-digest': 'sha-256=:Fz4sSvq/ToUtuYQFPtH5HT2gzXCpJureVojOIOeLp+Y=:',
    'idempotency-key': 'trip-7-message-42',
    'signature-input': `gladhand=${PARAMETERS}`,
    signature: 'gladhand=:4kuwe9Nl5YS9klTYNQ/sov8WW7t2cMLeoumA+lP811Q=:',
  };

  test('the worked example of docs/signing.md is good, and openssl makes the same signature of the same base', () => {
    const read = readSignature(receive(headers))!;
    expect(read.base).toBe(
      [
        '"@method": POST',
        '"@authority": telemetry.example',
        '"@path": /api/v1/telemetry/intake/1UYVS2533P7204518',
        '"content-digest": sha-256=:Fz4sSvq/ToUtuYQFPtH5HT2gzXCpJureVojOIOeLp+Y=:',
        '"idempotency-key": trip-7-message-42',
        `"@signature-params": ${PARAMETERS}`,
      ].join('\n'),
    );
    const made = execFileSync(
      'openssl',
      ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${SIGNING_KEY}`, '-binary'],
      { input: read.base },
    );
    expect(Buffer.from(read.signature).toString('hex')).toBe(made.toString('hex'));
    expect(judge(receive(headers))).toBe('good');
    expect(read).toMatchObject({
      keyId: KEY_ID,
      nonce: '5f0e8ec3b4b5c6f8d6a2f1c09a7e3d21',
      createdSeconds: 1795165200,
      expiresSeconds: null,
    });
  });

  test('the HMAC example of RFC 9421 B.2.5 comes out as printed', () => {
    const key = Buffer.from(
      'uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==',
      'base64',
    );
    const base = [
      '"date": Tue, 20 Apr 2021 02:07:55 GMT',
      '"@authority": example.com',
      '"content-type": application/json',
      '"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
    ].join('\n');
    const signature = Buffer.from('pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=', 'base64');
    const read = {
      base,
      signature,
      keyId: 'test-shared-secret',
      nonce: '',
      createdSeconds: 1618884473,
      expiresSeconds: null,
      contentDigest: '',
    };
    expect(isSignedWith(key, read)).toBe(true);
    expect(isSignedWith(key, { ...read, base: `${base} ` })).toBe(false);
  });
});

test('what another implementation of RFC 9421 signs is good here', async () => {
  const hosts = [
    'https://telemetry.example',
    'http://127.0.0.1:8080',
    'https://Telemetry.EXAMPLE:8443',
    'https://telemetry.example:443',
    'http://[::1]:80',
  ];
  const covered = ['@method', '@authority', '@path', 'content-digest'];
  for (const host of hosts) {
    for (const idempotencyKey of [undefined, 'a,b;c="d"']) {
      const url = new URL(PATH, host);
      const digest = `sha-256=:${createHash('sha256').update(BODY).digest('base64')}:`;
      const message = await httpbis.signMessage(
        {
          name: 'theirs',
          key: {
            id: KEY_ID,
            alg: 'hmac-sha256',
            sign: async (data) => createHmac('sha256', SECRET).update(data).digest(),
          },
          fields: idempotencyKey === undefined ? covered : ['idempotency-key', ...covered.toReversed()],
          params: ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'],
          paramValues: {
            nonce: '0123456789abcdef',
            tag: 'of "no" meaning \\ here',
            created: new Date(1795165200_000),
            expires: new Date(1795165300_000),
          },
        },
        {
          method: 'POST',
          url: url.href,
          headers: {
            'content-digest': digest,
            ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
          },
        },
      );
      const headers = { ...(message.headers as Record<string, string>), host: url.host };
      expect([host, judge(receive(headers, { scheme: url.protocol.slice(0, -1) }))]).toEqual([host, 'good']);
    }
  }
});

describe('what is covered', () => {
  test('a change of method, authority, path, digest, body, Idempotency-Key or any parameter is refused', () => {
    const headers = signed({ idempotencyKey: 'k-1' });
    const change = (name: string, from: string | RegExp, to: string) => ({
      ...headers,
      [name]: headers[name]!.replace(from, to),
    });
    expect(judge(receive(headers))).toBe('good');
    const changed: Record<string, ReceivedRequest> = {
      method: receive(headers, { method: 'PUT' }),
      authority: receive({ ...headers, host: 'other.example' }),
      'port of the authority': receive({ ...headers, host: `${AUTHORITY}:8443` }),
      path: receive(headers, { target: PATH.replace('518', '519') }),
      'case of the path': receive(headers, { target: PATH.toLowerCase() }),
      'absolute target': receive(headers, { target: `https://${AUTHORITY}${PATH}` }),
      digest: receive({ ...headers, 'content-digest': signed({ body: 'other' })['content-digest']! }),
      'algorithm of the digest': receive(change('content-digest', 'sha-256', 'sha-512')),
      'Idempotency-Key': receive({ ...headers, 'idempotency-key': 'k-2' }),
      'Idempotency-Key taken away': receive(
        Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'idempotency-key')),
      ),
      created: receive(change('signature-input', /created=(\d+)/, 'created=1')),
      nonce: receive(change('signature-input', 'nonce="', 'nonce="x')),
      keyid: receive(change('signature-input', KEY_ID, KEY_ID.replace('0', '1'))),
      'a parameter more': receive(change('signature-input', /$/, ';expires=9999999999')),
      'the order of what is covered': receive(
        change('signature-input', '"@method" "@authority"', '"@authority" "@method"'),
      ),
      signature: receive(change('signature', /:(.)/, (headers.signature!.includes(':A') ? ':B' : ':A') as string)),
    };
    for (const [name, request] of Object.entries(changed))
      expect([name, judge(request)]).toEqual([name, 'signature-invalid']);
    expect(judge(receive(headers, { body: Buffer.from(`${BODY} `) }))).toBe('digest-mismatch');
    expect(judge(receive(headers), Buffer.alloc(32, 1))).toBe('signature-invalid');
  });

  test('the query, other headers, header case, white space around values and the order of headers are free', () => {
    const headers = signed({ idempotencyKey: 'k-1' });
    expect(judge(receive(headers, { target: `${PATH}?a=1` }))).toBe('good');
    expect(
      judge(
        receive({ ...headers, 'content-type': 'application/json; charset=utf-8', 'user-agent': 'x', te: 'trailers' }),
      ),
    ).toBe('good');
    const shuffled = Object.entries(headers)
      .toReversed()
      .map(([name, value]) => [name.toUpperCase(), ` \t${value}\t `] as const);
    expect(judge(receive({}, { rawHeaders: ['HOST', 'TELEMETRY.Example', ...shuffled.flat()] }))).toBe('good');
    expect(judge(receive({ ...headers, host: `${AUTHORITY}:443` }))).toBe('good');
    expect(judge(receive({ ...headers, host: `${AUTHORITY}:443` }, { scheme: 'http' }))).toBe('signature-invalid');
  });

  test('covered components may come in any order, with any label, and parameters of no meaning here are part of what is signed', () => {
    const names = ['@method', '@authority', '@path', 'content-digest'];
    fc.assert(
      fc.property(
        fc.shuffledSubarray(names, { minLength: 4 }),
        fc.stringMatching(/^[a-z][a-z0-9_*.-]{0,20}$/),
        (covered, label) => {
          expect(judge(receive(signed({ covered, label })))).toBe('good');
        },
      ),
    );
    const parameters = `;x;y=?0;z=tok/en;w=:AAAA:;v=1.5;alg="hmac-sha256";tag="a \\"b\\"";created=1795165200;nonce="0123456789abcdef";keyid="${KEY_ID}"`;
    expect(judge(receive(signed({ parameters })))).toBe('good');
  });

  test('too little, too much, twice or with parameters is refused, however well it is signed', () => {
    const names = ['@method', '@authority', '@path', 'content-digest'];
    for (const name of names)
      expect(judge(receive(signed({ covered: names.filter((other) => other !== name) })))).toBe('signature-invalid');
    expect(judge(receive(signed({ covered: [...names, 'content-type'] })))).toBe('signature-invalid');
    expect(judge(receive(signed({ covered: [...names.slice(0, 3), '@path'] })))).toBe('signature-invalid');
    expect(judge(receive(signed({ covered: [...names, '@path'] })))).toBe('signature-invalid');
    expect(judge(receive(signed({ covered: [] })))).toBe('signature-invalid');
    expect(judge(receive(signed({ idempotencyKey: 'k', covered: names })))).toBe('signature-invalid');
    expect(judge(receive(signed({ covered: [...names, 'idempotency-key'] })))).toBe('signature-invalid');
    const headers = signed();
    const withParameter = {
      ...headers,
      'signature-input': headers['signature-input']!.replace('"content-digest"', '"content-digest";sf'),
    };
    expect(judge(receive(withParameter))).toBe('signature-invalid');
  });

  test('a covered or signing header that is there twice is refused', () => {
    const headers = signed({ idempotencyKey: 'k-1' });
    for (const [name, value] of Object.entries({ host: AUTHORITY, ...headers })) {
      const request = receive(headers);
      expect([name, judge({ ...request, rawHeaders: [...request.rawHeaders, name.toUpperCase(), value] })]).toEqual([
        name,
        'signature-invalid',
      ]);
    }
  });
});
