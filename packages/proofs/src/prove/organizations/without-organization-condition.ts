import { registerHooks } from 'node:module';

/**
 * Removes the organization condition (`ofOrganization`) from every SQL statement of the server, so that row-level security
 * alone isolates. Import this file before the server with `node --import`. No setting of the product can do the same.
 */
registerHooks({
  load(url, context, next) {
    if (!url.endsWith('/database/of-organization.ts')) return next(url, context);
    process.stderr.write('The organization condition is off: row-level security alone isolates organizations.\n');
    return {
      format: 'module',
      shortCircuit: true,
      source:
        "import { sql } from 'kysely';\nexport const ofOrganization = () => sql`true`;\nexport const ofOrganizations = ofOrganization;\n",
    };
  },
});
