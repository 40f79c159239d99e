import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';

/** A stranger's shell: the Node that is installed on the machine, which is often older than the one of npm run. */
export interface Shell {
  /** Its environment, for a process that is started without `run`. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs a script with `bash -e` in `folder`. A failure has what was printed before in its message. */
  run(script: string, folder: string, env?: NodeJS.ProcessEnv): Promise<{ stdout: string; stderr: string }>;
  /** The arguments of every program that was run so far: what everybody on the machine can read. */
  readonly seenArguments: () => string;
}

/** Programs that guides and examples hand values to. */
const WATCHED = ['curl', 'node', 'npm', 'openssl', 'sed', 'grep', 'gzip'];

export function openShell(): Shell {
  const shims = mkdtempSync(join(tmpdir(), 'gladhand-shell-'));
  onTestFinished(() => rmSync(shims, { recursive: true, force: true }));
  const log = join(shims, 'arguments');
  writeFileSync(log, '');
  const PATH = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
  PATH.push(dirname(process.execPath));
  for (const name of WATCHED) {
    const program = PATH.map((folder) => join(folder, name)).find((path) => existsSync(path));
    if (program === undefined) continue;
    // In one write, so that programs of one pipe do not mix theirs.
    const script = `#!/bin/sh\nprintf '%s\\n' "${name} $*" >>'${log}'\nexec '${program}' "$@"\n`;
    writeFileSync(join(shims, name), script, { mode: 0o755 });
  }
  const env = { ...process.env, PATH: [shims, ...PATH].join(delimiter) };
  return {
    env,
    seenArguments: () => readFileSync(log, 'utf8'),
    run: (script, folder, more = {}) =>
      promisify(execFile)('bash', ['-e', '-c', script], {
        cwd: folder,
        env: { ...env, ...more },
        maxBuffer: 64 * 1024 * 1024,
      }).catch((error: Error & { stdout: string; stderr: string }) => {
        throw new Error(`a command failed: ${error.stderr}\nwhat was printed before:\n${error.stdout.slice(-6_000)}`);
      }),
  };
}
