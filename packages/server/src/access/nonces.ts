import type { Database } from '../database/database.ts';
import { createGroupCommit } from '../intake-log/group-commit.ts';
import { insertNonces, type NonceRow } from './nonce-store.ts';

/**
 * Nonces of signed requests. Promise: of all who `spend` the same nonce of a key, on whatever node and at whatever
 * time while it is kept, one is told true, and what was spent stays spent through a crash. One statement and one fsync
 * for as many as came during the fsync before. Fails closed: when the store does not answer, nobody is told true.
 */
export interface Nonces {
  /** Whether this is the first time. Kept until `expiresAt`, at least. */
  spend(nonce: NonceRow): Promise<boolean>;
}

const GROUP_ITEMS_MAX = 500;
const GROUP_BYTES_MAX = 1024 * 1024;

export function createNonces(database: Database): Nonces {
  const groups = createGroupCommit((nonces: readonly NonceRow[]) => spendAll(database, nonces), {
    itemsMax: GROUP_ITEMS_MAX,
    bytesMax: GROUP_BYTES_MAX,
    writersMax: 1,
  });
  return { spend: (nonce) => groups.push(nonce, nonce.nonce.length) };
}

async function spendAll(database: Database, nonces: readonly NonceRow[]): Promise<boolean[]> {
  const firsts = new Map<string, NonceRow>();
  for (const nonce of nonces) {
    const name = nameOf(nonce);
    if (!firsts.has(name)) firsts.set(name, nonce);
  }
  // In one order on every node: two groups that share nonces wait for each other in turn and never crosswise.
  const sorted = [...firsts].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, nonce]) => nonce);
  const fresh = new Set((await insertNonces(database, sorted)).map(nameOf));
  return nonces.map((nonce) => firsts.get(nameOf(nonce)) === nonce && fresh.has(nameOf(nonce)));
}

function nameOf(nonce: { readonly keyId: string; readonly nonce: string }): string {
  return `${nonce.keyId} ${nonce.nonce}`;
}
