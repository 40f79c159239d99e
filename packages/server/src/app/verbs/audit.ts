import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { verifyChain } from '../../audit/verify.ts';
import type { Config } from '../../config.ts';
import type { Database } from '../../database/database.ts';
import { findOrganization, listOrganizations } from '../../organizations/store.ts';
import { withDatabase } from './database.ts';

export interface AuditFlags {
  readonly organization?: string;
  /** Print every event, as one line of JSON. */
  readonly events?: boolean;
}

const PAGE = 500;

/** Checks the chains and prints one line for each. The exit code is 1 if one is broken. */
export function verifyAudit(config: Config, flags: AuditFlags): Promise<void> {
  return withDatabase(config, async (database) => {
    let broken = 0;
    for await (const { id, slug } of organizations(database, flags.organization)) {
      const report = await verifyChain(
        database,
        id,
        flags.events ? (event) => console.log(JSON.stringify(event)) : undefined,
      );
      const verdict = report.broken === null ? 'ok' : `BROKEN at event ${report.broken.sequence}: ${report.broken.why}`;
      console.log(`${slug}: ${report.events} events, head ${report.head}: ${verdict}`);
      if (report.broken !== null) broken += 1;
    }
    if (broken > 0) process.exitCode = 1;
  });
}

async function* organizations(
  database: Database,
  slug: string | undefined,
): AsyncGenerator<{ id: string; slug: string }> {
  if (slug !== undefined) {
    const one = await findOrganization(database.system, slug, false);
    if (one === undefined) throw new StartRefusal(`There is no organization with the slug ${slug}.`);
    yield one;
    return;
  }
  for (let afterId: string | null = null; ; ) {
    const page = await listOrganizations(database.system, { afterId, take: PAGE });
    yield* page;
    if (page.length < PAGE) return;
    afterId = page[page.length - 1]!.id;
  }
}
