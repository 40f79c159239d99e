import { expect, test } from 'vitest';
import { readSources } from './source-tree.ts';

// Decision 0007: two walls keep organizations apart, and the code must not walk around either.

const product = readSources().filter((file) => !file.isTest && file.path.startsWith('server/src/'));

function placesOf(pattern: RegExp, isAllowed: (path: string) => boolean): string[] {
  return product
    .filter((file) => !isAllowed(file.path))
    .flatMap((file) =>
      file.text.split('\n').flatMap((line, n) => (pattern.test(line) ? [`${file.path}:${n + 1} ${line.trim()}`] : [])),
    );
}

test('only the database port works as the owner of the schema, whom no row-level security holds', () => {
  const places = placesOf(/\bdatabase\.owner\b|\bowner\b.*= .*\bdatabase\b/, (path) =>
    path.startsWith('server/src/database/'),
  );
  expect(places, 'use `database.within` for one organization, `database.system` for all').toEqual([]);
});

test('every condition that says whose rows are meant is made by ofOrganization', () => {
  const places = placesOf(
    /organization_id['"`]?(,\s*'(=|in)'|\s*=\s*(any\()?\$\{)/,
    (path) => path === 'server/src/database/first-wall.ts',
  );
  expect(places, 'write `ofOrganization(column, organizationId)`, so that a test can take the first wall away').toEqual(
    [],
  );
});
