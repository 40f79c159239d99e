import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Clock, sleep } from '@gladhand/base/clock.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import pg from 'pg';
import type { PostgresHost } from '../database/database.ts';
import { isUnavailable } from '../database/database-fault.ts';
import { PASSWORD_FILE } from './cluster.ts';
import { findSocketFolder } from './cluster-home.ts';
import { embeddedConnection } from './connection.ts';

/**
 * The embedded PostgreSQL that another process runs in a data folder, for a command that is run beside a server. The
 * other process owns it: it may stop it at any time, which ends what the command has under way as a crash would. A
 * command that owns it waits with stopping for the guests (`waitForGuests`); a server does not.
 */
const GUEST = 'gladhand guest';
const POLL_MS = 100;
const GUESTS_MS_MAX = 60_000;
const UNDEFINED_DATABASE = '3D000';
const WRONG_PASSWORD = '28P01';

/**
 * Connects to the PostgreSQL in `directory`, by the files that its owner keeps there. Undefined when nothing answers
 * yet or any more: its owner is starting, recovering or has ended. Throws a StartRefusal when this account may not.
 */
export async function joinRunningPostgres(directory: string): Promise<PostgresHost | undefined> {
  const home = join(resolve(directory), 'postgres');
  let client: pg.Client | undefined;
  try {
    const password = await readFile(join(home, PASSWORD_FILE), 'utf8');
    const connection = embeddedConnection(await findSocketFolder(home), password);
    client = new pg.Client({ ...connection, application_name: GUEST });
    let isConnected = true;
    client.on('error', () => {});
    client.once('end', () => {
      isConnected = false;
    });
    await client.connect();
    const guest = client;
    return {
      connection,
      place: resolve(directory),
      get state() {
        return isConnected ? 'ready' : 'recovering';
      },
      close: () => guest.end().catch(() => {}),
    };
  } catch (error) {
    await client?.end().catch(() => {});
    const { code } = error as { code?: string };
    if (code === 'EACCES' || code === 'EPERM')
      throw new StartRefusal(
        `The database in ${home} belongs to the account that runs the server. Run this as that account, or as root.`,
        error,
      );
    // A first start writes the password, makes the cluster with it, and then the database.
    if (isUnavailable(error) || code === 'ENOENT' || code === UNDEFINED_DATABASE || code === WRONG_PASSWORD)
      return undefined;
    throw error;
  }
}

/** Resolves when no other command uses `host` any more, or after a minute. */
export async function waitForGuests(
  host: PostgresHost,
  clock: Clock,
  onProgress: (step: string) => void,
): Promise<void> {
  const client = new pg.Client(host.connection);
  client.on('error', () => {});
  try {
    await client.connect();
    const endMs = clock.monotonicMs() + GUESTS_MS_MAX;
    for (let isTold = false; clock.monotonicMs() < endMs; isTold = true) {
      const { rowCount } = await client.query('select from pg_stat_activity where application_name = $1', [GUEST]);
      if (rowCount === 0) return;
      if (!isTold) onProgress('Waiting for another command that uses the database');
      await sleep(clock, POLL_MS);
    }
  } finally {
    await client.end().catch(() => {});
  }
}
