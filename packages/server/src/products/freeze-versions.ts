import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import type { Kysely } from 'kysely';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';
import type { Products } from './products.ts';
import { freezeVersion, listFrozenVersions } from './store.ts';

/**
 * A mapping version that has mapped a payload is frozen. Promise: under one version number the same payload always
 * becomes the same record, over restarts and on every node. A start refuses files that have changed since
 * (`refuseChangedVersions`), and so does the mapper (`createVersionFreeze`), for files that changed while the server
 * ran and for nodes with different files. Its content is the mapping document and the decode steps of its product.
 */
export class VersionChanged extends StartRefusal {
  constructor(changes: readonly string[]) {
    super(`Mapping versions that have mapped payloads were changed:\n${changes.join('\n')}`);
    this.name = 'VersionChanged';
  }
}

/** Compares every version of the installed products with what it was when it first mapped. Throws `VersionChanged`. */
export async function refuseChangedVersions(database: Database, products: Products): Promise<void> {
  const changes = (await listFrozenVersions(database)).flatMap(({ product, version, hash, firstMappedAt }) => {
    const installed = products.find(product)?.versions.find((one) => one.version === version);
    if (installed === undefined || installed.hash === hash) return [];
    return [describeChange(products, { product, version, since: firstMappedAt })];
  });
  if (changes.length > 0) throw new VersionChanged(changes);
}

/** Called in the transaction that stores what was mapped. */
export type FreezeVersions = (
  trx: Kysely<Schema>,
  mapped: readonly { readonly envelope: { readonly product: string }; readonly mappingVersion: number | null }[],
  nowMs: number,
) => Promise<void>;

/**
 * Freezes the versions that map. Throws `VersionChanged`, which undoes the transaction, when a version was frozen with
 * another content. A version that is known to be frozen costs no statement.
 */
export function createVersionFreeze(products: Products): FreezeVersions {
  const known = new Set<string>();
  return async (trx, mapped, nowMs) => {
    const used = new Map(
      mapped.flatMap(({ envelope: { product }, mappingVersion: version }) =>
        version === null ? [] : [[`${product} ${version}`, { product, version }] as const],
      ),
    );
    for (const [name, { product, version }] of used) {
      const hash = products.find(product)?.mappingHash;
      if (hash === undefined || known.has(name)) continue;
      const frozen = await freezeVersion(trx, { product, version, hash, firstMappedAt: new Date(nowMs) });
      if (frozen.hash !== hash) throw new VersionChanged([describeChange(products, { product, version })]);
      // A new one is only known once this transaction has committed: the next one finds it.
      if (!frozen.isNew) known.add(name);
    }
  };
}

function describeChange(products: Products, change: { product: string; version: number; since?: Date }): string {
  const { product, version, since } = change;
  const next = Math.max(...(products.find(product)?.versions ?? []).map((one) => one.version), version) + 1;
  const when = since === undefined ? '' : `, at ${since.toISOString()}`;
  return `  ${product}/mapping-${version}.yaml (or \`decode\` in ${product}/product.yaml) is not what it was when it mapped its first payload${when}. Restore it. To change what ${product} means, write mapping-${next}.yaml, and in product.yaml make version ${next} live and ${version} retired.`;
}
