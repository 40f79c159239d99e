import { isUuid } from '@gladhand/base/ids.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { AssetName } from './asset-store.ts';

/** What a text of a request may name; null: it is written like no name of that sort. */
export function idOf(text: string): { id: string } | null {
  return isUuid(text) ? { id: text.toLowerCase() } : null;
}

export function idOrVinOf(text: string): AssetName | null {
  const read = normalizeVin(text);
  return idOf(text) ?? (read.ok ? { vin: read.vin } : null);
}

/** An id, a VIN or a serial number. */
export function unitNameOf(text: string): AssetName | null {
  const id = idOf(text);
  if (id !== null) return id;
  const read = normalizeVin(text);
  // PostgreSQL's text has no NUL, and no serial number has a control character.
  if (/\p{Cc}/u.test(text)) return null;
  return { serialNumber: text, ...(read.ok && { vin: read.vin }) };
}
