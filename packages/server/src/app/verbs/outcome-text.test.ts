import { expect, test } from 'vitest';
import { outcomeText } from './outcome-text.ts';

const record = { assetRef: { vin: '1UYVS2533P7204518' }, observedAtMs: 0, deviceAtMs: 1, signals: {} };

test('an outcome is printed with its version, instants as text, and the leaves that no line of the mapping used', () => {
  const outcome = { records: [record], rejects: [], skipped: 2, unused: ['/gate', '/passes/*/lane'] };
  expect(JSON.parse(outcomeText(3, outcome))).toEqual({
    version: 3,
    records: [
      {
        asset: { vin: '1UYVS2533P7204518' },
        observedAt: '1970-01-01T00:00:00.000Z',
        deviceAt: '1970-01-01T00:00:00.001Z',
        signals: {},
      },
    ],
    rejects: [],
    skipped: 2,
    unused: ['/gate', '/passes/*/lane'],
  });
  // Every leaf was used: that is said too. Not known: nothing is said.
  expect(JSON.parse(outcomeText(3, { ...outcome, unused: [] }))).toHaveProperty('unused', []);
  const { unused: _, ...unknown } = outcome;
  expect(JSON.parse(outcomeText(3, unknown))).not.toHaveProperty('unused');
});
