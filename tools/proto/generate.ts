import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Lints the proto and regenerates packages/contract/src/gen from it. With `--check` it changes nothing and exits 1
 * when the committed code is not what the proto generates. Needs `npm ci` in this folder first, and no network.
 */
const here = import.meta.dirname;
const source = join(here, '../../packages/contract/proto');
const committed = join(here, '../../packages/contract/src/gen');

function buf(...args: string[]): void {
  const bin = join(here, 'node_modules/@bufbuild/buf/bin/buf');
  if (!existsSync(bin)) throw new Error('Run `npm ci` in tools/proto first.');
  const run = spawnSync(process.execPath, [bin, ...args], { cwd: here, stdio: 'inherit' });
  if (run.status !== 0) process.exit(1);
}

function read(folder: string): Map<string, string> {
  const paths = globSync('**/*.ts', { cwd: folder }).sort();
  return new Map(paths.map((path) => [path, readFileSync(join(folder, path), 'utf8')]));
}

const work = mkdtempSync(join(tmpdir(), 'gladhand-proto-'));
try {
  buf('lint', source, '--config', 'buf.yaml');
  buf('generate', source, '--config', 'buf.yaml', '--template', 'buf.gen.yaml', '--output', work);
  if (process.argv.includes('--check')) {
    const wanted = read(work);
    const found = existsSync(committed) ? read(committed) : new Map<string, string>();
    const differing = [...new Set([...wanted.keys(), ...found.keys()])].filter(
      (path) => wanted.get(path) !== found.get(path),
    );
    if (differing.length > 0) {
      console.error(
        `packages/contract/src/gen is not what the proto generates: ${differing.join(', ')}\nRun \`npm run generate\` in tools/proto and commit the result.`,
      );
      process.exitCode = 1;
    } else {
      console.log(`proto: lint clean, ${wanted.size} generated files up to date`);
    }
  } else {
    rmSync(committed, { recursive: true, force: true });
    cpSync(work, committed, { recursive: true });
    console.log(`proto: ${read(committed).size} files written to packages/contract/src/gen`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
