import type { MappedRecord, MappingOutcome } from '../../mapping/mapped-record.ts';

/** Formats an outcome for `products try`: JSON, with times as text, as in fixtures. */
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
