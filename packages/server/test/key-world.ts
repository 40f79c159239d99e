import type { Fault } from '@gladhand/base/fault.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { onTestFinished } from 'vitest';
import { openAccess } from '../src/access/access.ts';
import { issueKey } from '../src/access/issue-key.ts';
import { createSecrets } from '../src/access/secrets.ts';
import type { Database } from '../src/database/database.ts';
import { openEpoch } from '../src/database/epoch.ts';
import { createLocalDoorbell } from '../src/doorbell/local.ts';
import { insertOrganization } from '../src/organizations/store.ts';
import { openTestDatabase } from './database.ts';
import { createManualClock } from './manual-clock.ts';

/** Where requests come from. */
export const HOME = '203.0.113.9';

/** The access room with one organization, on a real database whose uses are counted and a clock that is moved by hand. */
export async function openKeyWorld() {
  const database = await openTestDatabase();
  const clock = createManualClock();
  let reads = 0;
  const counted: Database = {
    ...database,
    get system() {
      reads += 1;
      return database.system;
    },
  };
  const doorbell = createLocalDoorbell();
  const epoch = await openEpoch({ database: counted, doorbell, clock, log: silentLogger });
  onTestFinished(() => epoch.close());
  const parts = {
    database: counted,
    epoch,
    secrets: createSecrets(Buffer.alloc(32, 7)),
    clock,
    ids: systemIds,
    log: silentLogger,
  };
  const access = await openAccess({ ...parts, issuer: 'gladhand', tokenTtlSeconds: 1800 });
  onTestFinished(() => access.close());
  const organizationId = systemIds.uuid();
  await insertOrganization(database.owner, {
    id: organizationId,
    slug: 'one',
    name: 'One',
    kind: 'customer',
    at: new Date(clock.nowMs()),
  });
  const order = {
    organizationId,
    audience: 'customer' as const,
    partnerId: 'p',
    name: 'k',
    scopes: ['fleets:read'],
    createdBy: null,
  };
  const issue = (changes: Partial<Parameters<typeof issueKey>[2]> = {}) =>
    issueKey(database.owner, parts, { ...order, ...changes });
  const set = async (id: string, change: Record<string, unknown>) => {
    await database.owner.updateTable('api_key').set(change).where('id', '=', id).execute();
    await epoch.announceChange();
  };
  return { database, clock, parts, epoch, access, organizationId, issue, set, readsNow: () => reads };
}

/** `admitted`, or the code of the refusal. */
export const codeOf = async (attempt: () => unknown) => {
  try {
    await attempt();
    return 'admitted';
  } catch (error) {
    return (error as Fault).code;
  }
};

/** Lets whatever is under way with the real database get there. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
