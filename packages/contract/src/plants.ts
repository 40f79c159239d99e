import { type Static, Type } from 'typebox';
import { PlantSchema } from './registration.ts';

const closed = { additionalProperties: false } as const;

export const PlantListQuery = Type.Object(
  {
    page: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, default: 1, description: 'Page number (1-indexed)' }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20, description: 'Plants per page' })),
  },
  closed,
);
export type PlantListQuery = Static<typeof PlantListQuery>;

/** Plants by page number, in the same form as the lists of the API-key document. */
export const PlantListSchema = Type.Object(
  {
    data: Type.Array(PlantSchema, { description: 'In the order of registration' }),
    meta: Type.Object(
      {
        limit: Type.Integer({ description: 'Plants per page' }),
        page: Type.Integer({ description: 'This page, from 1' }),
        total: Type.Integer({ description: 'Plants the caller may see' }),
        totalPages: Type.Integer({ description: 'Pages in all; 0 when there is no plant' }),
      },
      closed,
    ),
  },
  { ...closed, title: 'PlantList' },
);
export type PlantList = Static<typeof PlantListSchema>;
