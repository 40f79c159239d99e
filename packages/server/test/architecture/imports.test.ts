import { expect, test } from 'vitest';
import {
  DOOR,
  IMPLEMENTATION,
  LIBRARIES,
  PORTS,
  PRINCIPAL,
  type Quarantine,
  ROOMS,
  type Row,
  USES,
} from './house-rules.ts';
import { readSources, type SourceFile } from './source-tree.ts';

const sources = readSources();
const product = sources.filter((file) => !file.isTest);
const known = new Map(sources.map((file) => [file.path, file]));

/** Every problem is a sentence that says where, what, and what to do instead. */
function expectNone(problems: readonly string[]): void {
  expect(problems, problems.join('\n')).toEqual([]);
}

/** `server/src/intake/accept.ts` is `intake/accept.ts`; of the other packages, `base/src/ids.ts` is `base/ids.ts`. */
const inHouse = (path: string) =>
  path.replace(/^(?:server\/src|([a-z]+)\/src)\//, (_, name?: string) => (name ? `${name}/` : ''));

/** The row of a file and, in a room or port, which one. Undefined: not a place the house knows. */
function placeOf(path: string): { row: Row; room: string } | undefined {
  const [room, ...rest] = inHouse(path).split('/') as [string, ...string[]];
  if (path === 'server/src/main.ts') return { row: 'app', room: 'app' };
  if (path === 'server/src/config.ts') return { row: 'config', room: 'config' };
  if (room === 'app' || room === 'edge' || room === 'base' || room === 'contract' || room === 'proofs')
    return { row: room, room };
  if (room in PORTS) return { row: 'port', room };
  if (!(room in ROOMS)) return undefined;
  return { row: DOOR.test(rest.join('/')) ? 'door' : 'room', room };
}

const BELOW: Readonly<Record<Row, readonly Row[]>> = {
  contract: [],
  base: ['contract'],
  port: ['base', 'contract'],
  room: ['port', 'base', 'contract'],
  edge: ['port', 'base', 'contract'],
  door: ['edge', 'port', 'base', 'contract'],
  config: ['base', 'contract'],
  app: ['config', 'door', 'edge', 'room', 'port', 'base', 'contract'],
  // It opens what it measures and kills by the same verbs as app/, and looks into what was stored.
  proofs: ['app', 'config', 'door', 'edge', 'room', 'port', 'base', 'contract'],
};

/** Why this import is not along the arrows; undefined when it is. */
function offence(from: string, to: string): string | undefined {
  const [here, there] = [placeOf(from), placeOf(to)];
  if (here === undefined || there === undefined) return undefined;
  if (to === PRINCIPAL && ['room', 'edge', 'door'].includes(here.row)) return undefined;
  if (BELOW[here.row].includes(there.row)) return undefined;
  if (here.room === there.room) {
    if (here.row === there.row || (here.row === 'door' && there.row === 'room')) return undefined;
    return 'a room does not know its doors: pass a value or a callback from the door';
  }
  if (there.row === 'door') return 'nobody but app/ opens doors: move what is needed into the room behind it';
  if (there.row === 'app' || there.row === 'config')
    return 'take the value as an argument; app/ builds and hands it in';
  if (there.row === 'edge')
    return 'rooms do not know the edge: throw a Fault, give plain values, and let the door answer';
  if (here.row === 'port' && there.row === 'port') {
    return PORTS[here.room]?.includes(there.room) ? undefined : `the port ${here.room} stands on its own`;
  }
  if ((here.row === 'room' || here.row === 'door') && there.row === 'room') {
    if (ROOMS[here.room]?.includes(there.room)) return undefined;
    const arrows = ROOMS[here.room]?.join(', ') || 'no other room';
    return `${here.room} may call ${arrows}: let app/ hand in a function, or meet in the store`;
  }
  return `${here.row} stands below ${there.row}: turn the dependency around`;
}

test('every source file stands in a room the house knows', () => {
  const lost = product.filter((file) => placeOf(file.path) === undefined);
  expectNone(
    lost.map(
      (file) =>
        `${file.path}: no such room; use one of ROOMS and PORTS in house-rules.ts, or draw a new one there and in ARCHITECTURE.md`,
    ),
  );
});

test('imports point down, and sideways only along the arrows', () => {
  expectNone(
    product.flatMap((file) =>
      file.imports
        .filter((one) => !one.isPackage)
        .flatMap((one) => {
          const why = offence(file.path, one.to);
          return why === undefined ? [] : [`${file.path}:${one.line} imports ${one.to}: ${why}`];
        }),
    ),
  );
});

test('no product file imports a test or what only tests need', () => {
  const isTest = (path: string) => known.get(path)?.isTest ?? false;
  expectNone(
    product.flatMap((file) =>
      file.imports
        .filter((one) => isTest(one.to))
        .map((one) => `${file.path}:${one.line} imports ${one.to}: move what is needed beside the product code`),
    ),
  );
});

test('a store is known to its own room only', () => {
  expectNone(
    product.flatMap((file) =>
      file.imports
        .filter(
          (one) =>
            /^server\/src\/[a-z-]+\/([a-z-]+-)?store\.ts$/.test(one.to) &&
            placeOf(one.to)?.room !== placeOf(file.path)?.room,
        )
        .filter(() => !['app', 'proofs'].includes(placeOf(file.path)?.row ?? ''))
        .map((one) => `${file.path}:${one.line} imports ${one.to}: call the room's verb instead of its tables`),
    ),
  );
});

test('only app/backends.ts chooses implementations of ports', () => {
  expectNone(
    product.flatMap((file) =>
      file.imports
        .filter((one) => IMPLEMENTATION.test(one.to) && placeOf(one.to)?.room !== placeOf(file.path)?.room)
        .filter(() => file.path !== 'server/src/app/backends.ts' && placeOf(file.path)?.row !== 'proofs')
        .map(
          (one) => `${file.path}:${one.line} imports ${one.to}: take the port's contract, opened by app/backends.ts`,
        ),
    ),
  );
});

test('no import goes round in a circle', () => {
  const state = new Map<string, 'open' | 'done'>();
  const circles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      circles.push(
        `${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}: move what both need into a file of its own, or hand it in`,
      );
      return;
    }
    state.set(path, 'open');
    const next = known.get(path)?.imports.filter((one) => !one.isTypeOnly && known.has(one.to)) ?? [];
    for (const one of next) visit(one.to, [...trail, path]);
    state.set(path, 'done');
  };
  for (const file of product) visit(file.path, []);
  expectNone(circles);
});

test('drivers and heavy libraries are imported where they are wrapped, and nowhere else', () => {
  const breaches = (file: SourceFile, rule: Quarantine) =>
    file.imports
      .filter((one) => one.isPackage && rule.names.includes(one.to) && !(rule.typesAreFree && one.isTypeOnly))
      .map((one) => `${file.path}:${one.line} imports ${one.to} (${rule.what}): ${rule.instead}`);
  expectNone(
    serverFiles().flatMap((file) =>
      LIBRARIES.filter((rule) => !rule.only.test(inHouse(file.path))).flatMap((rule) => breaches(file, rule)),
    ),
  );
});

test('SQL, environment, clock, timers and randomness stand where they can be replaced', () => {
  const breaches = (file: SourceFile, rule: Quarantine) =>
    file.uses
      .filter((use) => rule.names.includes(use.name))
      .map((use) => `${file.path}:${use.line} has ${use.name} (${rule.what}): ${rule.instead}`);
  expectNone(
    serverFiles().flatMap((file) =>
      USES.filter((rule) => !rule.only.test(inHouse(file.path))).flatMap((rule) => breaches(file, rule)),
    ),
  );
  const random = /^(randomUUID|randomBytes|randomInt|randomFillSync|getRandomValues)$/;
  expectNone(
    serverFiles()
      .filter((file) => file.path !== 'base/src/ids.ts')
      .flatMap((file) =>
        file.imports
          .filter((one) => one.to === 'node:crypto' && one.names.some((name) => random.test(name)))
          .map((one) => `${file.path}:${one.line} makes its own randomness: take \`Ids\` (base/ids.ts)`),
      ),
  );
});

test('the contract runs in a browser: it imports only itself and its two libraries', () => {
  const allowed = /^(typebox|@bufbuild\/protobuf)(\/|$)/;
  expectNone(
    product
      .filter((file) => file.path.startsWith('contract/'))
      .flatMap((file) =>
        file.imports
          .filter((one) => one.isPackage && !allowed.test(one.to))
          .map((one) => `${file.path}:${one.line} imports ${one.to}: keep the contract free of Node and of the server`),
      ),
  );
});

function serverFiles(): SourceFile[] {
  return product.filter((file) => !/^(contract|proofs)\//.test(file.path));
}
