import { type TSchema, Type } from 'typebox';
import type { Scope } from '../access/principal.ts';

/** What all customer reads declare alike: who may call, what is answered, how an id stands in a path. */

/** A customer's route that needs these scopes. */
export function customerAccess(...scopes: Scope[]) {
  return { access: { audience: 'customer' as const, scopes } };
}

/** The parts of a route's schema that every read has: `answer` on success. */
export function readSchema<Answer extends TSchema>(tag: string, summary: string, answer: Answer) {
  return {
    tags: [tag],
    summary,
    security: [{ bearer: [] }],
    response: { 200: answer },
  };
}

/** A path with one id. Any text is let through, so that a malformed id is answered like an unknown one. */
export function idPath<const Name extends string>(name: Name, description: string) {
  return Type.Object({ [name]: Type.String({ description }) } as Record<Name, ReturnType<typeof Type.String>>);
}
