import type { Cursors } from '@gladhand/base/cursor.ts';
import { ContestedVinPageSchema } from '@gladhand/contract/contested-vins.ts';
import type { Database } from '../database/database.ts';
import { personOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { PageQuery } from '../edge/paging.ts';
import { personAccess, personSchema, walkPage } from '../edge/person-route.ts';
import { listContestedVins } from './contested-vins.ts';

/** The door by which platform operators see which VINs several organizations have in service. */
export function registerContestedVinRoutes(http: Http, parts: { database: Database; cursors: Cursors }): void {
  const { database, cursors } = parts;
  http.get(
    '/contested-vins',
    {
      config: personAccess('ADMIN'),
      schema: {
        operationId: 'listContestedVins',
        ...personSchema('Registration', 'List VINs that several organizations have registered', {
          200: ContestedVinPageSchema,
        }),
        description:
          "For platform operators. A VIN's telemetry goes to the first in line; take an asset out of service, and the next one gets it.",
        querystring: PageQuery,
      },
    },
    (request) => {
      const person = personOf(request);
      const binding = { organizationId: person.organizationId, query: 'admin/contested-vins' };
      return walkPage(cursors, binding, request.query, (walk) => listContestedVins(database, person, walk));
    },
  );
}
