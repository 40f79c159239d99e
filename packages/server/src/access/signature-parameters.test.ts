import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BODY, judge, KEY_ID, receive, signed } from '../../test/judged-signature.ts';

describe('what a signature says of itself', () => {
  test('created, nonce and keyid are required, alg can only be hmac-sha256, and each has its type', () => {
    const good = { created: '1795165200', nonce: '"0123456789abcdef"', keyid: `"${KEY_ID}"` };
    const write = (values: Record<string, string | undefined>) =>
      Object.entries(values)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => `;${name}=${value}`)
        .join('');
    const judged = (values: Record<string, string | undefined>) =>
      judge(receive(signed({ parameters: write({ ...good, ...values }) })));
    expect(judged({})).toBe('good');
    expect(judged({ alg: '"hmac-sha256"', expires: '1795165201' })).toBe('good');
    expect(judged({ nonce: `"${'n'.repeat(128)}"` })).toBe('good');
    const refused: Record<string, string | undefined>[] = [
      { created: undefined },
      { created: '"1795165200"' },
      { created: '1795165200.5' },
      { created: '@1795165200' },
      { created: '?1' },
      { nonce: undefined },
      { nonce: '"0123456789abcde"' },
      { nonce: `"${'n'.repeat(129)}"` },
      { nonce: 'abcdefghijklmnopq' },
      { nonce: '12345678901234' },
      { keyid: undefined },
      { keyid: '1' },
      { keyid: ':AAAA:' },
      { alg: '"ed25519"' },
      { alg: '"HMAC-SHA256"' },
      { alg: '"none"' },
      { alg: 'hmac-sha256' },
      { alg: '""' },
      { expires: '"1795165201"' },
      { expires: '1795165201.1' },
    ];
    for (const values of refused) expect([values, judged(values)]).toEqual([values, 'signature-invalid']);
  });

  test('one of the two headers without the other, other forms, and signatures of another size are refused', () => {
    const headers = signed();
    const { signature: _signature, ...withoutSignature } = headers;
    const { 'signature-input': _input, ...withoutInput } = headers;
    expect(judge(receive(withoutSignature))).toBe('signature-invalid');
    expect(judge(receive(withoutInput))).toBe('signature-invalid');
    const { 'content-digest': _digest, ...withoutDigest } = headers;
    expect(judge(receive(withoutDigest))).toBe('signature-invalid');
    for (const signature of [
      '',
      'gladhand',
      'gladhand="x"',
      'gladhand=::',
      'gladhand=:AAAA:',
      `gladhand=:${Buffer.alloc(33).toString('base64')}:`,
      'other=:AAAA:',
      ':AAAA:',
      'gladhand=(:AAAA:)',
    ]) {
      expect([signature, judge(receive({ ...headers, signature }))]).toEqual([signature, 'signature-invalid']);
    }
    for (const input of [
      '',
      'gladhand',
      'gladhand=1',
      'gladhand=()',
      'gladhand=(@method)',
      'gladhand=("@method"',
      `${headers['signature-input']},`,
      'ü',
      '=',
      'gladhand=("@method" 1)',
    ]) {
      expect([input, judge(receive({ ...headers, 'signature-input': input }))]).toEqual([input, 'signature-invalid']);
    }
    expect(judge(receive({ 'content-digest': headers['content-digest']! }))).toBe('unsigned');
  });

  test('beside the signature of a proxy ours is found by its label', () => {
    const [ours, unnamed] = [signed(), signed({ label: 'sig1' })];
    const join = (headers: Record<string, string>) => ({
      ...headers,
      'signature-input': `proxy=("@method");created=1, ${headers['signature-input']}`,
      signature: `${headers.signature}, proxy=:AAAA:`,
    });
    expect(judge(receive(join(ours)))).toBe('good');
    expect(judge(receive(join(unnamed)))).toBe('signature-invalid');
    expect(judge(receive(unnamed))).toBe('good');
  });

  test('of a Content-Digest with several algorithms sha-256 counts, and it has to be there', () => {
    const digest = `sha-512=:AAAA:, sha-256=:${createHash('sha256').update(BODY).digest('base64')}:`;
    expect(judge(receive(signed({ digest })))).toBe('good');
    for (const bad of ['sha-512=:AAAA:', 'sha-256=:AAAA:', 'sha-256="x"', 'sha-256', 'x=', 'sha-256=("a")']) {
      expect([bad, judge(receive(signed({ digest: bad })))]).toEqual([bad, 'digest-mismatch']);
    }
  });
});

test('nothing that is sent as Signature-Input, Signature or Content-Digest is taken or makes more than a refusal', () => {
  const headers = signed();
  const piece = fc.oneof(
    fc.constantFrom(
      'gladhand',
      '=',
      '(',
      ')',
      '"',
      ';',
      ',',
      ':',
      '\\',
      ' ',
      '%"',
      '?1',
      '@1',
      '-',
      '.',
      '*',
      '"@method"',
      ';created=1',
      ';nonce="0123456789abcdef"',
      headers['signature-input']!,
      headers.signature!,
    ),
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.bigInt().map(String),
  );
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(fc.constantFrom('signature-input', 'signature', 'content-digest'), text, (name, value) => {
      fc.pre(value.trim() !== headers[name]);
      expect(['signature-invalid', 'digest-mismatch']).toContain(judge(receive({ ...headers, [name]: value })));
    }),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(255),
      fc.constantFrom('signature-input', 'signature', 'content-digest'),
      (place, letter, name) => {
        const value = headers[name]!;
        const at = place % value.length;
        const changed = value.slice(0, at) + String.fromCharCode(letter) + value.slice(at + 1);
        const outcome = judge(receive({ ...headers, [name]: changed }));
        // The label may be renamed in one header only, and base64 has spellings of the same bytes: neither is another request.
        if (changed !== value && outcome === 'good') expect(name).toBe('signature');
      },
    ),
    { numRuns: 2_000 },
  );
  expect(judge(receive({ ...headers, 'signature-input': `gladhand=(${'"a" '.repeat(4_000)})` }))).toBe(
    'signature-invalid',
  );
});
