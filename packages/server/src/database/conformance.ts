import { Fault } from '@gladhand/base/fault.ts';
import { silentLogger } from '@gladhand/base/log.ts';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Database, PostgresHost } from './database.ts';
import { asFault } from './database-fault.ts';
import { migrate } from './migrate.ts';
import { openDatabase } from './open-database.ts';
import { createPartitions } from './partitions.ts';

/** A host that a test may hurt. */
export interface HostUnderTest {
  readonly host: PostgresHost;
  /** Kills PostgreSQL with SIGKILL, and sees to it that it will come back. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

/** What the server relies on, whichever way the database was come by: run against every `PostgresHost` there is. */
export function describeDatabase(name: string, openHost: () => Promise<HostUnderTest>): void {
  describe(name, () => {
    let subject: HostUnderTest;
    let database: Database;

    beforeAll(async () => {
      subject = await openHost();
      database = await open();
      // Two nodes of one installation start at the same moment.
      await Promise.all([migrate(database, silentLogger), migrate(database, silentLogger)]);
    });

    afterAll(async () => {
      await database?.close();
      await subject?.close();
    });

    const open = () =>
      openDatabase(subject.host, {
        poolSizeMax: 4,
        ownerConnectionsMax: 4,
        log: silentLogger,
        applicationName: 'conformance',
      });

    test('the schema is there after two nodes migrated it at once, and migrating again changes nothing', async () => {
      await migrate(database, silentLogger);
      const { value } = await database.owner.selectFrom('telemetry_position').select('value').executeTakeFirstOrThrow();
      expect(value).toBe(0);
    });

    test('a committed write survives a power cut, and says so', () => {
      expect(database.durability).toBe('power-loss');
    });

    test('a server that does not wait for the disk is reported as the weaker class', async () => {
      const { host } = subject;
      const weak = await openDatabase(
        {
          ...host,
          connection: { ...host.connection, options: '-c synchronous_commit=off' },
          state: 'ready',
          place: '',
        },
        { poolSizeMax: 1, log: silentLogger, applicationName: 'conformance' },
      );
      onTestFinished(() => weak.close());
      expect(weak.durability).toBe('process-crash');
    });

    test('values arrive as the types the schema names, whatever zone the server is set to', async () => {
      const { rows } = await sql<Record<string, unknown>>`
        select 9007199254740991::bigint as big, '{1,null}'::bigint[] as bigs, date '2026-11-23' as day,
               timestamptz '2026-11-23T01:02:03.456+01:00' as instant, timestamptz '0044-03-15 BC' as ides,
               '{"a":[1]}'::json as json, '\\x00ff'::bytea as bytes, 'infinity'::timestamptz::text as text,
               current_setting('timezone') as zone`.execute(database.owner);
      expect(rows[0]).toEqual({
        big: 9007199254740991,
        bigs: [1, null],
        day: new Date('2026-11-23T00:00:00Z'),
        instant: new Date('2026-11-23T00:02:03.456Z'),
        ides: new Date('-000043-03-15T00:00:00Z'),
        json: { a: [1] },
        bytes: Buffer.from([0, 255]),
        text: 'infinity',
        zone: 'UTC',
      });
      await expect(sql`select 9007199254740992::bigint`.execute(database.owner)).rejects.toThrow(RangeError);
    });

    test('no statement, transaction or lock can hold a connection for ever', async () => {
      const { rows } = await sql`
        select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
               current_setting('idle_in_transaction_session_timeout') as idle`.execute(database.owner);
      expect(rows).toEqual([{ statement: '30s', lock: '5s', idle: '15s' }]);
    });

    test('a statement cancelled for its length is told to come again, a wrong one is an error of its own', async () => {
      const slow = database.owner.transaction().execute(async (transaction) => {
        await sql`set local statement_timeout = 1`.execute(transaction);
        await sql`select pg_sleep(60)`.execute(transaction);
      });
      expect(asFault(await slow.catch((error: unknown) => error))).toBeInstanceOf(Fault);
      const wrong = await sql`select 1 / 0`.execute(database.owner).catch((error: unknown) => error);
      expect(wrong).toMatchObject({ code: '22012' });
      expect(asFault(wrong)).toBe(wrong);
    });

    test('a client of its own hears notifications', async () => {
      const client = await database.connectClient();
      const heard = new Promise((resolve) => client.once('notification', ({ payload }) => resolve(payload)));
      await client.query('listen ring');
      await sql`select pg_notify('ring', 'hello')`.execute(database.owner);
      expect(await heard).toBe('hello');
      await client.end();
    });

    test('records of any week find their partition', async () => {
      const atMs = Date.UTC(2026, 10, 23);
      await createPartitions(database).ensure('record', [atMs, atMs - 400 * 86_400_000]);
      const id = '0198a3c0-0000-7000-8000-000000000001';
      const instant = new Date(atMs);
      await database.owner
        .insertInto('record')
        .values({
          id,
          asset_id: id,
          observed_at: instant,
          organization_id: id,
          fleet_id: null,
          asset_kind: 'trailer',
          device_id: null,
          device_at: null,
          received_at: instant,
          processed_at: instant,
          product: 'deliversafe',
          mapping_version: 1,
          receipt_id: id,
          position: 1,
          signal_groups: 1,
          signals: JSON.stringify({ gps: { latitude: 52 } }),
        })
        .execute();
      const found = await database.owner.selectFrom('record').selectAll().executeTakeFirstOrThrow();
      expect(found).toMatchObject({ observed_at: instant, position: 1, signals: { gps: { latitude: 52 } } });
    });

    test('a crash of PostgreSQL loses no commit, is told to every caller, and heals without a restart of ours', async () => {
      await sql`create table crash_test (value int)`.execute(database.owner);
      const listener = await database.connectClient();
      const lost = new Promise<void>((resolve) => listener.once('end', () => resolve()));
      const open = database.owner.transaction().execute(async (transaction) => {
        await sql`insert into crash_test values (666)`.execute(transaction);
        await lost;
        // Its own backend may answer a little longer than the listener's.
        for (;;) await sql`select 1`.execute(transaction);
      });
      const opened = open.catch((error: unknown) => error);
      await sql`insert into crash_test values (1)`.execute(database.owner);
      const crash = subject.crash();
      await vi.waitFor(() => expect(subject.host.state).toBe('recovering'), { timeout: 10_000, interval: 1 });
      expect(asFault(await opened)).toMatchObject({ code: 'temporarily-unavailable' });
      await crash;
      await vi.waitFor(() => expect(subject.host.state).toBe('ready'), { timeout: 20_000, interval: 5 });
      const { rows } = await sql`select value from crash_test`.execute(database.owner);
      expect(rows).toEqual([{ value: 1 }]);
      await listener.end();
    });
  });
}
