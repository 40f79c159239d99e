import { text } from 'node:stream/consumers';
import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { StartRefusal } from '@gladhand/base/start-refusal.ts';
import { SLUG_PATTERN } from '@gladhand/contract/organizations.ts';
import type { Config } from '../../config.ts';
import { createFirstAdmin } from '../../people/first-admin.ts';
import { withDatabase } from './database.ts';

export interface AdminFlags {
  readonly email: string;
  readonly name: string;
  readonly organization?: string;
  readonly passwordStdin?: boolean;
  readonly force?: boolean;
}

/** 144 bits. The password may be long, because a password manager remembers it. */
const PASSWORD_BYTES = 18;
const PASSWORD_CHARS_MIN = 12;
const PASSWORD_CHARS_MAX = 200;

/** Creates an admin and prints the email address. A generated password is printed once and not stored in plain text. */
export async function createAdmin(config: Config, flags: AdminFlags): Promise<void> {
  const email = flags.email.trim();
  if (!/^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u.test(email) || email.length > 254)
    throw new StartRefusal(`${email} is not an email address.`);
  const name = flags.name.trim();
  if (name === '' || name.length > 200 || /\p{Cc}/u.test(name))
    throw new StartRefusal('--name must be one line of 1 to 200 characters.');
  if (flags.organization !== undefined && !new RegExp(SLUG_PATTERN).test(flags.organization)) {
    throw new StartRefusal('--organization must be a slug: a-z, 0-9 and -, at most 63 characters.');
  }
  const given = flags.passwordStdin ? (await text(process.stdin)).replace(/\r?\n$/, '') : undefined;
  if (given !== undefined && (given.length < PASSWORD_CHARS_MIN || given.length > PASSWORD_CHARS_MAX)) {
    throw new StartRefusal(`The password must have ${PASSWORD_CHARS_MIN} to ${PASSWORD_CHARS_MAX} characters.`);
  }
  const password = given ?? systemIds.randomBytes(PASSWORD_BYTES).toString('base64url');
  const made = await withDatabase(config, (database) =>
    createFirstAdmin(
      { database, clock: systemClock, ids: systemIds },
      { email, name, password, organization: flags.organization, force: flags.force ?? false },
    ),
  );
  console.log(`${email} is an admin of ${made.slug}.`);
  if (given === undefined) console.log(`Password (shown once): ${password}`);
}
