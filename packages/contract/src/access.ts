import { Type } from 'typebox';

/** The answer to an authenticated key: RFC 6749 5.1, with names in camelCase. */
export const IssuedTokenBody = Type.Object(
  {
    accessToken: Type.String({ description: 'The JWT to send as `Authorization: Bearer`.' }),
    tokenType: Type.Literal('Bearer'),
    expiresIn: Type.Integer({
      minimum: 0,
      description: 'Seconds the token is good for: as configured, 1800 as shipped, or less when the key ends before.',
    }),
    expiresAt: Type.String({ format: 'date-time', description: 'When it ends.' }),
    scopes: Type.Array(Type.String(), { description: 'What the token may do.' }),
  },
  { title: 'IssuedToken' },
);

/** A JWK set (RFC 7517). */
export const JwksBody = Type.Object(
  { keys: Type.Array(Type.Record(Type.String(), Type.Unknown())) },
  { title: 'JwkSet' },
);
