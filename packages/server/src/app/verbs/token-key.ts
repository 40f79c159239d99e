import { systemClock } from '@gladhand/base/clock.ts';
import { rotateSigningKey } from '../../access/rotate-signing-key.ts';
import type { Config } from '../../config.ts';
import { withDatabase } from './database.ts';

/** Adds the next token signing key. Prints when it starts to sign, and when the previous keys stop verifying. */
export async function rotateTokenKey(config: Config): Promise<void> {
  const rotated = await withDatabase(config, (database) =>
    rotateSigningKey(database, systemClock.nowMs(), config.access.tokenTtlSeconds),
  );
  console.log(
    `Token signing key ${rotated.number} is published now and signs tokens from ${rotated.activatesAt.toISOString()}.`,
  );
  console.log(`The previous keys verify tokens until ${rotated.previousRetireAt.toISOString()}.`);
}
