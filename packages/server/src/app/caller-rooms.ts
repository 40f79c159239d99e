import { createCursors } from '@gladhand/base/cursor.ts';
import { type Access, openAccess } from '../access/access.ts';
import { createSignedRequests, type SignedRequests } from '../access/signed-requests.ts';
import { openRefusals, type Refusals } from '../audit/refused-access.ts';
import type { Config } from '../config.ts';
import { findOperatorId } from '../organizations/operator.ts';
import { createIdentityProvider, type IdentityProvider } from '../people/identity-provider.ts';
import { openSessions, type Sessions } from '../people/sessions.ts';
import type { Surroundings } from './backends.ts';
import type { Closers } from './closers.ts';
import type { Foundation } from './foundation.ts';
import { createAttemptLimit, type LimitRoom, openLimitRoom } from './limit-room.ts';
import { noteRefusedSignIn } from './note-refusal.ts';

/** Who is calling, what they may use, and what becomes of whoever is refused. */
export interface CallerRooms {
  readonly access: Access;
  readonly limitRoom: LimitRoom;
  readonly signedRequests: SignedRequests;
  readonly refusals: Refusals;
  readonly sessions: Sessions;
  /** Null: people sign in by password only. */
  readonly identityProvider: IdentityProvider | null;
}

export async function openCallerRooms(
  config: Config,
  around: Surroundings,
  foundation: Foundation,
  closers: Closers,
): Promise<CallerRooms> {
  const { clock } = around;
  const { backends, epoch, secrets, metrics } = foundation;
  const { database, limits } = backends;
  const beginAttempt = createAttemptLimit(config, around, { limits, metrics });
  const { issuer, tokenTtlSeconds } = config.access;
  const access = await openAccess({ ...around, database, epoch, secrets, issuer, tokenTtlSeconds, beginAttempt });
  closers.add(() => access.close());
  const limitRoom = await openLimitRoom(config, around, foundation);
  closers.add(() => limitRoom.close());
  const signedRequests = createSignedRequests({ database, secrets, clock });
  const refusals = openRefusals({ ...around, database, findOperatorId: () => findOperatorId(database.system) });
  closers.add(() => refusals.close());
  const onRefused = noteRefusedSignIn(refusals);
  const sessions = openSessions({ ...around, database, epoch, limits, onRefused });
  closers.add(() => sessions.close());
  const stateCursors = createCursors(secrets.derive('oidc-state/1'));
  const identityProvider = createIdentityProvider({ ...around, ...config.oidc, cursors: stateCursors });
  return { access, limitRoom, signedRequests, refusals, sessions, identityProvider };
}
