import type { Cursors } from '@gladhand/base/cursor.ts';
import { NewUserBody, UserChangeBody, UserPageSchema, UserSchema } from '@gladhand/contract/organizations.ts';
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
import type { People } from './people.ts';

/** The doors by which people administer the users of an organization. */
export interface UserRoutesParts {
  readonly getReachable: GetReachable;
  readonly people: People;
  readonly cursors: Cursors;
}

const params = OrganizationParams;
const userParams = Type.Object({ ...params.properties, user: Type.String({ description: 'The id of a user.' }) });

const tag = 'Users';
const all = '/organizations/:organization/users';
const one = `${all}/:user`;

export function registerUserRoutes(http: Http, parts: UserRoutesParts): void {
  registerAllUsers(http, parts);
  registerOneUser(http, parts);
}

function registerAllUsers(http: Http, { getReachable, people, cursors }: UserRoutesParts): void {
  http.get(
    all,
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'listUsers',
        refusals: ['not-found'],
        ...personSchema(tag, 'List users', { 200: UserPageSchema }),
        params,
        querystring: PageQuery,
      },
    },
    async (request) => {
      const { id } = await getReachable(personOf(request), request.params.organization);
      return walkPage(cursors, { organizationId: id, query: 'admin/users' }, request.query, (walk) =>
        people.list(id, walk),
      );
    },
  );
  http.post(
    all,
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'createUser',
        refusals: ['not-found', 'already-exists'],
        ...personSchema(tag, 'Make a user', { 201: UserSchema }),
        params,
        body: NewUserBody,
      },
    },
    async (request, reply) => {
      const person = personOf(request);
      const { id } = await getReachable(person, request.params.organization);
      const user = await people.create(person, id, request.body, originOf(request));
      reply.code(201).header('location', `/api/v1/organizations/${id}/users/${user.id}`);
      return user;
    },
  );
}

function registerOneUser(http: Http, { getReachable, people }: UserRoutesParts): void {
  http.get(
    one,
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'getUser',
        refusals: ['not-found'],
        ...personSchema(tag, 'One user', { 200: UserSchema }),
        params: userParams,
      },
    },
    async (request) => {
      const { id } = await getReachable(personOf(request), request.params.organization);
      return people.get(id, request.params.user);
    },
  );
  http.patch(
    one,
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'updateUser',
        refusals: ['not-found', 'already-exists', 'last-admin'],
        ...personSchema(tag, 'Change a user', { 200: UserSchema }),
        description: 'A role above your own, your own role, and the last admin are refused.',
        params: userParams,
        body: UserChangeBody,
      },
    },
    async (request) => {
      const person = personOf(request);
      const { id } = await getReachable(person, request.params.organization);
      return people.change(person, id, request.params.user, request.body, originOf(request));
    },
  );
  http.delete(
    one,
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'deactivateUser',
        refusals: ['not-found', 'last-admin'],
        ...personSchema(tag, 'Deactivate a user', { 204: Nothing }),
        description: 'Ends every session of the user. The user stays, because the audit log names them.',
        params: userParams,
      },
    },
    async (request, reply) => {
      const person = personOf(request);
      const { id } = await getReachable(person, request.params.organization);
      await people.change(person, id, request.params.user, { isActive: false }, originOf(request));
      return reply.code(204).send(null);
    },
  );
}
