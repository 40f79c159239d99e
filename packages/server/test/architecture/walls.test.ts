import { expect, test } from 'vitest';
import { readSources } from './source-tree.ts';

// Decision 0007: two walls keep organizations apart, and the code must not walk around either.

const product = readSources().filter((file) => !file.isTest && file.path.startsWith('server/src/'));

/** Lines of product code that `isBreach`, with the file and the lines before them to judge by. */
function breaches(isBreach: (line: string, path: string, before: string) => boolean): string[] {
  return product.flatMap(({ path, text }) => {
    const lines = text.split('\n');
    return lines.flatMap((line, n) =>
      isBreach(line, path, lines.slice(Math.max(0, n - 5), n).join('\n')) ? [`${path}:${n + 1} ${line.trim()}`] : [],
    );
  });
}

test('only the database port works as the owner of the schema, whom no row-level security holds', () => {
  const found = breaches(
    (line, path) =>
      !path.startsWith('server/src/database/') && /\bdatabase\.owner\b|\bowner\b.*= .*\bdatabase\b/.test(line),
  );
  expect(found, 'use `database.within` for one organization, `database.system` for all').toEqual([]);
});

test('every condition that says whose rows are meant is made by ofOrganization', () => {
  const condition = /where\(['"`][\w.]*organization_id\b|organization_id\s*=\s*(any\()?\$\{/;
  const found = breaches(
    (line, path, before) =>
      path !== 'server/src/database/of-organization.ts' &&
      condition.test(line) &&
      // There it is the key of the one row, and the system asks for it too.
      !before.includes("'audit_head'"),
  );
  expect(found, 'write `ofOrganization(column, id)`, so that a test can take the first wall away').toEqual([]);
});
