import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { openEmbeddedPostgres } from '../src/embedded-postgres/embedded.ts';

/**
 * A server reduced to its database, as a process of its own for tests to kill: opens the embedded PostgreSQL of the
 * folder given first (with the programs of the folder given second), prints `ready` or the refusal on one line, and
 * closes it on SIGTERM.
 */
const [directory, nativeDirectory] = process.argv.slice(2);
try {
  const host = await openEmbeddedPostgres({
    directory: directory!,
    log: silentLogger,
    clock: systemClock,
    ids: systemIds,
    ...(nativeDirectory === undefined ? {} : { nativeDirectory }),
  });
  process.once('SIGTERM', () => void host.close());
  console.log('ready');
} catch (error) {
  console.log((error as Error).message);
}
