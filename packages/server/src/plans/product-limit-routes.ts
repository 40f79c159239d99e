import { ProductLimitBody, ProductLimitSchema } from '@gladhand/contract/limits.ts';
import { Type } from 'typebox';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { originOf, personAccess, personSchema } from '../edge/person-route.ts';
import type { ProductLimits } from './product-limits.ts';

/** The doors by which platform operators set limits for partners: windows for the intake of products. */
const tag = 'Limits';
const productParams = Type.Object({ product: Type.String({ description: 'The name of a product.' }) });

export function registerProductLimitRoutes(http: Http, { productLimits }: { productLimits: ProductLimits }): void {
  const config = personAccess('ADMIN');
  http.get(
    '/products/:product/limit',
    {
      config,
      schema: {
        operationId: 'getProductLimit',
        refusals: ['not-found'],
        ...personSchema(tag, 'How much intake a product takes', { 200: ProductLimitSchema }),
        description: 'For platform operators. For each VIN or plant, and each organization that sends.',
        params: productParams,
      },
    },
    async (request) => productLimits.get(personOf(request), request.params.product),
  );
  http.put(
    '/products/:product/limit',
    {
      config,
      schema: {
        operationId: 'setProductLimit',
        refusals: ['not-found'],
        ...personSchema(tag, 'Set how much intake a product takes', { 200: ProductLimitSchema }),
        description:
          "For platform operators. Holds instead of the product file's `intakeLimit`, on every node within a second. Announce with `proposed` first: it is counted and refuses nobody. Left out, `mode` stays, and `total` and `proposed` are null.",
        params: productParams,
        body: ProductLimitBody,
      },
    },
    (request) => productLimits.set(personOf(request), request.params.product, request.body, originOf(request)),
  );
}
