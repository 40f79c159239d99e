import { expect, test } from 'vitest';
import { createUseTable } from './use-table.ts';

const use = (forgottenFrom: number) => ({ second: 0, parts: 1000, forgottenFrom });

test('the table never holds more than its bound, and keeps what is asked for', () => {
  const table = createUseTable(100);
  for (let at = 0; at < 10_000; at += 1) {
    table.put(`key-${at}`, use(1_000_000), 0);
    table.find('key-0');
  }
  expect(table.size).toBe(100);
  expect(table.find('key-0')).toBeDefined();
});

test('what nothing depends on any more goes by itself as new keys come', () => {
  const table = createUseTable(10_000);
  for (let at = 0; at < 1000; at += 1) table.put(`old-${at}`, use(60), 0);
  for (let at = 0; at < 1000; at += 1) table.put(`new-${at}`, use(120), 60);
  expect(table.size).toBe(1000);
});
