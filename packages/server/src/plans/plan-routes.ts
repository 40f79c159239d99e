import { NewPlanBody, PlanChangeBody, PlanListSchema, PlanSchema } from '@gladhand/contract/limits.ts';
import { Type } from 'typebox';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { Nothing, originOf, personAccess, personSchema } from '../edge/person-route.ts';
import type { Plans } from './plans.ts';

/** The doors by which platform operators set limits for customers: plans. */
const tag = 'Limits';
const planParams = Type.Object({ plan: Type.String({ description: 'The id or slug of a plan.' }) });

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
}
