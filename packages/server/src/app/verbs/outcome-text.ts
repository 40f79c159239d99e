import type { MappedRecord, MappingOutcome } from '../../mapping/mapped-record.ts';

/** What `products try` prints of an outcome: JSON, with instants as text as fixtures have them. */
export function outcomeText(version: number, outcome: MappingOutcome): string {
  const { records, rejects, skipped, leaves } = outcome;
  return JSON.stringify({ version, records: records.map(readable), rejects, skipped, leaves }, null, 2);
}

function readable(record: MappedRecord): object {
  const { assetRef, observedAtMs, deviceAtMs, isIdentifiedByDeviceAt: _identified, ...rest } = record;
  const at = (ms: number) => new Date(ms).toISOString();
  const deviceAt = deviceAtMs === undefined ? {} : { deviceAt: at(deviceAtMs) };
  return { asset: assetRef, observedAt: at(observedAtMs), ...deviceAt, ...rest };
}
