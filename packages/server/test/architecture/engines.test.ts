import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { minVersion, satisfies } from 'semver';
import { expect, test } from 'vitest';
import { LOCK_FILES, withoutEngines } from '../../../../scripts/lock-engines.ts';
import { ROOT } from './source-tree.ts';

/** Which Node runs what. npm cannot judge it, because it knows only the Node that it runs on itself. */
interface Manifest {
  readonly name: string;
  readonly engines?: { readonly node?: string };
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
}

const readManifest = (folder: string) =>
  JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest;
const readLock = (file: string) => readFileSync(join(ROOT, file), 'utf8');
const installed = Object.keys((JSON.parse(readLock('package-lock.json')) as { packages: object }).packages).filter(
  (path) => path.includes('node_modules/') && existsSync(join(ROOT, path, 'package.json')),
);

/** A sentence for each package of `folders` that does not support Node `version`. */
function refusals(folders: readonly string[], version: string): string[] {
  return folders.flatMap((folder) => {
    const { name, engines } = readManifest(folder);
    const range = engines?.node;
    return range === undefined || satisfies(version, range) ? [] : [`${name} runs on Node ${range}, not on ${version}`];
  });
}

test('every installed package supports the Node that npm run uses', () => {
  const version = readManifest('.').devDependencies!['node']!;
  expect(installed.length).toBeGreaterThan(150);
  expect(refusals(installed, version)).toEqual([]);
  // A control: some do not support the oldest Node that may run npm, which is why npm is not asked.
  expect(refusals(installed, '20.0.0')).not.toEqual([]);
});

test('npm install has nothing to warn of, whatever Node runs npm', () => {
  const stale = LOCK_FILES.filter((file) => readLock(file) !== withoutEngines(readLock(file)));
  expect(stale, 'run `node scripts/lock-engines.ts` and commit the result').toEqual([]);
});

test('what the examples import runs on the oldest Node that the README asks for', () => {
  const oldest = minVersion(readManifest('.').engines!.node!)!.version;
  expect(readFileSync(join(ROOT, 'README.md'), 'utf8')).toContain(`Node.js ${oldest.split('.')[0]} or newer`);
  const found = new Set<string>();
  const visit = (name: string) => {
    const folder = `node_modules/${name}`;
    if (found.has(folder)) return;
    found.add(folder);
    for (const dependency of Object.keys(readManifest(folder).dependencies ?? {})) visit(dependency);
  };
  for (const example of globSync('examples/*.mjs', { cwd: ROOT }))
    for (const [, name] of readFileSync(join(ROOT, example), 'utf8').matchAll(/from '((?!node:)[^']+)'/g)) visit(name!);
  expect(found).toContain('node_modules/@grpc/grpc-js');
  expect(refusals([...found], oldest)).toEqual([]);
});
