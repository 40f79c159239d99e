import { ACTION_PATTERN, AuditPageSchema } from '@gladhand/contract/audit.ts';
import {
  NewOrganizationBody,
  NewUserBody,
  OrganizationChangeBody,
  OrganizationPageSchema,
  OrganizationSchema,
  UserChangeBody,
  UserPageSchema,
  UserSchema,
} from '@gladhand/contract/organizations.ts';
import { Type } from 'typebox';
import type { Cursors } from '../base/cursor.ts';
import type { Database } from '../database/database.ts';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { InstantText, PageQuery, readPlace, readRange, TAKE_DEFAULT } from '../edge/paging.ts';
import { Nothing, originOf, personAccess, personSchema, walkPage } from '../edge/person-route.ts';
import type { Organizations } from './organizations.ts';
import type { People } from './people.ts';
import { listAudit } from './read-audit.ts';

/** The doors by which people administer organizations, the users in them, and read who did what. */
export interface OrganizationRoutesParts {
  readonly database: Database;
  readonly organizations: Organizations;
  readonly people: People;
  readonly cursors: Cursors;
}

const AuditQuery = Type.Object(
  {
    ...PageQuery.properties,
    from: Type.Optional(InstantText),
    to: Type.Optional(InstantText),
    action: Type.Optional(
      Type.String({ pattern: ACTION_PATTERN, maxLength: 100, description: 'One action only, such as user.created.' }),
    ),
  },
  { additionalProperties: false },
);

const organization = { organization: Type.String({ description: 'The id or slug of an organization.' }) };
const params = Type.Object(organization);
const userParams = Type.Object({ ...organization, user: Type.String({ description: 'The id of a user.' }) });

export function registerOrganizationRoutes(http: Http, parts: OrganizationRoutesParts): void {
  registerOrganizations(http, parts);
  registerUsers(http, parts);
  registerAudit(http, parts);
}

function registerOrganizations(http: Http, { organizations, cursors }: OrganizationRoutesParts): void {
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
        params,
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
        params,
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

function registerUsers(http: Http, { organizations, people, cursors }: OrganizationRoutesParts): void {
  const tag = 'Users';
  const all = '/organizations/:organization/users';
  const one = `${all}/:user`;
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
      const { id } = await organizations.getReachable(personOf(request), request.params.organization);
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
      const { id } = await organizations.getReachable(person, request.params.organization);
      const user = await people.create(person, id, request.body, originOf(request));
      reply.code(201).header('location', `/api/v1/organizations/${id}/users/${user.id}`);
      return user;
    },
  );
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
      const { id } = await organizations.getReachable(personOf(request), request.params.organization);
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
      const { id } = await organizations.getReachable(person, request.params.organization);
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
      const { id } = await organizations.getReachable(person, request.params.organization);
      await people.change(person, id, request.params.user, { isActive: false }, originOf(request));
      return reply.code(204).send(null);
    },
  );
}

function registerAudit(http: Http, { database, organizations, cursors }: OrganizationRoutesParts): void {
  http.get(
    '/organizations/:organization/audit',
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'listAuditEvents',
        refusals: ['not-found'],
        ...personSchema('Audit log', 'Who did what', { 200: AuditPageSchema }),
        description: 'Newest first. [from, to). `hash` chains the events: `gladhand audit verify` walks them.',
        params,
        querystring: AuditQuery,
      },
    },
    async (request) => {
      const { id } = await organizations.getReachable(personOf(request), request.params.organization);
      const { take = TAKE_DEFAULT, next, action } = request.query;
      const range = readRange(request.query);
      const binding = { organizationId: id, query: `admin/audit ${range.fromMs} ${range.toMs} ${action}` };
      const beforeSequence = (readPlace(cursors, binding, next)?.[0] as number | undefined) ?? null;
      const page = await listAudit(database, id, { ...range, action: action ?? null, beforeSequence, take });
      const data = page.items.map(({ event: { organizationId: _own, ...event }, hash }) => ({
        ...event,
        hash: hash.toString('hex'),
      }));
      return { data, next: page.before === null ? null : cursors.seal(binding, [page.before]) };
    },
  );
}
