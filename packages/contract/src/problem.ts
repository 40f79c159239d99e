import { type Static, Type } from 'typebox';
import { ERRORS, type ErrorCode } from './errors.ts';
import { RefusingLimitSchema, RetryAtSchema } from './refusing-limit.ts';

/** The answer to a request that was refused: an RFC 9457 problem document, `application/problem+json`. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ format: 'uri', description: 'Where the code is explained' }),
    title: Type.String({ description: 'Public text of the code' }),
    status: Type.Integer({ minimum: 400, maximum: 599, description: 'The HTTP status' }),
    detail: Type.String({ description: 'What is wrong with this request and what to do about it' }),
    instance: Type.String({ description: 'This answer: urn:uuid: and the requestId' }),
    code: Type.Enum(Object.keys(ERRORS) as ErrorCode[], {
      type: 'string',
      description: 'The code; codes never change',
    }),
    requestId: Type.String({ format: 'uuid', description: 'Quote it when you ask for help' }),
    retryable: Type.Boolean({ description: 'Whether the same request may succeed later without being changed' }),
    errors: Type.Array(
      Type.Object(
        {
          pointer: Type.String({
            description: 'JSON Pointer (RFC 6901) into the body, or into /query, /path, /headers',
          }),
          code: Type.String({ description: 'What kind of finding it is' }),
          detail: Type.String({ description: 'What was found there' }),
        },
        { additionalProperties: false },
      ),
      { description: 'One entry per finding, 20 at most' },
    ),
    limit: Type.Optional(RefusingLimitSchema),
    retryAt: Type.Optional(RetryAtSchema),
  },
  { additionalProperties: false, title: 'Problem', description: 'RFC 9457 problem document' },
);
export type Problem = Static<typeof ProblemSchema>;
