import { type Static, Type } from 'typebox';
import { DisplayName } from './display-name.ts';
import { pageOf } from './registry.ts';

/** Organizations and their people, as administration reads and writes them. Unknown properties are refused and never answered. */
const closed = { additionalProperties: false } as const;
const kept = {
  createdAt: Type.String({ format: 'date-time', description: 'When it was made' }),
  updatedAt: Type.String({ format: 'date-time', description: 'When it was last changed' }),
};
const id = (description: string) => Type.String({ format: 'uuid', description });

export const ROLE_NAMES = ['VIEWER', 'OPERATOR', 'ADMIN'] as const;
const role = () =>
  Type.Enum([...ROLE_NAMES], {
    type: 'string',
    description:
      'VIEWER reads, OPERATOR also registers and changes assets, ADMIN also manages people and the organization',
  });
const email = () =>
  Type.String({
    format: 'email',
    maxLength: 254,
    description: 'Email address; one account in the whole installation has it',
  });
const password = (description: string) => Type.String({ minLength: 12, maxLength: 200, description });
const isActive = () => Type.Boolean({ description: 'False: cannot sign in, and every session has ended' });

/** Starts and ends with a letter or digit, so that it can be part of a host name or of a broker's user name. */
export const SLUG_PATTERN = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$';
const slug = () =>
  Type.String({
    pattern: SLUG_PATTERN,
    description: 'Short name of a-z, 0-9 and -, 63 characters at most; it never changes',
  });

const planId = (description: string) => Type.Union([Type.String({ format: 'uuid' }), Type.Null()], { description });

export const OrganizationSchema = Type.Object(
  {
    id: id('UUIDv7 of the organization'),
    slug: slug(),
    name: DisplayName(),
    kind: Type.Enum(['operator', 'customer'], {
      type: 'string',
      description: 'operator: runs the installation. customer: owns assets',
    }),
    planId: planId('The plan it is on; null: `standard`'),
    ...kept,
  },
  { ...closed, title: 'Organization', description: 'An organization' },
);
export type Organization = Static<typeof OrganizationSchema>;
export const OrganizationPageSchema = pageOf(OrganizationSchema, 'OrganizationPage');

export const NewOrganizationBody = Type.Object(
  { slug: slug(), name: DisplayName() },
  { ...closed, title: 'NewOrganization', description: 'A customer organization to be made' },
);
export type NewOrganization = Static<typeof NewOrganizationBody>;

export const OrganizationChangeBody = Type.Object(
  {
    name: Type.Optional(DisplayName()),
    planId: Type.Optional(planId('Another plan, for platform operators only; null: `standard`')),
  },
  {
    ...closed,
    minProperties: 1,
    title: 'OrganizationChange',
    description: 'What of an organization changes; left out: stays',
  },
);
export type OrganizationChange = Static<typeof OrganizationChangeBody>;

export const UserSchema = Type.Object(
  {
    id: id('UUIDv7 of the user'),
    organizationId: id('The organization the user belongs to'),
    email: email(),
    name: DisplayName(),
    role: role(),
    isActive: isActive(),
    hasPassword: Type.Boolean({ description: 'False: the user can sign in through the identity provider only' }),
    ...kept,
  },
  { ...closed, title: 'User', description: 'A person who can sign in' },
);
export type User = Static<typeof UserSchema>;
export const UserPageSchema = pageOf(UserSchema, 'UserPage');

export const NewUserBody = Type.Object(
  {
    email: email(),
    name: DisplayName(),
    role: role(),
    password: Type.Optional(
      password('A first password, 12 to 200 characters; left out: signs in through the identity provider only'),
    ),
  },
  { ...closed, title: 'NewUser', description: 'A user to be made' },
);
export type NewUser = Static<typeof NewUserBody>;

export const UserChangeBody = Type.Object(
  {
    email: Type.Optional(email()),
    name: Type.Optional(DisplayName()),
    role: Type.Optional(role()),
    isActive: Type.Optional(isActive()),
    password: Type.Optional(password('A new password, 12 to 200 characters; ends every session of the user')),
  },
  { ...closed, minProperties: 1, title: 'UserChange', description: 'What of a user changes; left out: stays' },
);
export type UserChange = Static<typeof UserChangeBody>;
