import { systemIds } from '@gladhand/base/ids.ts';
import fc from 'fast-check';
import { decodeJwt } from 'jose';
import { expect, test } from 'vitest';
import { createManualClock } from '../../test/manual-clock.ts';
import { createSecrets } from './secrets.ts';
import { createTokens } from './tokens.ts';

const CLAIMS = {
  keyId: 'k',
  organizationId: 'o',
  audience: 'customer',
  scopes: [],
  product: null,
  generation: 1,
} as const;
const START_MS = Date.parse('2026-11-20T08:00:00.000Z');

async function openTokens(ttlSeconds: number, nowMs = START_MS) {
  const clock = createManualClock(nowMs);
  const secrets = createSecrets(Buffer.alloc(32, 7));
  const tokens = createTokens({ secrets, clock, ids: systemIds, issuer: 'gladhand', ttlSeconds });
  await tokens.use([{ number: 1, activatesAt: new Date(0), retiresAt: null }]);
  return { tokens, clock };
}

test('a token says that it lives as long as configured, or as long as its key, whichever is shorter', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        ttlSeconds: fc.integer({ min: 60, max: 86_400 }),
        fractionMs: fc.nat(999),
        leftMs: fc.oneof(
          fc.integer({ min: 1, max: 90_000_000 }),
          fc.integer({ min: 1, max: 3_000 }),
          fc.constant(Infinity),
        ),
      }),
      async ({ ttlSeconds, fractionMs, leftMs }) => {
        const nowMs = START_MS + fractionMs;
        const { tokens } = await openTokens(ttlSeconds, nowMs);
        const endsAtMs = nowMs + leftMs;
        const { token, expiresAtMs, expiresInSeconds } = await tokens.mint(CLAIMS, endsAtMs);
        const { exp, iat } = decodeJwt(token);
        expect(exp! * 1000).toBe(expiresAtMs);
        expect(expiresAtMs).toBeLessThanOrEqual(endsAtMs);
        expect(nowMs + expiresInSeconds * 1000).toBeLessThanOrEqual(endsAtMs);
        expect(exp! - iat!).toBeLessThanOrEqual(ttlSeconds);
        // Not shorter than it has to be: whole seconds are lost, no more.
        expect(expiresInSeconds).toBe(Math.min(ttlSeconds, Math.floor(leftMs / 1000)));
        expect(expiresAtMs).toBeGreaterThan(Math.min(nowMs + ttlSeconds * 1000, endsAtMs) - 1000);
      },
    ),
  );
});

test('a token that has expired is refused with the life that is configured, seen before or not', async () => {
  for (const ttlSeconds of [90, 1_800]) {
    const { tokens, clock } = await openTokens(ttlSeconds);
    const [seen, unseen] = [await tokens.mint(CLAIMS, Infinity), await tokens.mint(CLAIMS, Infinity)];
    await tokens.verify(seen.token);
    clock.advance(ttlSeconds * 1000);
    for (const { token } of [seen, unseen]) {
      const refused = await (async () => tokens.verify(token))().catch((error: unknown) => error as Error);
      expect(refused).toMatchObject({ code: 'token-expired', message: expect.stringContaining(` ${ttlSeconds} s `) });
    }
  }
});
