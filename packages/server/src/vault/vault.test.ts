import { systemIds, uuidFrom, uuidTimeMs } from '@gladhand/base/ids.ts';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { createPartitions } from '../database/partitions.ts';
import type { Envelope } from '../intake-log/intake-log.ts';
import { openPostgresIntakeLog } from '../intake-log/postgres.ts';
import { createVault } from './vault.ts';

const DAY_MS = 86_400_000;
const FIRST_MS = Date.UTC(2026, 10, 20, 12);

/** Six envelopes, one a day, by turns of two products; two of them are of one millisecond. */
async function openWorld() {
  const database = await openTestDatabase();
  const partitions = createPartitions(database);
  const log = openPostgresIntakeLog({ database, partitions });
  const sent: Envelope[] = [];
  for (const [place, day] of [0, 1, 2, 2, 3, 4].entries()) {
    const id = uuidFrom(FIRST_MS + day * DAY_MS, systemIds.randomBytes(16));
    const asset = place % 2 === 0 ? { vin: '1UYVS2533P7204518' } : { plantId: systemIds.uuid() };
    const fixed = { organizationId: id, keyId: id, partnerId: 'p', product: place % 2 === 0 ? 'even' : 'odd' };
    sent.push({ id, receivedAtMs: uuidTimeMs(id), ...fixed, asset, body: Buffer.from([place, 0, 255]) });
  }
  sent.sort((one, other) => (one.id < other.id ? -1 : 1));
  for (const envelope of sent) await log.append(envelope);
  return { vault: createVault(database), partitions, log, sent };
}

const all = { fromMs: 0, untilMs: FIRST_MS + 100 * DAY_MS, take: 100 };

test('an envelope is found by its id, whole, whether it was mapped or not', async () => {
  const { vault, log, sent } = await openWorld();
  const batch = await log.take({ envelopesMax: 3, bytesMax: 1e6 });
  await batch.acknowledge(batch.envelopes);
  const found = await vault.find([sent[4]!, sent[0]!, { id: systemIds.uuid(), receivedAtMs: FIRST_MS }]);
  expect(found.sort((one, other) => (one.id < other.id ? -1 : 1))).toEqual([sent[0], sent[4]]);
  expect(await vault.find([])).toEqual([]);
});

test('envelopes are listed by time and by product, in pages that leave nothing out', async () => {
  const { vault, sent } = await openWorld();
  expect(await vault.list(all)).toEqual(sent);
  expect(await vault.list({ ...all, product: 'odd' })).toEqual(sent.filter(({ product }) => product === 'odd'));
  const days = { ...all, fromMs: FIRST_MS + DAY_MS, untilMs: FIRST_MS + 3 * DAY_MS };
  expect(await vault.list(days)).toEqual(sent.slice(1, 4));
  const walked: Envelope[] = [];
  for (;;) {
    const after = walked.at(-1);
    const page = await vault.list({ ...all, take: 1, ...(after && { after }) });
    if (page.length === 0) break;
    walked.push(...page);
  }
  expect(walked).toEqual(sent);
});

test('what is past its retention is not there, and no error', async () => {
  const { vault, partitions, sent } = await openWorld();
  await partitions.retireBefore('envelope', FIRST_MS + 2 * DAY_MS);
  expect(await vault.find(sent.slice(0, 3))).toEqual([sent[2]]);
});
