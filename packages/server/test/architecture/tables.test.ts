import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { WRITERS, WRITTEN_BY_NOBODY } from './house-rules.ts';
import { ROOT, readSources } from './source-tree.ts';

const HOME = 'server/src/';
const product = readSources().filter((file) => !file.isTest && file.path.startsWith(HOME));
const writes = product.flatMap(({ path, writes: found }) =>
  found.map(({ table, line }) => {
    const room = path.slice(HOME.length).split('/')[0]!;
    return { table, path, room, place: `packages/${path}:${line}` };
  }),
);

/** Every problem is a sentence that says where, what, and what to do instead. */
function expectNone(problems: readonly string[]): void {
  expect(problems, problems.join('\n')).toEqual([]);
}

test('a table is written by one room', () => {
  expectNone(
    writes
      .filter(({ table, room }) => WRITERS[table] !== room)
      .map(({ table, place }) => {
        if (table === '?')
          return `${place} writes a table that is not named there: name it, so that its writer can be told`;
        if (table in WRITERS)
          return `${place} writes ${table}, which only ${WRITERS[table]}/ writes: call a verb of that room, which has the statement`;
        return `${place} writes ${table}, which has no writer yet: name the room that writes it in WRITERS of house-rules.ts`;
      }),
  );
});

test('the list of who writes which table has every table, and no writer that writes nothing', () => {
  const schema = readFileSync(join(ROOT, 'packages', HOME, 'database/schema.ts'), 'utf8');
  const tables = [.../export interface Schema \{([^}]*)\}/.exec(schema)![1]!.matchAll(/^ {2}(\w+):/gm)].map(
    ([, name]) => name!,
  );
  expect(tables.length).toBeGreaterThan(20);
  const written = new Set(writes.map(({ table }) => table));
  expectNone([
    ...tables
      .filter((table) => !(table in WRITERS) && !(table in WRITTEN_BY_NOBODY))
      .map((table) => `${table}: name the room that writes it in WRITERS of house-rules.ts`),
    ...Object.entries(WRITERS)
      .filter(([table]) => !written.has(table))
      .map(([table, room]) => `${room}/ does not write ${table}: take it out of WRITERS of house-rules.ts`),
    ...Object.keys(WRITTEN_BY_NOBODY)
      .filter((table) => written.has(table))
      .map((table) => `${table} is written: move it from WRITTEN_BY_NOBODY to WRITERS of house-rules.ts`),
  ]);
});
