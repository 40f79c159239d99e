import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lint, lintFromString, loadConfig } from '@redocly/openapi-core';
import { expect, test } from 'vitest';
import { ROOT } from '../architecture/source-tree.ts';

/** The same rules as `npx @redocly/cli lint`, without what else that program brings. */
const FILE = join(ROOT, 'packages/contract/openapi.json');
const config = await loadConfig({ configPath: join(ROOT, 'redocly.yaml') });

test('Redocly has nothing to say about the OpenAPI document, neither errors nor warnings', async () => {
  const problems = await lint({ ref: FILE, config });
  expect(problems.filter(({ ignored }) => !ignored).map(({ ruleId, message }) => `${ruleId}: ${message}`)).toEqual([]);
  // What is let pass is still there; else the entry has to go.
  expect(problems.filter(({ ignored }) => ignored)).toHaveLength(2);
});

test('Redocly does look: a tag without a description and a reference to nothing are found', async () => {
  const broken = readFileSync(FILE, 'utf8')
    .replace(/"description": "Groups of trailers[^"]*"/, '"x-description": ""')
    .replace('#/components/schemas/FleetPage', '#/components/schemas/Nothing');
  const problems = await lintFromString({ source: broken, config });
  expect(new Set(problems.map(({ ruleId }) => ruleId))).toEqual(
    new Set(['tag-description', 'no-unresolved-refs', 'operation-2xx-response']),
  );
});
