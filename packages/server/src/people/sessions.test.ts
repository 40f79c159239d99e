import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { expect, onTestFinished, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { createHeldEpoch } from '../../test/held-epoch.ts';
import { createManualClock } from '../../test/manual-clock.ts';
import { openEpoch } from '../database/epoch.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { createMemoryLimits } from '../limits/memory.ts';
import { insertOrganization } from '../organizations/store.ts';
import { FRESH_MS } from './known-sessions.ts';
import { openSessions } from './sessions.ts';
import { insertPerson } from './store.ts';

const EMAIL = 'reader@example.com';
const FROM = { address: '203.0.113.9', userAgent: null, requestId: systemIds.uuid() };

test('a read of the epoch that was on its way when a person was deactivated admits nobody after it', async () => {
  const clock = createManualClock();
  const doorbell = createLocalDoorbell();
  const held = createHeldEpoch(await openTestDatabase());
  const { database } = held;
  const epoch = await openEpoch({ database, clock, doorbell, log: silentLogger });
  const sessions = openSessions({ database, epoch, clock, ids: systemIds, limits: createMemoryLimits({ clock }) });
  onTestFinished(() => {
    sessions.close();
    epoch.close();
  });
  const [organizationId, personId] = [systemIds.uuid(), systemIds.uuid()];
  const at = new Date(clock.nowMs());
  await insertOrganization(database.owner, { id: organizationId, slug: 'one', name: 'One', kind: 'customer', at });
  const person = {
    id: personId,
    organizationId,
    email: EMAIL,
    name: 'Reader',
    role: 'VIEWER',
    passwordHash: null,
  } as const;
  await insertPerson(database.owner, { ...person, at });
  const { token } = await sessions.signInVouched(EMAIL, FROM);
  await sessions.authenticate(token);
  clock.advance(FRESH_MS + 1);

  const read = held.hold();
  const before = Promise.resolve(sessions.authenticate(token));
  await read.isAnswered;
  await database.owner.updateTable('person').set({ is_active: false }).where('id', '=', personId).execute();
  doorbell.ring('keys');
  await Promise.resolve();
  read.release();
  await before.catch(() => {});

  await expect(Promise.resolve().then(() => sessions.authenticate(token))).rejects.toMatchObject({
    code: 'invalid-token',
  });
});
