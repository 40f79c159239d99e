import type { Cursors } from '@gladhand/base/cursor.ts';
import {
  NewOrganizationBody,
  OrganizationChangeBody,
  OrganizationPageSchema,
  OrganizationSchema,
} from '@gladhand/contract/organizations.ts';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { PageQuery } from '../edge/paging.ts';
import { OrganizationParams, originOf, personAccess, personSchema, walkPage } from '../edge/person-route.ts';
import type { Organizations } from './organizations.ts';

/** The doors by which people administer organizations. */
export interface OrganizationRoutesParts {
  readonly organizations: Organizations;
  readonly cursors: Cursors;
}

export function registerOrganizationRoutes(http: Http, { organizations, cursors }: OrganizationRoutesParts): void {
  const tag = 'Organizations';
  http.get(
    '/organizations',
    {
      config: personAccess('VIEWER'),
      schema: {
        operationId: 'listOrganizations',
        ...personSchema(tag, 'List organizations', { 200: OrganizationPageSchema }),
        description: 'Your own; for platform operators every one.',
        querystring: PageQuery,
      },
    },
    (request) => {
      const person = personOf(request);
      return walkPage(
        cursors,
        { organizationId: person.organizationId, query: 'admin/organizations' },
        request.query,
        (walk) => organizations.list(person, walk),
      );
    },
  );
  http.post(
    '/organizations',
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'createOrganization',
        refusals: ['already-exists'],
        ...personSchema(tag, 'Make a customer organization', { 201: OrganizationSchema }),
        description: 'For platform operators.',
        body: NewOrganizationBody,
      },
    },
    async (request, reply) => {
      const made = await organizations.create(personOf(request), request.body, originOf(request));
      reply.code(201).header('location', `/api/v1/organizations/${made.id}`);
      return made;
    },
  );
  http.get(
    '/organizations/:organization',
    {
      config: personAccess('VIEWER'),
      schema: {
        operationId: 'getOrganization',
        refusals: ['not-found'],
        ...personSchema(tag, 'One organization', { 200: OrganizationSchema }),
        params: OrganizationParams,
      },
    },
    (request) => organizations.getReachable(personOf(request), request.params.organization),
  );
  http.patch(
    '/organizations/:organization',
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'updateOrganization',
        refusals: ['not-found'],
        ...personSchema(tag, 'Change an organization', { 200: OrganizationSchema }),
        params: OrganizationParams,
        body: OrganizationChangeBody,
      },
    },
    async (request) => {
      const person = personOf(request);
      const found = await organizations.getReachable(person, request.params.organization);
      return organizations.change(person, found, request.body, originOf(request));
    },
  );
}
