import { ProblemSchema } from '@gladhand/contract/problem.ts';
import { type TSchema, Type } from 'typebox';
import type { Scope } from '../access/principal.ts';

/** What all customer reads declare alike: who may call, what is answered, how an id stands in a path. */

/** A customer's route that needs these scopes. */
export function customerAccess(...scopes: Scope[]) {
  return { access: { audience: 'customer' as const, scopes } };
}

/** The parts of a route's schema that every read has: `answer` on success, a problem document otherwise. */
export function readSchema<Answer extends TSchema>(tag: string, summary: string, answer: Answer) {
  return {
    tags: [tag],
    summary,
    security: [{ bearer: [] }],
    response: { 200: answer, '4XX': REFUSED, '5XX': FAILED },
  };
}

// By media type, as OpenAPI has it; typed as the body, because that is what a handler could send.
const problem = (description: string) =>
  ({
    description,
    content: { 'application/problem+json': { schema: ProblemSchema } },
  }) as unknown as typeof ProblemSchema;
const REFUSED = problem('The request was refused: what is wrong with it, and where');
const FAILED = problem('The request could not be served; `retryable` tells whether to try again');

/** A path with one id. Any text is let through, so that a malformed id is answered like an unknown one. */
export function idPath<const Name extends string>(name: Name, description: string) {
  return Type.Object({ [name]: Type.String({ description }) } as Record<Name, ReturnType<typeof Type.String>>);
}
