import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { hasInstalledPostgres, openInstalledPostgres } from '@gladhand/proofs/rig/installed-postgres.ts';
import { describe, test } from 'vitest';
import { openEmbeddedPostgres } from '../embedded-postgres/embedded.ts';
import { describeDatabase } from './conformance.ts';
import { openPostgresServer } from './server.ts';

describeDatabase('embedded PostgreSQL', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gladhand-test-'));
  const host = await openEmbeddedPostgres({ directory, log: silentLogger, clock: systemClock, ids: systemIds });
  return {
    host,
    async crash() {
      const lockFile = await readFile(join(directory, 'postgres/cluster/postmaster.pid'), 'utf8');
      process.kill(Number.parseInt(lockFile, 10), 'SIGKILL');
    },
    async close() {
      await host.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
});

if (hasInstalledPostgres) {
  describeDatabase('a PostgreSQL 15 by URL', async () => {
    const server = await openInstalledPostgres();
    const host = await openPostgresServer({ url: server.url, log: silentLogger, clock: systemClock });
    return {
      host,
      async crash() {
        await server.kill();
        await server.start();
      },
      async close() {
        await host.close();
        await server.close();
      },
    };
  });
} else {
  console.warn('SKIPPED: no PostgreSQL 15 in /usr/lib/postgresql/15/bin; on Debian: apt-get install postgresql');
  describe('a PostgreSQL 15 by URL', () => test.skip('needs Debian package postgresql', () => {}));
}
