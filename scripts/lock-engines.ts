import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Takes the copies of `engines` out of the lock files. npm compares them with the Node that runs npm, and warns of
 * each package that wants a newer one. No package runs on that Node: `npm run` puts the package `node` first in the
 * PATH. `packages/server/test/architecture/engines.test.ts` compares every package with the Node that does run it.
 * Run it after each change of the dependencies.
 */
const ROOT = join(import.meta.dirname, '..');
export const LOCK_FILES = ['package-lock.json', 'tools/proto/package-lock.json'];

interface Lock {
  readonly packages: Record<string, { engines?: unknown }>;
}

/** The text of a lock file, without what it says of the engines of installed packages. */
export function withoutEngines(text: string): string {
  const lock = JSON.parse(text) as Lock;
  for (const [path, entry] of Object.entries(lock.packages)) if (path.includes('node_modules/')) delete entry.engines;
  return `${JSON.stringify(lock, null, 2)}\n`;
}

if (process.argv[1] === import.meta.filename) {
  for (const file of LOCK_FILES.map((name) => join(ROOT, name)))
    writeFileSync(file, withoutEngines(readFileSync(file, 'utf8')));
}
