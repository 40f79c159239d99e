import { type CursorBinding, type Cursors, openNext } from '@gladhand/base/cursor.ts';
import type { Listed, Walk } from '@gladhand/base/page.ts';
import type { FastifyRequest } from 'fastify';
import type { TSchema } from 'typebox';
import { Type } from 'typebox';
import type { Origin, Person, Role } from '../access/principal.ts';
import { TAKE_DEFAULT } from './paging.ts';

/** What the routes for people declare alike: which role may call, what is answered, who is asking for the audit log. */

/** A route for people with at least this role in their organization. */
export function personAccess(role: Role) {
  return { access: { role } };
}

/** `answers`: the schema of every success status. Who may call and what goes wrong is described for all routes alike. */
export function personSchema<Answers extends Record<number, TSchema>>(tag: string, summary: string, answers: Answers) {
  return { tags: [tag], summary, response: answers };
}

/** The path parameter of everything that belongs to an organization. */
export const OrganizationParams = Type.Object({
  organization: Type.String({ description: 'The id or slug of an organization.' }),
});

export const Nothing = Type.Null({ description: 'No content' });

/**
 * The organization that the path names. Throws `not-found` for one that `person` may not see, as for one that is not there.
 * What a door has of the room `organizations`.
 */
export type GetReachable = (
  person: Person,
  organization: string,
) => Promise<{ readonly id: string; readonly kind: 'operator' | 'customer' }>;

/** Who asks, from where, with which request. */
export function originOf(request: FastifyRequest): Origin {
  const { person, principal } = request;
  const actor: Origin['actor'] = person
    ? { kind: 'person', id: person.personId }
    : principal
      ? { kind: 'key', id: principal.keyId }
      : { kind: 'anonymous', id: null };
  return { actor, address: request.ip, requestId: request.id };
}

/** A page of a list that is walked by id, as `{data, next}`. */
export async function walkPage<Item>(
  cursors: Cursors,
  binding: CursorBinding,
  asked: { take?: number; next?: string },
  read: (walk: Walk) => Promise<Listed<Item>>,
): Promise<{ data: Item[]; next: string | null }> {
  const afterId = openNext(cursors, binding, asked.next)?.[0] as string | undefined;
  const found = await read({ afterId: afterId ?? null, take: asked.take ?? TAKE_DEFAULT });
  return { data: [...found.items], next: found.afterId === null ? null : cursors.seal(binding, [found.afterId]) };
}
