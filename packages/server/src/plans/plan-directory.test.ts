import { silentLogger } from '@gladhand/base/log.ts';
import { expect, onTestFinished, test } from 'vitest';
import { openTestDatabase } from '../../test/database.ts';
import { createManualClock } from '../../test/manual-clock.ts';
import type { Database } from '../database/database.ts';
import { openEpoch } from '../database/epoch.ts';
import { createLocalDoorbell } from '../doorbell/local.ts';
import { openPlanDirectory } from './plan-directory.ts';

/** A database that calls `run` once, after its next answer and before anybody sees that answer. */
function afterNextAnswer(database: Database, run: () => Promise<unknown>): Database {
  let isDone = false;
  const system = database.system.withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      if (!isDone) {
        isDone = true;
        await run();
      }
      return result;
    },
  });
  return { ...database, system };
}

test('a plan that is changed while the plans are read for the first time is known as it was changed', async () => {
  const database = await openTestDatabase();
  const clock = createManualClock();
  const epoch = await openEpoch({ database, clock, doorbell: createLocalDoorbell(), log: silentLogger });
  const directory = await openPlanDirectory({
    database: afterNextAnswer(database, async () => {
      await database.owner.updateTable('plan').set({ read_capacity: 4_321 }).where('slug', '=', 'standard').execute();
      await epoch.announceChange();
    }),
    clock,
    log: silentLogger,
    epoch,
    findIntakeLimit: () => undefined,
    mode: 'enforce',
  });
  onTestFinished(() => {
    directory.close();
    epoch.close();
  });
  await expect.poll(() => directory.of('any').plan.readCapacity).toBe(4_321);
});
