import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { REPOSITORY, readLibrary } from './library.ts';

const repository = mkdtempSync(join(tmpdir(), 'gladhand-library-'));
afterAll(() => rmSync(repository, { recursive: true }));
for (const path of ['docs', 'examples', 'packages/contract/proto', 'packages/contract/src', 'packages/server/products'])
  cpSync(join(REPOSITORY, path), join(repository, path), { recursive: true });

const readWith = (text: string) => {
  writeFileSync(join(repository, 'docs/errors.md'), `# Errors\n\n${text}\n`);
  return () => readLibrary(repository);
};

test('a guide that links to nothing is noticed, and named', () => {
  for (const target of ['nobody.md', '../examples', '../../outside.txt'])
    expect(readWith(`[x](${target})`)).toThrow('docs/errors.md links to');
});

test('what a guide links to is served, and what that links to', () => {
  writeFileSync(join(repository, 'docs/decisions/one.md'), '# One\n\n[two](two.md) [errors](../errors.md)\n');
  writeFileSync(join(repository, 'docs/decisions/two.md'), '# Two\n\n[one](one.md)\n');
  const { guides, files } = readWith('[one](decisions/one.md)')();
  expect(guides.find(({ name }) => name === 'errors')?.html).toContain('href="/docs/files/docs/decisions/one.md"');
  const [one, two] = ['one', 'two'].map((name) => files.get(`docs/decisions/${name}.md`));
  expect(one).toMatchObject({ kind: 'page', title: 'One' });
  expect(JSON.stringify(one)).toContain('/docs/guides/errors');
  expect(two).toMatchObject({ kind: 'page', title: 'Two' });
});
