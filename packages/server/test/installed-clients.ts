import { spawnSync } from 'node:child_process';

/**
 * Clients of LiveFeed that do not come with npm: a Python with grpcio and grpcio-tools, and grpcurl. Undefined where
 * there is none; the tests of it are skipped then, and say so.
 */
export const python = find('a Python with grpcio and grpcio-tools', process.env['GLADHAND_TEST_PYTHON'] ?? 'python3', [
  '-c',
  'import grpc, grpc_tools',
]);

export const grpcurl = find('grpcurl', process.env['GLADHAND_TEST_GRPCURL'] ?? 'grpcurl', ['-version']);

function find(what: string, program: string, trial: readonly string[]): string | undefined {
  if (spawnSync(program, trial, { stdio: 'ignore' }).status === 0) return program;
  console.warn(`SKIPPED: some tests of LiveFeed's clients need ${what}, and ${program} is none`);
  return undefined;
}
