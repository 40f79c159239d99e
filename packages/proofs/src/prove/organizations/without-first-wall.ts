import { registerHooks } from 'node:module';

/**
 * A build of the server without its first wall, for proving the second: `node --import` this before the server, and
 * wherever a statement says whose rows it means it says nothing instead. Nothing in the product can switch it off.
 */
registerHooks({
  load(url, context, next) {
    if (!url.endsWith('/database/of-organization.ts')) return next(url, context);
    process.stderr.write('The first wall is off: row-level security alone keeps organizations apart.\n');
    return {
      format: 'module',
      shortCircuit: true,
      source:
        "import { sql } from 'kysely';\nexport const ofOrganization = () => sql`true`;\nexport const ofOrganizations = ofOrganization;\n",
    };
  },
});
