import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openTestDatabase } from '../../server/test/database.ts';
import { proveOrganizations } from '../src/prove/organizations.ts';
import { withScratch } from '../src/rig/scratch.ts';

/** Few of the probes that the proof itself sends by the hundred thousand; every route is among them. */
const PROBES = 300;
/** Three servers are started one after the other. */
const WITHIN_MS = 180_000;

test(
  'no caller of one organization sees or changes anything of another, as shipped and with row-level security alone',
  async () => {
    const { host, close } = await openTestDatabase();
    const { host: address, port, user, password, database } = host.connection;
    const databaseUrl = `postgres://${user}:${encodeURIComponent(String(password))}@/${database}?host=${encodeURIComponent(String(address))}&port=${port}`;
    const withoutOrganizationCondition = join(
      import.meta.dirname,
      '../src/prove/organizations/without-organization-condition.ts',
    );
    const report = await withScratch((scratch) =>
      proveOrganizations(scratch, { probes: PROBES, seed: 1, databaseUrl, withoutOrganizationCondition }),
    );
    await close();
    // The last pass has neither protection. The proof must find leaks there, or it could not find any at all.
    expect(
      report.goals.filter(({ isMet }) => !isMet),
      report.text,
    ).toEqual([]);
  },
  WITHIN_MS,
);
