import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { runGladhand } from '../gladhand.ts';
import { gateMapping, gateProduct, makeProductsFolder } from '../product-folder.ts';
import { type ServerProcess, startServer } from '../server-process.ts';

/** A product's life as an operator sees it: the command line and real servers, over files that change between them. */
const VIN = '1UYVS2533P7204518';

test('products check tells every fault of every file, and of the rest what it read', async () => {
  const folder = makeProductsFolder();
  folder.write('north/product.yaml', gateProduct('north', 'live', 'draft').replace('title: Yard gate', 'titel: Gate'));
  folder.write('north/mapping-1.yaml', gateMapping('kPa'));
  folder.write('south/product.yaml', gateProduct('south', 'live', 'draft'));
  folder.write('south/mapping-1.yaml', gateMapping());
  folder.write('south/mapping-2.yaml', gateMapping().replace('payload.mph', 'payload.'));
  folder.write('west/product.yaml', gateProduct('west', 'live', 'draft'));
  for (const version of [1, 2]) folder.write(`west/mapping-${version}.yaml`, gateMapping());
  const check = () => runGladhand(folder.directory, ['products', 'check', '--directory', '.']);
  const checked = await check();
  expect(checked.code).toBe(1);
  expect(checked.stdout).toMatch(/^west: version 1, sha256:\w{12}, Yard gate; version 2 is draft\n$/);
  expect([...checked.stderr.matchAll(/^ {2}(\S+#\S*): /gm)].map(([, place]) => place)).toEqual([
    'north/product.yaml#/title',
    'north/product.yaml#/titel',
    'north/mapping-1.yaml#/records/0/signals/gps.speedKph/unit',
    'south/mapping-2.yaml#/records/0/signals/gps.speedKph/value',
  ]);
  const nowhere = await runGladhand(folder.directory, ['products', 'check', '--directory', 'nowhere']);
  expect(nowhere).toEqual({
    code: 1,
    stdout: '',
    stderr: 'gladhand: There is no folder nowhere to read products from.\n',
  });
});

test('products try maps by the version and at the instant asked for, whatever is wrong elsewhere', async () => {
  const folder = makeProductsFolder();
  folder.write('gate/product.yaml', gateProduct('gate', 'live', 'draft', 'retired'));
  folder.write('gate/mapping-1.yaml', gateMapping('kPa'));
  folder.write('gate/mapping-2.yaml', gateMapping('m/s'));
  folder.write('gate/mapping-3.yaml', gateMapping());
  folder.write('other/product.yaml', 'no: product');
  folder.write('pass.json', JSON.stringify({ t: Date.UTC(2026, 10, 23) / 1000, mph: 10 }));
  const attempt = (...more: string[]) =>
    runGladhand(folder.directory, ['products', 'try', 'gate', 'pass.json', '--directory', '.', ...more]);
  const tried = await attempt('--version', '2', '--received-at', '2026-11-23T00:00:30Z');
  expect(JSON.parse(tried.stdout)).toMatchObject({ version: 2, records: [{ signals: { gps: { speedKph: 36 } } }] });
  expect([tried.code, tried.stderr.split('\n')[0]]).toEqual([
    0,
    'Another error in this product: gate/mapping-1.yaml#/records/0/signals/gps.speedKph/unit: kPa cannot be converted to km/h: it has another dimension (unit-dimension)',
  ]);
  // Received a year later the same payload is too old.
  const late = await attempt('--version', '2', '--received-at', '2027-11-23T00:00:30Z');
  expect(JSON.parse(late.stdout).rejects).toMatchObject([{ code: 'observed-at-out-of-range' }]);
  const refusals = await Promise.all([
    attempt(),
    attempt('--version', '3'),
    attempt('--version', '4'),
    attempt('--version', '2', '--received-at', '2026-11-23'),
  ]);
  expect(refusals.map(({ code, stdout }) => [code, stdout])).toEqual(refusals.map(() => [1, '']));
  for (const [at, sentence] of [
    'gate/mapping-1.yaml#/records/0/signals/gps.speedKph/unit',
    'Version 3 of gate is retired and no longer maps payloads. product.yaml lists 1 (live), 2 (draft), 3 (retired).',
    'gate has no single version 4. product.yaml lists',
    '--received-at is not valid: ',
  ].entries()) {
    expect(refusals[at]!.stderr).toContain(sentence);
    expect(refusals[at]!.stderr).not.toMatch(/^\s+at /m);
  }
});

/** A server on `directory` with the products of `own`, an admin's way into it, and a key for the product `gate`. */
async function openInstallation() {
  const own = makeProductsFolder();
  const directory = mkdtempSync(join(tmpdir(), 'gladhand-installation-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const env = { GLADHAND_PRODUCTS_DIRECTORY: own.directory };
  const start = () => startServer(['--no-demo', '--http-port', '0', '--grpc-port', '0'], { directory, env });
  const ready = async (server: ServerProcess) => /REST (\S+)/.exec(await server.waitFor(/is ready[\s\S]*\n\n/))![1]!;
  const refused = async (server: ServerProcess) => {
    const [code] = await new Promise<[number | null]>((resolve) => server.child.once('close', (at) => resolve([at])));
    return { code, said: server.said() };
  };
  return { own, directory, env, start, ready, refused };
}

async function call(base: string, path: string, headers: Record<string, string>, body?: object): Promise<any> {
  const answer = await fetch(`${base}/api/v1${path}`, {
    method: body === undefined && !path.endsWith('authenticate') ? 'GET' : 'POST',
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return answer.json();
}

test('a version that has mapped is frozen: the changed file is refused at start, the next version is not', async () => {
  const { own, directory, env, start, ready, refused } = await openInstallation();
  own.write('gate/product.yaml', gateProduct('gate', 'live'));
  own.write('gate/mapping-1.yaml', gateMapping());
  const first = start();
  const base = await ready(first);
  const admin = ['admin', 'create', '--email', 'a@example.com', '--name', 'A', '--password-stdin'];
  const password = 'a long password';
  expect((await runGladhand(directory, admin, { env, input: password })).code).toBe(0);
  const session = await call(base, '/auth/sign-in', {}, { email: 'a@example.com', password });
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const order = { partnerId: 'acme', name: 'Gate', scopes: ['telemetry:write', 'product:gate'] };
  const { apiKey, key } = await call(base, '/partner/api-keys', bearer(session.accessToken), order);
  const { accessToken } = await call(base, '/partners/authenticate', { 'x-api-key': key });
  const payload = { t: Math.floor(Date.now() / 1000), mph: 10 };
  const { receiptId } = await call(base, `/telemetry/intake/${VIN}`, bearer(accessToken), payload);
  await vi.waitUntil(
    async () => (await call(base, `/telemetry/receipts/${receiptId}`, bearer(accessToken))).status === 'unclaimed',
    { timeout: 30_000, interval: 50 },
  );
  await first.stop();

  own.write('gate/mapping-1.yaml', gateMapping('km/h'));
  const remedy = 'write mapping-2.yaml, and in product.yaml make version 2 live and 1 retired.';
  const changed = await refused(start());
  expect(changed.code).toBe(1);
  expect(changed.said).toContain('gate/mapping-1.yaml (or `decode` in gate/product.yaml) is not what it was');
  expect(changed.said).toContain(remedy);
  expect(changed.said).not.toMatch(/^\s+at /m);
  // Without a start: the same is told by the command line.
  expect((await runGladhand(directory, ['products', 'check'], { env })).code).toBe(0);
  const checked = await runGladhand(directory, ['products', 'check', '--frozen'], { env });
  expect([checked.code, checked.stderr.includes(remedy)]).toEqual([1, true]);

  own.write('gate/product.yaml', gateProduct('gate', 'retired', 'live'));
  own.write('gate/mapping-1.yaml', gateMapping());
  own.write('gate/mapping-2.yaml', gateMapping('km/h'));
  expect((await runGladhand(directory, ['products', 'check', '--frozen'], { env })).code).toBe(0);

  own.remove('gate');
  own.write('yard/product.yaml', gateProduct('yard', 'live'));
  own.write('yard/mapping-1.yaml', gateMapping());
  const second = start();
  await ready(second);
  const named = `gate: Gate (${apiKey.keyPrefix}..., id ${apiKey.id}) of operator`;
  for (const text of [second.said(), second.logged()]) {
    expect(text).toContain('These keys belong to products that are not installed');
    expect(text).toContain(named);
  }
}, 240_000);
