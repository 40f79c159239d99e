import { type Static, Type } from 'typebox';
import { pageOf } from './registry.ts';

/** The audit log as administration reads it. */
const closed = { additionalProperties: false } as const;
const orNull = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S, description: string) =>
  Type.Union([schema, Type.Null()], { description });

export const ACTION_PATTERN = '^[a-z][a-z-]*\\.[a-z][a-z-]*$';

export const AuditEventSchema = Type.Object(
  {
    sequence: Type.Integer({ minimum: 1, description: '1, 2, 3, ... within the organization, without gaps' }),
    at: Type.String({ format: 'date-time', description: 'When it happened' }),
    actor: Type.Object(
      {
        kind: Type.Enum(['person', 'key', 'system', 'anonymous'], {
          type: 'string',
          description: 'system: the server or its command line. anonymous: nobody was recognized',
        }),
        id: orNull(Type.String({ format: 'uuid' }), 'The user or API key'),
      },
      { ...closed, description: 'Who did it' },
    ),
    action: Type.String({ pattern: ACTION_PATTERN, description: 'What was done, such as user.created' }),
    target: orNull(
      Type.Object(
        { kind: Type.String({ description: 'Kind of thing' }), id: Type.String({ description: 'Its id' }) },
        closed,
      ),
      'What it was done to',
    ),
    address: orNull(Type.String(), "The client's address"),
    requestId: orNull(Type.String({ format: 'uuid' }), 'The request, as in X-Request-Id and in the log'),
    details: Type.Record(Type.String(), Type.Unknown(), { description: 'What changed. Never a secret' }),
    hash: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'SHA-256 over the hash before and this event' }),
  },
  { ...closed, title: 'AuditEvent', description: 'An entry of the audit log' },
);
export type AuditEventBody = Static<typeof AuditEventSchema>;
export const AuditPageSchema = pageOf(AuditEventSchema, 'AuditPage');
