import { defineConfig } from 'vitest/config';

/** The tests of the house itself need no database, so that `npm run check` is quick; all others share one. */
const house = 'packages/server/test/architecture/*.test.ts';

export default defineConfig({
  test: {
    reporters: ['default', './vitest.reporter.ts'],
    maxWorkers: 2,
    projects: [
      { test: { name: 'house', include: [house], testTimeout: 60_000 } },
      {
        test: {
          name: 'server',
          include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts'],
          exclude: ['**/node_modules/**', house],
          pool: 'forks',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          globalSetup: ['packages/server/test/postgres.setup.ts'],
        },
      },
    ],
  },
});
