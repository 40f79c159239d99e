import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openTestApp } from '../app.ts';
import { ROOT } from '../architecture/source-tree.ts';
import { operations } from './operations.ts';

/** A client that a well-known generator makes of openapi.json: it compiles, it has our names, and it works. */
const run = promisify(execFile);
const BIN = join(ROOT, 'node_modules/.bin');

const COMPILER_OPTIONS = {
  target: 'es2024',
  lib: ['es2024', 'dom', 'dom.iterable'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  types: ['node'],
  strict: true,
  noUncheckedIndexedAccess: true,
  noImplicitReturns: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  allowImportingTsExtensions: true,
  noEmit: true,
};

/** The generated client, and the programs that use it. */
const folder = mkdtempSync(join(tmpdir(), 'gladhand-client-'));
afterAll(() => rmSync(folder, { recursive: true }));

beforeAll(async () => {
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  cpSync(join(ROOT, 'tools/client/round-trip.ts'), join(folder, 'round-trip.ts'));
  await run(join(BIN, 'oazapfts'), [join(ROOT, 'packages/contract/openapi.json'), join(folder, 'gladhand.ts')]);
});

/** What the compiler complains of. */
async function compile(...files: string[]): Promise<string> {
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files }));
  const outcome = await run(join(BIN, 'tsc'), ['-p', folder]).catch((error: { stdout: string }) => error);
  return outcome.stdout;
}

test('a generated client compiles in strict mode, has a function for each operation, and does the main job', async () => {
  expect(await compile('round-trip.ts')).toBe('');
  const client = (await import(join(folder, 'gladhand.ts'))) as Record<string, unknown>;
  for (const { operation } of operations) expect(client[operation.operationId]).toBeTypeOf('function');

  const { base, operatorId, customerId, registry, issueKey } = await openTestApp();
  const vin = '1UYVS2533P7204518';
  const fleet = await registry.createFleet(customerId, { name: 'Dry freight' });
  await registry.createTrailer(customerId, { vin, name: 'Trailer', fleetId: fleet.id });
  const partnerKey = await issueKey(operatorId, 'partner', ['telemetry:write', 'product:deliversafe']);
  const customerKey = await issueKey(customerId, 'customer', ['fleets:read', 'telemetry:read']);
  const program = [join(folder, 'round-trip.ts'), base, partnerKey, customerKey, vin];
  const { stdout } = await run(process.execPath, program);
  expect(JSON.parse(stdout)).toEqual({
    receipt: 'processed',
    refused: '/path/vin',
    missing: 'not-found',
    fleets: ['Dry freight'],
    moving: [true],
  });
});

test('the client knows what an operation can answer: other codes, statuses and names do not compile', async () => {
  const wrong = `
    import * as gladhand from './gladhand.ts';
    const refused = await gladhand.getFleet('x');
    if (refused.status === 404 && refused.data.code === 'invalid-vin') console.log('never');
    if (refused.status === 409) console.log('never');
    await gladhand.getFleets();
  `;
  writeFileSync(join(folder, 'wrong.ts'), wrong);
  const complaints = (await compile('wrong.ts')).match(/wrong\.ts\(\d+,\d+\): error TS\d+/g);
  expect(complaints?.map((line) => line.replace(/,\d+/, ''))).toEqual([
    'wrong.ts(4): error TS2367',
    'wrong.ts(5): error TS2367',
    'wrong.ts(6): error TS2551',
  ]);
});
