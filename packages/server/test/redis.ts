import { hasInstalledRedis, REDIS_PROGRAM } from '@gladhand/proofs/rig/installed-redis.ts';
import { describe, test } from 'vitest';

/** Runs `suite` when there is a Redis; says loudly that it was skipped when there is none. */
export function describeWithRedis(name: string, suite: () => void): void {
  if (hasInstalledRedis) {
    describe(name, suite);
    return;
  }
  console.warn(`SKIPPED: ${name}: no ${REDIS_PROGRAM}; on Debian: apt-get install redis-server`);
  describe(name, () => test.skip('needs Debian package redis-server', () => {}));
}
