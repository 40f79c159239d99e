import { type Static, Type } from 'typebox';
import { pageOf } from './registry.ts';
import { VIN_PATTERN } from './vin.ts';

/** VINs that several organizations have registered, as platform operators see them; nobody else does. */
const closed = { additionalProperties: false } as const;
const uuid = (description: string) => Type.String({ format: 'uuid', description });

export const ContestedVinSchema = Type.Object(
  {
    vin: Type.String({ pattern: VIN_PATTERN, description: 'The VIN' }),
    claims: Type.Array(
      Type.Object(
        {
          organizationId: uuid('Who has registered it'),
          assetId: uuid('Their trailer or DeliverSafe unit'),
          kind: Type.Enum(['trailer', 'deliversafe'], { type: 'string', description: 'What it is registered as' }),
          isActiveSince: Type.String({
            format: 'date-time',
            description: 'When it was registered, or last put back into service',
          }),
        },
        closed,
      ),
      { description: "In line: the first has the VIN's telemetry" },
    ),
  },
  { ...closed, title: 'ContestedVin', description: 'A VIN that several organizations have in service' },
);
export type ContestedVin = Static<typeof ContestedVinSchema>;
export const ContestedVinPageSchema = pageOf(ContestedVinSchema, 'ContestedVinPage');
