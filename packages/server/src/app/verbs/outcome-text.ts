import type { MappedRecord, MappingOutcome } from '../../mapping/mapped-record.ts';

/** What `products try` prints of an outcome: JSON, with instants as text as fixtures have them. */
export function outcomeText(
  version: number,
  outcome: MappingOutcome & { readonly unused?: readonly string[] },
): string {
  const { records, rejects, skipped, unused } = outcome;
  const text = { version, records: records.map(readable), rejects, skipped, ...(unused !== undefined && { unused }) };
  return JSON.stringify(text, null, 2);
}

function readable({ assetRef, observedAtMs, deviceAtMs, ...rest }: MappedRecord): object {
  const at = (ms: number) => new Date(ms).toISOString();
  const deviceAt = deviceAtMs === undefined ? {} : { deviceAt: at(deviceAtMs) };
  return { asset: assetRef, observedAt: at(observedAtMs), ...deviceAt, ...rest };
}
