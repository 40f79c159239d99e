import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { INTAKE_CONTENT_ENCODINGS, INTAKE_CONTENT_TYPES } from '@gladhand/contract/intake.ts';
import type { ProductLimit } from '@gladhand/contract/limits.ts';
import { type ProductBody, ProductListSchema, ProductSchema } from '@gladhand/contract/products.ts';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Http } from '../edge/http.ts';
import { asJson } from '../edge/json.ts';
import { EXAMPLE_VIN, fillExample } from './example.ts';
import type { Product, Products } from './products.ts';

export interface ProductDoorParts {
  readonly products: Products;
  readonly clock: Clock;
  readonly bodyBytesMax: number;
  /** The limit in force for a product; undefined when there is no such product. */
  readonly findProductLimit: (name: string) => ProductLimit | undefined;
}

/**
 * The doors to products. A partner sees the product of its key and no other: another one is a 404, like one that does
 * not exist. Admins see all of them, because they make keys and a key names its product (decision 0012).
 */
export function registerProductRoutes(http: Http, parts: ProductDoorParts): void {
  const config = { access: { audience: 'partner', scopes: ['telemetry:write'], role: 'ADMIN' } } as const;
  const tags = ['Partner intake'];
  http.get(
    '/products',
    {
      config,
      schema: {
        operationId: 'listProducts',
        tags,
        summary: 'The products you may see',
        description: 'A key sees the one product it sends, admins see every product of the installation.',
        response: { 200: ProductListSchema },
      },
    },
    async (request) => {
      const visible = parts.products.all.filter((product) => isVisible(product, request));
      return { data: visible.map(({ name, title }) => ({ name, title })) };
    },
  );
  http.get(
    '/products/:product',
    {
      config,
      // Most of it is JSON of the product's own, of which nothing is known here.
      serializerCompiler: asJson,
      schema: {
        operationId: 'getProduct',
        refusals: ['not-found'],
        tags,
        summary: 'What a product takes: its schema, its limits and an example',
        description: 'Instants in the example are as of the answer, so that it can be sent as it is.',
        params: Type.Object({ product: Type.String({ description: 'The name of a product.' }) }),
        response: { 200: ProductSchema },
      },
    },
    async (request) => {
      const product = parts.products.find(request.params.product);
      const intakeLimit = product && parts.findProductLimit(product.name);
      if (product === undefined || intakeLimit === undefined || !isVisible(product, request))
        throw new Fault('not-found', 'There is no such product. GET /api/v1/products lists those that you may see.');
      return describeProduct(product, intakeLimit, parts);
    },
  );
}

function isVisible(product: Product, { principal }: FastifyRequest): boolean {
  return principal === null || principal.product === product.name;
}

function describeProduct(product: Product, intakeLimit: ProductLimit, parts: ProductDoorParts): ProductBody {
  const { name, title, mappingVersion, inputSchema, vinCheck, clockSkew } = product;
  const filling = { nowMs: parts.clock.nowMs(), vin: EXAMPLE_VIN };
  return {
    name,
    title,
    mappingVersion,
    inputSchema,
    vinCheck,
    clockSkew,
    intakeLimit,
    contentTypes: [...INTAKE_CONTENT_TYPES, ...(product.mediaTypes ?? [])],
    contentEncodings: [...INTAKE_CONTENT_ENCODINGS],
    bodyBytesMax: parts.bodyBytesMax,
    example: product.example === null ? null : { vin: EXAMPLE_VIN, payload: fillExample(product.example, filling) },
  };
}
