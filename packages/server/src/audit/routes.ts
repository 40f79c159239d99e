import { type Cursors, openNext } from '@gladhand/base/cursor.ts';
import { ACTION_PATTERN, AuditPageSchema } from '@gladhand/contract/audit.ts';
import { Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { InstantText, PageQuery, readRange, TAKE_DEFAULT } from '../edge/paging.ts';
import { type GetReachable, OrganizationParams, personAccess, personSchema } from '../edge/person-route.ts';
import { listAudit } from './verify.ts';

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

/** The door of an organization's audit log. */
export interface AuditRoutesParts {
  readonly database: Database;
  readonly cursors: Cursors;
  readonly getReachable: GetReachable;
}

export function registerAuditRoutes(http: Http, { database, getReachable, cursors }: AuditRoutesParts): void {
  http.get(
    '/organizations/:organization/audit',
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'listAuditEvents',
        refusals: ['not-found'],
        ...personSchema('Audit log', 'Who did what', { 200: AuditPageSchema }),
        description: 'Newest first. [from, to). `hash` chains the events: `gladhand audit verify` walks them.',
        params: OrganizationParams,
        querystring: AuditQuery,
      },
    },
    async (request) => {
      const { id } = await getReachable(personOf(request), request.params.organization);
      const { take = TAKE_DEFAULT, next, action } = request.query;
      const range = readRange(request.query);
      const binding = { organizationId: id, query: `admin/audit ${range.fromMs} ${range.toMs} ${action}` };
      const beforeSequence = (openNext(cursors, binding, next)?.[0] as number | undefined) ?? null;
      const page = await listAudit(database, id, { ...range, action: action ?? null, beforeSequence, take });
      const data = page.items.map(({ event: { organizationId: _own, ...event }, hash }) => ({
        ...event,
        hash: hash.toString('hex'),
      }));
      return { data, next: page.before === null ? null : cursors.seal(binding, [page.before]) };
    },
  );
}
