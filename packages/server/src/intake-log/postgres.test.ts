import { openTestDatabase } from '../../test/database.ts';
import { createPartitions } from '../database/partitions.ts';
import { describeIntakeLog } from './conformance.ts';
import { openPostgresIntakeLog } from './postgres.ts';

describeIntakeLog('the intake log in PostgreSQL', async () => {
  const database = await openTestDatabase();
  const log = openPostgresIntakeLog({ database, partitions: createPartitions(database) });
  return { log, transaction: (work) => database.system.transaction().execute(work) };
});
