import { join } from 'node:path';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { expect, test } from 'vitest';
import { gateMapping, gateProduct, makeProductsFolder } from '../../test/product-folder.ts';
import { loadProducts, readProductFolders } from './products.ts';
import { hashMapping } from './read-product.ts';

const faultsOf = (...directories: string[]) =>
  readProductFolders(...directories).flatMap(({ faults }) =>
    faults.map(({ file, pointer, code }) => `${file}#${pointer} ${code}`),
  );

test.each(['draft', 'certified', 'live'])('the mapping of a version that is %s is checked', (state) => {
  const { directory, write } = makeProductsFolder();
  const states = state === 'live' ? ['live'] : ['live', state];
  write('gate/product.yaml', gateProduct('gate', ...states));
  for (const [at] of states.entries()) write(`gate/mapping-${at + 1}.yaml`, gateMapping());
  expect(faultsOf(directory)).toEqual([]);
  write(`gate/mapping-${states.length}.yaml`, gateMapping('kPa'));
  expect(faultsOf(directory)).toEqual([
    `gate/mapping-${states.length}.yaml#/records/0/signals/gps.speedKph/unit unit-dimension`,
  ]);
  expect(() => loadProducts(directory)).toThrow(StartRefusal);
});

test('a retired version has to be there, and need not compile for ever', () => {
  const { directory, write, remove } = makeProductsFolder();
  write('gate/product.yaml', gateProduct('gate', 'retired', 'live'));
  write('gate/mapping-1.yaml', gateMapping('a unit of old'));
  write('gate/mapping-2.yaml', gateMapping());
  expect(loadProducts(directory).find('gate')!.versions).toMatchObject([
    { version: 1, state: 'retired', mapping: undefined },
    { version: 2, state: 'live' },
  ]);
  remove('gate/mapping-1.yaml');
  expect(faultsOf(directory)).toEqual(['gate/mapping-1.yaml# required']);
});

test('every fault of every file of every product is found at once, whatever else is wrong', () => {
  const { directory, write } = makeProductsFolder();
  write('a/product.yaml', gateProduct('b', 'draft', 'draft').replace('type: integer', 'type: int'));
  write('a/mapping-1.yaml', 'records: [');
  write('a/mapping-2.yaml', gateMapping('kPa').replace('payload.t', 'load.t'));
  // Its shape is wrong, so its mappings are found by their names.
  write('c/product.yaml', gateProduct('c', 'live').replace('vinCheck: mark', 'vinCheck: never\nspeed: 1'));
  write('c/mapping-1.yaml', gateMapping('nonsense'));
  write('d/mapping-1.yaml', 'a: &a [*a, *a]\nb: *c');
  write('e/product.yaml', gateProduct('e', 'live'));
  write('e/mapping-1.yaml', gateMapping());
  expect(faultsOf(directory)).toEqual([
    'a/product.yaml#/name value',
    'a/product.yaml#/versions value',
    'a/product.yaml#/inputSchema schema',
    'a/mapping-1.yaml# yaml',
    'a/mapping-2.yaml#/records/0/observedAt/value expression-variable',
    'a/mapping-2.yaml#/records/0/signals/gps.speedKph/unit unit-dimension',
    'c/product.yaml#/speed unexpected',
    'c/product.yaml#/vinCheck value',
    'c/mapping-1.yaml#/records/0/signals/gps.speedKph/unit unit-unknown',
    'd/product.yaml# required',
    'd/mapping-1.yaml# yaml',
  ]);
});

test('of a document with very many faults every one is told', () => {
  const { directory, write } = makeProductsFolder();
  const unknown = Array.from({ length: 50 }, (_, at) => `field${at}: 1`).join('\n');
  write('gate/product.yaml', `${gateProduct('gate', 'live')}${unknown}\n`);
  write('gate/mapping-1.yaml', gateMapping());
  expect(faultsOf(directory)).toHaveLength(50);
});

test('a folder that is none, has no product or is itself a product is a sentence', () => {
  const { directory, write } = makeProductsFolder();
  const load = (folder: string) => () => loadProducts(folder);
  expect(load(join(directory, 'nowhere'))).toThrow(
    new StartRefusal(`There is no folder ${join(directory, 'nowhere')} to read products from.`),
  );
  write('file', '');
  expect(load(join(directory, 'file'))).toThrow('There is no folder');
  write('.git/config', '');
  expect(load(directory)).toThrow(
    new StartRefusal(`There is no product in ${directory}: each is a folder with a product.yaml.`),
  );
  write('gate/product.yaml', gateProduct('gate', 'live'));
  write('gate/mapping-1.yaml', gateMapping());
  expect(load(join(directory, 'gate'))).toThrow('is the folder of one product: name the folder that it stands in.');
  expect(loadProducts(directory).all).toHaveLength(1);
});

test('products of two folders are read together, and a name stands in one of them only', () => {
  const [shipped, own] = [makeProductsFolder(), makeProductsFolder()];
  for (const [folder, name] of [
    [shipped, 'b'],
    [own, 'a'],
  ] as const) {
    folder.write(`${name}/product.yaml`, gateProduct(name, 'live'));
    folder.write(`${name}/mapping-1.yaml`, gateMapping());
  }
  expect(loadProducts(shipped.directory, own.directory).all.map(({ name }) => name)).toEqual(['a', 'b']);
  own.write('b/product.yaml', gateProduct('b', 'live'));
  own.write('b/mapping-1.yaml', gateMapping());
  expect(faultsOf(shipped.directory, own.directory)).toEqual(['b/product.yaml# assigned-twice']);
});

test('the content hash follows what decides the meaning, and nothing else', () => {
  const document = { format: 'gladhand.mapping/v1', records: [{ signals: { 'gps.speedKph': 'payload.a' } }] };
  const hash = hashMapping(document, []);
  const reordered = { records: document.records, description: 'for people', format: document.format };
  expect(hashMapping(reordered, [])).toBe(hash);
  expect(hashMapping(document, [{ step: 'senml' }])).not.toBe(hash);
  expect(hashMapping({ ...document, records: [...document.records, ...document.records] }, [])).not.toBe(hash);
});
