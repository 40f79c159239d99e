import { systemClock } from '@gladhand/base/clock.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { openTestDatabase } from '../../test/database.ts';
import { describeDoorbell } from './conformance.ts';
import { createLocalDoorbell } from './local.ts';
import { openPostgresDoorbell } from './postgres.ts';

describeDoorbell('the doorbell of one process', async () => {
  const bell = createLocalDoorbell();
  return { here: bell, there: bell, close: () => bell.close() };
});

describeDoorbell('the doorbell over PostgreSQL', async () => {
  const database = await openTestDatabase();
  const parts = { database, clock: systemClock, log: silentLogger };
  const here = await openPostgresDoorbell({ ...parts, nodeId: 'here' });
  const there = await openPostgresDoorbell({ ...parts, nodeId: 'there' });
  return {
    here,
    there,
    async close() {
      await here.close();
      await there.close();
    },
  };
});
