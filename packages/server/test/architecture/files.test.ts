import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { generateDocs } from '../../../../scripts/generate-docs.ts';
import { EMPTY_NAMES, LEAD_FILES, PORTS, WITHOUT_CONFORMANCE, WORDS } from './house-rules.ts';
import { ROOT, readSources } from './source-tree.ts';

const sources = readSources();
/** `base/clock.ts` is in the package of that name, as is `demo/`; every other room is in the server. */
const inHouse = (path: string) =>
  /^(base|demo)\//.test(path)
    ? join(ROOT, 'packages', path.replace('/', '/src/'))
    : join(ROOT, 'packages/server/src', path);

/** Every problem is a sentence that says where, what, and what to do instead. */
function expectNone(problems: readonly string[]): void {
  expect(problems, problems.join('\n')).toEqual([]);
}

test('no file is there that nothing imports', () => {
  const isEntry = (path: string) => /(\.test|\.setup|\/main|\/bench\/bench|\/prove\/prove)\.ts$/.test(path);
  const imported = new Set(
    sources.filter((file) => !file.path.endsWith('.test.ts')).flatMap((file) => file.imports.map((one) => one.to)),
  );
  const byTests = new Set(sources.flatMap((file) => file.imports.map((one) => one.to)));
  const mentioned = new Set(sources.flatMap((file) => file.mentions));
  const dead = sources.filter((file) => {
    if (isEntry(file.path) || (file.isTest ? byTests : imported).has(file.path)) return false;
    // Run as a program of its own, by its name.
    return !mentioned.has(basename(file.path));
  });
  expectNone(
    dead.map(
      (file) =>
        `packages/${file.path}: nothing ${file.isTest ? '' : 'but tests '}imports it; delete it, or use it where it belongs`,
    ),
  );
});

test('every file name says what is inside', () => {
  const names = globSync(['packages/*/{src,test,bench}/**/*', 'scripts/**/*'], { cwd: ROOT }).filter(
    (path) => !path.includes('/gen'),
  );
  const bare = (path: string) => basename(path).replace(/(\.test)?\.[a-z]+$/, '');
  expectNone([
    ...names
      .filter((path) => EMPTY_NAMES.test(bare(path)))
      .map((path) => `${path}: name it after what it holds, a noun of the domain`),
    ...names
      .filter((path) => path.endsWith('.ts') && !/^[a-z0-9]+([-.][a-z0-9]+)*\.ts$/.test(basename(path)))
      .map((path) => `${path}: file names are kebab-case`),
  ]);
});

test('no default exports and no barrels', () => {
  const allowed = /\.setup\.ts$/;
  expectNone(
    sources
      .filter((file) => !allowed.test(file.path))
      .flatMap((file) =>
        file.uses
          .filter((use) => use.name === 'export default' || use.name === 'export *')
          .map(
            (use) =>
              `${file.path}:${use.line} has \`${use.name}\`: export by name, and import from the file that has it`,
          ),
      ),
  );
});

test("every room's lead file opens with what the room promises", () => {
  const hasParagraph = (text: string) =>
    (/^\/\*\*\n([\s\S]*?)\*\//m.exec(text.slice(0, 4_000))?.[1]?.length ?? 0) >= 200;
  const lacking = LEAD_FILES.filter(
    (path) => !existsSync(inHouse(path)) || !hasParagraph(readFileSync(inHouse(path), 'utf8')),
  );
  expectNone(
    lacking.map((path) => `${path}: open it with a paragraph: what it promises, what it assumes, how it fails`),
  );
});

test('every port has a conformance suite that each of its implementations runs', () => {
  const ports = Object.keys(PORTS).filter((port) => existsSync(inHouse(port)) && !(port in WITHOUT_CONFORMANCE));
  const lacking = ports.filter((port) => !existsSync(inHouse(`${port}/conformance.ts`)));
  expectNone(
    lacking.map(
      (port) =>
        `${port}: write ${port}/conformance.ts (what any implementation must do) and call it from a test of each implementation`,
    ),
  );
  const unused = ports.filter(
    (port) => !sources.some((file) => file.imports.some((one) => one.to === `server/src/${port}/conformance.ts`)),
  );
  expectNone(unused.map((port) => `${port}/conformance.ts: no test calls it`));
});

const TEXTS = [
  '*.{md,json,ts,toml}',
  '.ci/*',
  'examples/*',
  'docs/**/*.md',
  'scripts/**/*.ts',
  'tools/*/*.{ts,json,yaml}',
  'packages/*/*.{json,toml,md}',
  'packages/*/{src,test,bench,proto}/**/*.{ts,sql,proto}',
  'packages/*/products/**/*.{yaml,md}',
];

test('one word per idea, and nothing that belongs to one machine', () => {
  const paths = globSync(TEXTS, { cwd: ROOT }).filter(
    (path) => !/node_modules|package-lock|house-rules\.ts$/.test(path),
  );
  expect(paths.length).toBeGreaterThan(50);
  expectNone(
    paths.flatMap((path) =>
      readFileSync(join(ROOT, path), 'utf8')
        .split('\n')
        .flatMap((line, at) =>
          WORDS.filter(({ word }) => word.test(line)).map(
            ({ word, instead }) => `${path}:${at + 1} has ${word.exec(line)![0].trim()}: write ${instead}`,
          ),
        ),
    ),
  );
});

test('generated documents are what their sources generate', () => {
  const stale = Object.entries(generateDocs()).filter(
    ([path, text]) => !existsSync(join(ROOT, path)) || readFileSync(join(ROOT, path), 'utf8') !== text,
  );
  expectNone(stale.map(([path]) => `${path} is stale: run \`node scripts/generate-docs.ts\` and commit the result`));
});

test('the committed OpenAPI document is what the routes generate', () => {
  const main = inHouse('main.ts');
  const fresh = execFileSync(process.execPath, [main, 'openapi'], { cwd: dirname(main), encoding: 'utf8' });
  const file = join(ROOT, 'packages/contract/openapi.json');
  const committed = existsSync(file) ? readFileSync(file, 'utf8') : '';
  expectNone(
    committed === fresh
      ? []
      : [
          'packages/contract/openapi.json is stale: run `npm run --silent gladhand -- openapi > packages/contract/openapi.json` and commit the result',
        ],
  );
});
