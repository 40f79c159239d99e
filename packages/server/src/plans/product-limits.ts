import { nothingHere } from '@gladhand/base/fault.ts';
import type { ProductLimit, ProductLimitChange } from '@gladhand/contract/limits.ts';
import type { Origin, Person } from '../access/principal.ts';
import { createRecordChange, type RecordChangeParts, refuseOthers } from './record-change.ts';
import * as store from './store.ts';

/** How platform operators set windows for the intake of products. The same promise as `Plans`. */
export interface ProductLimits {
  /** Throws `not-found`. */
  get(person: Person, product: string): ProductLimit;
  /** Throws `not-found`. */
  set(person: Person, product: string, change: ProductLimitChange, origin: Origin): Promise<ProductLimit>;
}

export interface ProductLimitsParts extends RecordChangeParts {
  readonly findProductLimit: (product: string) => ProductLimit | undefined;
}

export function createProductLimits(parts: ProductLimitsParts): ProductLimits {
  const recordChange = createRecordChange(parts);

  function get(person: Person, product: string): ProductLimit {
    refuseOthers(person);
    const limit = parts.findProductLimit(product);
    if (limit === undefined) throw nothingHere('product');
    return limit;
  }

  return {
    get,
    async set(person, product, wanted, origin) {
      const { mode } = get(person, product);
      const limit: ProductLimit = { product, mode, total: null, proposed: null, ...wanted, setBy: 'operator' };
      return recordChange(person, origin, async (trx, at) => {
        await store.putProductLimit(trx, limit, at);
        const target = { kind: 'product', id: product };
        return { result: limit, action: 'product-limit.changed', target, details: wanted };
      });
    },
  };
}
