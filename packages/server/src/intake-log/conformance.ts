import { randomBytes } from 'node:crypto';
import { systemIds, uuidTimeMs } from '@gladhand/base/ids.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Envelope, IntakeLog } from './intake-log.ts';

export interface LogUnderTest {
  readonly log: IntakeLog;
}

const ALL = { envelopesMax: 10_000, bytesMax: 64 * 1024 * 1024 };

/** What intake and mapping rely on of any intake log. */
export function describeIntakeLog(name: string, openLog: () => Promise<LogUnderTest>): void {
  const keyId = systemIds.uuid();
  const envelope = (change: Partial<Envelope> = {}): Envelope => {
    const id = systemIds.uuid();
    const fixed = {
      id,
      receivedAtMs: uuidTimeMs(id),
      organizationId: keyId,
      keyId,
      partnerId: 'p',
      product: 'traccar',
    };
    return { ...fixed, asset: { vin: '1UYVS2533P7204518' }, body: Buffer.from('{}'), ...change };
  };
  const fingerprint = (text: string) => Buffer.from(text.padEnd(32));
  const bodies = (envelopes: readonly Envelope[]) => envelopes.map(({ body }) => body.toString('latin1'));

  describe(name, () => {
    test('what was appended is taken, byte for byte, in the order of the acknowledgements', async () => {
      const { log } = await openLog();
      const sent = Array.from({ length: 50 }, (_, place) =>
        envelope({ body: Buffer.concat([Buffer.from([place]), randomBytes(place * 100)]) }),
      );
      for (const one of sent)
        expect(await log.append(one)).toEqual({ kind: 'appended', envelopeId: one.id, receivedAtMs: one.receivedAtMs });
      expect((await log.take(ALL)).envelopes).toEqual(sent);
    });

    test('concurrent appends of many assets keep each asset in the order its sender saw', async () => {
      const { log } = await openLog();
      const send = async (vin: string) => {
        for (let sequence = 0; sequence < 20; sequence++)
          await log.append(envelope({ asset: { vin }, body: Buffer.from(`${sequence}`) }));
      };
      const vins = Array.from({ length: 20 }, (_, place) => `1UYVS2533P72045${place + 10}`);
      await Promise.all(vins.map(send));
      const { envelopes } = await log.take(ALL);
      for (const vin of vins) {
        const own = envelopes.filter(({ asset }) => 'vin' in asset && asset.vin === vin);
        expect(bodies(own)).toEqual(Array.from({ length: 20 }, (_, sequence) => `${sequence}`));
      }
    });

    test('a batch is bounded by number and by bytes, and always has one when there is one', async () => {
      const { log } = await openLog();
      for (let place = 0; place < 10; place++) await log.append(envelope({ body: Buffer.alloc(1000, place) }));
      expect((await log.take({ envelopesMax: 3, bytesMax: 1_000_000 })).envelopes).toHaveLength(3);
      expect((await log.take({ envelopesMax: 10, bytesMax: 2500 })).envelopes).toHaveLength(2);
      expect((await log.take({ envelopesMax: 10, bytesMax: 1 })).envelopes).toHaveLength(1);
    });

    test('what is pending and what waits is counted: the one until it is on disk, the other up to what was asked', async () => {
      const { log } = await openLog();
      const before = log.pending().groupsWritten;
      const appends = [
        log.append(envelope({ body: Buffer.alloc(10) })),
        log.append(envelope({ body: Buffer.alloc(20) })),
      ];
      expect(log.pending()).toEqual({ envelopes: 2, bytes: 30, groupsWritten: before });
      await Promise.all(appends);
      expect(log.pending()).toMatchObject({ envelopes: 0, bytes: 0 });
      expect(log.pending().groupsWritten).toBeGreaterThan(before);
      expect([await log.backlog(), await log.backlog(1)]).toEqual([2, 1]);
    });

    test('only what was acknowledged is gone, and acknowledging again changes nothing', async () => {
      const { log } = await openLog();
      for (let place = 0; place < 4; place++) await log.append(envelope({ body: Buffer.from(`${place}`) }));
      const batch = await log.take(ALL);
      expect(bodies((await log.take(ALL)).envelopes)).toEqual(['0', '1', '2', '3']);
      await batch.acknowledge(batch.envelopes.slice(0, 2));
      await batch.acknowledge(batch.envelopes.slice(0, 2));
      expect(bodies((await log.take(ALL)).envelopes)).toEqual(['2', '3']);
      expect(await log.backlog()).toBe(2);
    });

    test('what is put back is taken again, after what is there', async () => {
      const { log } = await openLog();
      const first = envelope({ body: Buffer.from('first') });
      await log.append(first);
      const batch = await log.take(ALL);
      await batch.acknowledge(batch.envelopes);
      await log.append(envelope({ body: Buffer.from('second') }));
      await log.requeue([first]);
      expect(bodies((await log.take(ALL)).envelopes)).toEqual(['second', 'first']);
    });

    test('what is deferred is not taken, is counted, and comes back into its place', async () => {
      const { log } = await openLog();
      const products = ['a', 'b', 'c', 'a', 'c'];
      for (const [place, product] of products.entries())
        await log.append(envelope({ product, body: Buffer.from(`${place}`) }));
      const batch = await log.take(ALL);
      await batch.defer(batch.envelopes.filter(({ product }) => product !== 'c'));
      expect(bodies((await log.take(ALL)).envelopes)).toEqual(['2', '4']);
      expect(await log.deferred()).toEqual(
        new Map([
          ['a', 2],
          ['b', 1],
        ]),
      );
      expect(await log.oldestReceivedAtMs()).toBe(batch.envelopes[0]!.receivedAtMs);
      await log.resume(['a'], 0);
      expect(bodies((await log.take(ALL)).envelopes)).toEqual(['0', '2', '3', '4']);
      await log.resume([], batch.envelopes[1]!.receivedAtMs + 1);
      expect(bodies((await log.take(ALL)).envelopes)).toEqual(['0', '1', '2', '3', '4']);
      expect(await log.deferred()).toEqual(new Map());
    });

    test('an empty log has no oldest envelope', async () => {
      const { log } = await openLog();
      expect(await log.oldestReceivedAtMs()).toBeUndefined();
    });

    test('an Idempotency-Key has one effect, whatever comes at once and in whatever groups', async () => {
      const { log } = await openLog();
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ key: fc.constantFrom('a', 'b', undefined), bytes: fc.constantFrom('x', 'y') }), {
            maxLength: 30,
          }),
          async (sends) => {
            // Every run as another API key: its Idempotency-Keys are its own.
            const sender = systemIds.uuid();
            const outcomes = await Promise.all(
              sends.map(async ({ key, bytes }) => {
                const sent = envelope({ keyId: sender, body: Buffer.from(bytes) });
                return {
                  key,
                  bytes,
                  sent,
                  outcome: await log.append(
                    sent,
                    key === undefined ? undefined : { key, fingerprint: fingerprint(bytes) },
                  ),
                };
              }),
            );
            const taken = (await log.take(ALL)).envelopes.filter((one) => one.keyId === sender);
            const stored = taken.map(({ id }) => id);
            const appended = outcomes.filter(({ outcome }) => outcome.kind === 'appended').map(({ sent }) => sent.id);
            expect(stored.sort()).toEqual(appended.sort());
            for (const key of ['a', 'b']) {
              const own = outcomes.filter((one) => one.key === key);
              const [first, ...more] = own.filter(({ outcome }) => outcome.kind === 'appended');
              expect(more).toEqual([]);
              for (const { bytes, outcome } of own) {
                if (outcome.kind === 'conflict') expect(bytes).not.toBe(first?.bytes);
                else expect([bytes, outcome.envelopeId]).toEqual([first?.bytes, first?.sent.id]);
              }
            }
          },
        ),
        { numRuns: 15 },
      );
    });

    test('a batch knows which of its envelopes came with an Idempotency-Key', async () => {
      const { log } = await openLog();
      const keyed = envelope();
      await log.append(envelope());
      await log.append(keyed, { key: 'k', fingerprint: fingerprint('x') });
      const batch = await log.take(ALL);
      expect(await batch.findKeyed(batch.envelopes)).toEqual(new Set([keyed.id]));
      await log.forgetIdempotency(keyed.receivedAtMs + 72 * 3600_000);
      expect(await batch.findKeyed(batch.envelopes)).toEqual(new Set());
    });

    test('an Idempotency-Key is forgotten after 24 hours and may be used anew', async () => {
      const { log } = await openLog();
      const idempotency = { key: 'k', fingerprint: fingerprint('x') };
      const first = envelope();
      await log.append(first, idempotency);
      const nextDay = envelope({ receivedAtMs: first.receivedAtMs + 24 * 3600_000 + 1 });
      expect(await log.append(nextDay, { key: 'k', fingerprint: fingerprint('y') })).toMatchObject({
        kind: 'appended',
        envelopeId: nextDay.id,
      });
      await log.forgetIdempotency(first.receivedAtMs + 72 * 3600_000);
      expect(await log.append(envelope(), idempotency)).toMatchObject({ kind: 'appended' });
    });
  });
}
