import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { ROOT } from '../architecture/source-tree.ts';

/** `redocly lint` with the committed redocly.yaml, as anybody would run it. */
const run = promisify(execFile);
const FILE = 'packages/contract/openapi.json';

interface Verdict {
  readonly totals: { readonly errors: number; readonly warnings: number; readonly ignored: number };
  readonly problems: readonly { readonly ruleId: string; readonly message: string }[];
}

async function lint(folder: string): Promise<Verdict> {
  const program = join(ROOT, 'node_modules/@redocly/cli/bin/cli.js');
  // It neither reports its use nor asks for newer versions.
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
  const { stdout } = await run(process.execPath, [program, 'lint', '--format=json'], { cwd: folder, env }).catch(
    (error: { stdout: string }) => error,
  );
  return JSON.parse(stdout);
}

test('Redocly has nothing to say about the OpenAPI document, neither errors nor warnings', async () => {
  const { totals, problems } = await lint(ROOT);
  expect(problems.map(({ ruleId, message }) => `${ruleId}: ${message}`)).toEqual([]);
  // What is let pass is still there; else its entry in .redocly.lint-ignore.yaml has to go.
  expect(totals).toEqual({ errors: 0, warnings: 0, ignored: 2 });
});

test('Redocly does look: a tag without a description and a reference to nothing are found', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gladhand-redocly-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const name of ['redocly.yaml', '.redocly.lint-ignore.yaml']) cpSync(join(ROOT, name), join(folder, name));
  mkdirSync(join(folder, 'packages/contract'), { recursive: true });
  const broken = readFileSync(join(ROOT, FILE), 'utf8')
    .replace(/"description": "Groups of trailers[^"]*"/, '"x-description": ""')
    .replace('#/components/schemas/FleetPage', '#/components/schemas/Nothing');
  writeFileSync(join(folder, FILE), broken);
  const { totals, problems } = await lint(folder);
  expect(problems.map(({ ruleId }) => ruleId).sort()).toEqual(['no-unresolved-refs', 'tag-description']);
  expect(totals).toEqual({ errors: 1, warnings: 1, ignored: 2 });
});
