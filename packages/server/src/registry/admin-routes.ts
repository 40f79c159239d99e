import type { Cursors } from '@gladhand/base/cursor.ts';
import { Type } from 'typebox';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { PageQuery } from '../edge/paging.ts';
import {
  type GetReachable,
  Nothing,
  OrganizationParams,
  originOf,
  personAccess,
  personSchema,
  walkPage,
} from '../edge/person-route.ts';
import type { Administration } from './administer.ts';
import { KINDS, type Kind } from './kinds.ts';

const TAG = 'Registration';

/**
 * The doors by which people administer what an organization owns: five routes for each of five kinds, under the
 * organization whose they are. Viewers read, operators write. Whatever the person may not see is answered as if it did
 * not exist.
 */
export interface RegistryAdminParts {
  readonly administration: Administration;
  readonly cursors: Cursors;
  readonly getReachable: GetReachable;
}

export function registerRegistryAdminRoutes(http: Http, parts: RegistryAdminParts): void {
  for (const kind of KINDS) {
    for (const register of [registerList, registerCreate, registerGet, registerChange, registerRetire])
      register(http, parts, kind);
  }
}

const allPath = ({ path }: Kind) => `/organizations/:organization/${path}`;
const onePath = (kind: Kind) => `${allPath(kind)}/:id`;

const oneParams = ({ one }: Kind) =>
  Type.Object({ ...OrganizationParams.properties, id: Type.String({ description: `The id of a ${one}.` }) });

function registerList(http: Http, { administration, cursors, getReachable }: RegistryAdminParts, kind: Kind): void {
  http.get(
    allPath(kind),
    {
      config: personAccess('VIEWER'),
      schema: {
        operationId: `listOrganization${kind.noun}s`,
        refusals: ['not-found'],
        ...personSchema(TAG, `List ${kind.many}`, { 200: kind.page }),
        params: OrganizationParams,
        querystring: PageQuery,
      },
    },
    async (request) => {
      const { id } = await getReachable(personOf(request), request.params.organization);
      return walkPage(cursors, { organizationId: id, query: `admin/${kind.path}` }, request.query, (walk) =>
        kind.of(administration).list(id, walk),
      ) as never;
    },
  );
}

function registerCreate(http: Http, { administration, getReachable }: RegistryAdminParts, kind: Kind): void {
  http.post(
    allPath(kind),
    {
      config: personAccess('OPERATOR'),
      schema: {
        operationId: `register${kind.noun}`,
        refusals: ['not-found', ...kind.refusals],
        ...personSchema(TAG, `Register a ${kind.one}`, { 201: kind.item }),
        params: OrganizationParams,
        body: kind.order,
      },
    },
    async (request, reply) => {
      const { id } = await getReachable(personOf(request), request.params.organization);
      const item = await kind.of(administration).create(id, request.body, originOf(request));
      reply.code(201).header('location', `/api/v1/organizations/${id}/${kind.path}/${item.id}`);
      return item as never;
    },
  );
}

function registerGet(http: Http, { administration, getReachable }: RegistryAdminParts, kind: Kind): void {
  http.get(
    onePath(kind),
    {
      config: personAccess('VIEWER'),
      schema: {
        operationId: `getOrganization${kind.noun}`,
        refusals: ['not-found'],
        ...personSchema(TAG, `One ${kind.one}`, { 200: kind.item }),
        params: oneParams(kind),
      },
    },
    async (request) => {
      const { id } = await getReachable(personOf(request), request.params.organization);
      return (await kind.of(administration).get(id, request.params.id)) as never;
    },
  );
}

function registerChange(http: Http, { administration, getReachable }: RegistryAdminParts, kind: Kind): void {
  http.patch(
    onePath(kind),
    {
      config: personAccess('OPERATOR'),
      schema: {
        operationId: `update${kind.noun}`,
        refusals: ['not-found'],
        ...personSchema(TAG, `Change a ${kind.one}`, { 200: kind.item }),
        params: oneParams(kind),
        body: kind.change,
      },
    },
    async (request) => {
      const { id } = await getReachable(personOf(request), request.params.organization);
      return (await kind.of(administration).change(id, request.params.id, request.body, originOf(request))) as never;
    },
  );
}

function registerRetire(http: Http, { administration, getReachable }: RegistryAdminParts, kind: Kind): void {
  http.delete(
    onePath(kind),
    {
      config: personAccess('OPERATOR'),
      schema: {
        operationId: `retire${kind.noun}`,
        refusals: ['not-found'],
        ...personSchema(TAG, `Take a ${kind.one} out of service`, { 204: Nothing }),
        description: 'Nothing is deleted: it stays readable with `isActive: false`, and so does its telemetry.',
        params: oneParams(kind),
      },
    },
    async (request, reply) => {
      const { id } = await getReachable(personOf(request), request.params.organization);
      await kind.of(administration).retire(id, request.params.id, originOf(request));
      return reply.code(204).send(null);
    },
  );
}
