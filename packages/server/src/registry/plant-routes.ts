import { PlantListQuery, PlantListSchema } from '@gladhand/contract/plants.ts';
import { PlantSchema } from '@gladhand/contract/registration.ts';
import type { FastifyRequest } from 'fastify';
import { idPath } from '../edge/customer-read.ts';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { found } from './not-found.ts';
import type { Registry } from './registry.ts';

/**
 * The doors to plants, for keys (as a token or as they are, in X-API-KEY) and for people. A key that is restricted to
 * some plants sees the others as if they did not exist. Paths are relative: the app registers them under `/api/v1`.
 */
const config = {
  access: { audience: 'any', scopes: ['plants:read'], takesApiKey: true, role: 'VIEWER' },
  errors: 'envelope',
} as const;
const common = {
  tags: ['Plants'],
  security: [{ bearer: [] }, { apiKey: [] }, { session: [] }],
};

export function registerPlantRoutes(http: Http, { registry }: { registry: Registry }): void {
  http.get(
    '/plants',
    {
      config,
      schema: {
        ...common,
        operationId: 'listPlants',
        summary: 'The plants you may see',
        querystring: PlantListQuery,
        response: { 200: PlantListSchema },
      },
    },
    (request) => {
      const { page = 1, limit = 20 } = request.query;
      return registry.listPlants(viewOf(request), { page, limit });
    },
  );
  http.get(
    '/plants/:plant',
    {
      config,
      schema: {
        ...common,
        operationId: 'getPlant',
        refusals: ['not-found'],
        summary: 'One plant',
        params: idPath('plant', 'The id of a plant.'),
        response: { 200: PlantSchema },
      },
    },
    async (request) => found('plant', await registry.findPlant(viewOf(request), request.params.plant)),
  );
}

function viewOf(request: FastifyRequest) {
  const { organizationId, plantIds } = request.principal ?? { ...personOf(request), plantIds: null };
  return { organizationId, plantIds };
}
