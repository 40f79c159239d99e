import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PORTS, ROOMS } from './house-rules.ts';
import { ROOT } from './source-tree.ts';

/** ARCHITECTURE.md and CONTRIBUTING.md against what they describe. */
const readDocument = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const architecture = readDocument('ARCHITECTURE.md');

/** Every problem is a sentence that says where, what, and what to do instead. */
function expectNone(problems: readonly string[]): void {
  expect(problems, problems.join('\n')).toEqual([]);
}

const LINK = /\[([^\]]*)\]\(([^)]+)\)/g;
const HOUSE_RULES = 'packages/server/test/architecture/house-rules.ts';

test('the list of decisions is that of the folder, in its order', () => {
  const section = /^## Decisions\n([\s\S]*?)^## /m.exec(architecture)?.[1] ?? '';
  const listed = [...section.matchAll(/^(\d+)\. \[[^\]]+\]\((docs\/decisions\/[^)]+)\)$/gm)];
  const files = globSync('docs/decisions/*', { cwd: ROOT }).sort();
  expect(files.length).toBeGreaterThan(0);
  expect(
    listed.map(([, , path]) => path),
    'ARCHITECTURE.md, "Decisions": list every file of docs/decisions once, in order, and nothing else',
  ).toEqual(files);
  const misnumbered = listed.filter(([, number, path]) => !path!.includes(`/${number!.padStart(4, '0')}-`));
  expectNone(misnumbered.map(([line]) => `ARCHITECTURE.md: "${line}" does not have the number of its file`));
});

/** Rows of the drawing that are neither rooms nor ports, with their folders. */
const OTHERS = { proofs: 'packages/proofs/src', app: 'packages/server/src/app', edge: 'packages/server/src/edge' };
const PACKAGES = { base: 'packages/base/src', contract: 'packages/contract/src', demo: 'packages/demo/src' };
const FOLDERS: Readonly<Record<string, string>> = { ...OTHERS, ...PACKAGES };
const folderOf = (name: string) => FOLDERS[name] ?? `packages/server/src/${name}`;
const arrows: Readonly<Record<string, readonly string[]>> = { ...ROOMS, ...PORTS };

test('the table of rooms has a row for every room, with its arrows, and for no other', () => {
  const rows = [...architecture.matchAll(/^\| \[`([a-z-]+)`\]\(([^)]+)\) \|(.+)\|(.*)\|$/gm)];
  const named = rows.map(([, name]) => name!);
  const known = [...Object.keys(arrows), ...Object.keys(FOLDERS)];
  expectNone([
    ...known
      .filter((name) => named.filter((one) => one === name).length !== 1)
      .map((name) => `ARCHITECTURE.md: give ${name} one row in the table of rooms`),
    ...named
      .filter((name) => !known.includes(name))
      .map((name) => `ARCHITECTURE.md: ${name} is no room of ${HOUSE_RULES}; take its row away`),
    ...rows
      .filter(([, name, path]) => path !== folderOf(name!) || !existsSync(join(ROOT, path!)))
      .map(([, name, path]) => `ARCHITECTURE.md: the row of ${name} links to ${path}, not to ${folderOf(name!)}`),
    ...rows
      .filter(([, name, , , calls]) => name! in arrows && calls!.trim() !== arrows[name!]!.join(', '))
      .map(([, name]) => `ARCHITECTURE.md: ${name} may call "${arrows[name!]!.join(', ')}"; say so in its row`),
  ]);
});

test('every room and port stands in the drawing', () => {
  const drawing = [...architecture.matchAll(/^```\n([\s\S]*?)^```$/gm)].find(([, text]) => /^ ports /m.test(text!));
  const words = new Set(drawing?.[1]?.match(/[a-z-]+/g));
  const lacking = [...Object.keys(arrows), ...Object.keys(FOLDERS)].filter((name) => !words.has(name));
  expectNone(lacking.map((name) => `ARCHITECTURE.md: draw ${name}`));
});

/** A path of the project is written from its root, from `packages/server/src` or, if it is only a name, is somewhere. */
function isThere(path: string): boolean {
  const package_ = /^@gladhand\/([a-z]+)\/(.+)$/.exec(path);
  if (package_ !== null) return existsSync(join(ROOT, 'packages', package_[1]!, 'src', package_[2]!));
  if (['', 'packages/server/src'].some((folder) => existsSync(join(ROOT, folder, path)))) return true;
  if (path.includes('/') && !path.includes('*')) return false;
  return globSync(`packages/*/{src,test,products}/**/${path}`, { cwd: ROOT }).length > 0;
}

/** What looks like a path: a folder and a name, or a name with an ending of ours. No URL, option or glob of a scope. */
const PATH =
  /^(?![-/]|\.\/|.*:\/\/|[A-Z]+$)(@?[\w.*-]+\/[\w./*-]*|[\w.*-]+\.(ts|md|json|toml|yaml|sql|proto|mjs|py|sh))$/;

test.for(['ARCHITECTURE.md', 'CONTRIBUTING.md'])('every path that %s names is there', (name) => {
  const text = readDocument(name).replace(/^```[\s\S]*?^```$/gm, '');
  const spans = [...text.matchAll(/`([^`\n]+)`/g)].flatMap(([, span]) => span!.split(/[\s,]+/));
  const paths = spans.filter((word) => PATH.test(word));
  const links = [...text.matchAll(LINK)].map(([, , target]) => target!.split('#')[0]!);
  const targets = links.filter((target) => target !== '' && !target.includes('://'));
  expect(paths.length).toBeGreaterThan(10);
  expectNone([
    ...paths.filter((path) => !isThere(path)).map((path) => `${name}: \`${path}\` is not there; name what is`),
    ...targets
      .filter((path) => !existsSync(join(ROOT, path)))
      .map((path) => `${name}: the link to ${path} leads nowhere`),
  ]);
});

test('the table "To change ..., go to ..." names a path in every row', () => {
  const table = /^\| To change [\s\S]*?\n\n/m.exec(readDocument('CONTRIBUTING.md'))?.[0] ?? '';
  const rows = table.trim().split('\n').slice(2);
  expect(rows.length).toBeGreaterThanOrEqual(10);
  const lacking = rows.filter((row) => !/`(packages\/|docs)[^`]*`/.test(row.split(' | ')[1]!));
  expectNone(lacking.map((row) => `CONTRIBUTING.md: "${row.split(' | ')[0]}": name the path where it begins`));
});
