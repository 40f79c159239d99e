import { type Static, Type } from 'typebox';
import { ROLE_NAMES } from './organizations.ts';

/** How people sign in. */
const closed = { additionalProperties: false } as const;
const id = (description: string) => Type.String({ format: 'uuid', description });

export const SignInBody = Type.Object(
  {
    email: Type.String({ minLength: 1, maxLength: 254, description: 'Email address, in either case' }),
    password: Type.String({ minLength: 1, maxLength: 200, description: 'Password' }),
  },
  { ...closed, title: 'SignIn', description: 'Who signs in' },
);
export type SignIn = Static<typeof SignInBody>;

export const PersonSchema = Type.Object(
  {
    id: id('UUIDv7 of the user'),
    organizationId: id('The organization the user belongs to'),
    organizationKind: Type.Enum(['operator', 'customer'], { type: 'string', description: 'What that organization is' }),
    email: Type.String({ description: 'Email address' }),
    name: Type.String({ description: 'Display name' }),
    role: Type.Enum([...ROLE_NAMES], { type: 'string', description: 'Role in that organization' }),
    isPlatformOperator: Type.Boolean({ description: 'An ADMIN of the operator: may act in every organization' }),
    sessionExpiresAt: Type.String({ format: 'date-time', description: 'When the session ends, whatever happens' }),
  },
  { ...closed, title: 'Person', description: 'The signed-in user' },
);

export const SignedInSchema = Type.Object(
  {
    accessToken: Type.String({
      description: 'For scripts: send it as `Authorization: Bearer`. Browsers have it in their cookie',
    }),
    tokenType: Type.Literal('Bearer'),
    expiresIn: Type.Integer({ description: 'Seconds until the session ends: 43200' }),
    expiresAt: Type.String({
      format: 'date-time',
      description: 'When it ends; two hours without a request end it earlier',
    }),
    person: PersonSchema,
  },
  { ...closed, title: 'SignedIn', description: 'A session' },
);

export const PasswordChangeBody = Type.Object(
  {
    currentPassword: Type.String({ minLength: 1, maxLength: 200, description: 'The password so far' }),
    newPassword: Type.String({ minLength: 12, maxLength: 200, description: 'The new one, 12 to 200 characters' }),
  },
  { ...closed, title: 'PasswordChange', description: 'A change of the own password' },
);
