import { expect, test } from 'vitest';
import { outcomeText } from './outcome-text.ts';

const record = { assetRef: { vin: '1UYVS2533P7204518' }, observedAtMs: 0, deviceAtMs: 1, signals: {} };

test('an outcome is printed with its version, with times as text, and with the counts of its leaves', () => {
  const leaves = { taken: 3, skipped: 0, leftOut: 0, rejected: 0, unused: 2 };
  const paths = { leftOutPaths: [], unusedPaths: ['/gate', '/passes/*/lane'] };
  const outcome = {
    records: [record],
    rejects: [],
    rejectsTotal: 0,
    skipped: 2,
    leaves: { ...leaves, ...paths },
    dependsOnArrival: false,
  };
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
    leaves: { ...leaves, ...paths },
  });
});
