import { type Static, Type } from 'typebox';

/** What a 429 has besides its code: which limit refused, and when the next request will be accepted. */
export const RefusingLimitSchema = Type.Object(
  {
    name: Type.String({ description: 'The limit, as the RateLimit fields name it' }),
    policy: Type.String({
      description: 'The limit as RateLimit-Policy has it: `q` the quota, `w` the seconds it is for, `qu` its unit',
    }),
  },
  { additionalProperties: false, title: 'RefusingLimit', description: 'The limit that refused the request' },
);
export type RefusingLimit = Static<typeof RefusingLimitSchema>;

export const RetryAtSchema = Type.String({
  format: 'date-time',
  description: 'When the next request will be accepted, if nobody else uses it up',
});
