import {
  NewPlanBody,
  PlanChangeBody,
  PlanListSchema,
  PlanSchema,
  ProductLimitBody,
  ProductLimitSchema,
} from '@gladhand/contract/limits.ts';
import { Type } from 'typebox';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { Nothing, originOf, personAccess, personSchema } from '../edge/person-route.ts';
import type { Plans } from './plans.ts';

/** The doors by which platform operators set limits: plans for customers, windows for the intake of products. */
const tag = 'Limits';
const planParams = Type.Object({ plan: Type.String({ description: 'The id or slug of a plan.' }) });
const productParams = Type.Object({ product: Type.String({ description: 'The name of a product.' }) });

export function registerPlanRoutes(http: Http, { plans }: { plans: Plans }): void {
  const config = personAccess('ADMIN');
  http.get(
    '/plans',
    {
      config,
      schema: {
        operationId: 'listPlans',
        ...personSchema(tag, 'List plans', { 200: PlanListSchema }),
        description: 'For platform operators.',
      },
    },
    async (request) => ({ data: await plans.list(personOf(request)) }),
  );
  http.post(
    '/plans',
    {
      config,
      schema: {
        operationId: 'createPlan',
        refusals: ['already-exists'],
        ...personSchema(tag, 'Make a plan', { 201: PlanSchema }),
        description: 'For platform operators. Put organizations on it with PATCH /organizations/{organization}.',
        body: NewPlanBody,
      },
    },
    async (request, reply) => {
      const made = await plans.create(personOf(request), request.body, originOf(request));
      reply.code(201).header('location', `/api/v1/plans/${made.id}`);
      return made;
    },
  );
  http.get(
    '/plans/:plan',
    {
      config,
      schema: {
        operationId: 'getPlan',
        refusals: ['not-found'],
        ...personSchema(tag, 'One plan', { 200: PlanSchema }),
        description: 'For platform operators.',
        params: planParams,
      },
    },
    (request) => plans.get(personOf(request), request.params.plan),
  );
  http.patch(
    '/plans/:plan',
    {
      config,
      schema: {
        operationId: 'updatePlan',
        refusals: ['not-found'],
        ...personSchema(tag, 'Change a plan', { 200: PlanSchema }),
        description:
          'For platform operators. Counts on every node within a second. Announce with `proposed` first: it is counted and refuses nobody.',
        params: planParams,
        body: PlanChangeBody,
      },
    },
    (request) => plans.change(personOf(request), request.params.plan, request.body, originOf(request)),
  );
  http.delete(
    '/plans/:plan',
    {
      config,
      schema: {
        operationId: 'deletePlan',
        refusals: ['not-found', 'plan-in-use'],
        ...personSchema(tag, 'Remove a plan', { 204: Nothing }),
        description: 'For platform operators. Refused while organizations are on it, and for `standard`.',
        params: planParams,
      },
    },
    async (request, reply) => {
      await plans.remove(personOf(request), request.params.plan, originOf(request));
      return reply.code(204).send(null);
    },
  );
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
    async (request) => plans.getProductLimit(personOf(request), request.params.product),
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
    (request) => plans.setProductLimit(personOf(request), request.params.product, request.body, originOf(request)),
  );
}
