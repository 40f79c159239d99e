import { type Static, Type } from 'typebox';
import { ProductLimitSchema } from './limits.ts';

/** Products, as the partner of each product reads it: what the installation accepts. */
const closed = { additionalProperties: false } as const;
const seconds = (description: string) => Type.Integer({ minimum: 0, description });

const name = () =>
  Type.String({ description: 'Its name; the scope `product:<name>` of a key says which one it sends' });
const title = () => Type.String({ description: 'What it is, in words' });

export const ProductExampleSchema = Type.Object(
  {
    vin: Type.String({
      description: 'Stands in the payload wherever it names a VIN, and in the path. Put yours there',
    }),
    payload: Type.Unknown({ description: 'Valid against `inputSchema`; its instants are as of this answer' }),
  },
  {
    ...closed,
    title: 'ProductExample',
    description: 'A payload that is processed when it is sent for a registered VIN',
  },
);

export const ProductSchema = Type.Object(
  {
    name: name(),
    title: title(),
    mappingVersion: Type.Integer({ minimum: 1, description: 'The mapping version that reads it now; records name it' }),
    inputSchema: Type.Record(Type.String(), Type.Unknown(), {
      description: 'JSON Schema 2020-12. What does not match it is refused with 400, with every place named',
    }),
    contentTypes: Type.Array(Type.String(), { description: 'What `Content-Type` may say' }),
    contentEncodings: Type.Array(Type.String(), { description: 'What `Content-Encoding` may say' }),
    bodyBytesMax: Type.Integer({ minimum: 1, description: 'Bytes of a body, before and after decoding' }),
    vinCheck: Type.Enum(['mark', 'strict'], {
      type: 'string',
      description: 'What a wrong check digit does to a VIN. mark: it is taken and marked. strict: it is refused',
    }),
    clockSkew: Type.Object(
      {
        pastSecondsMax: seconds('How old a record may be when it arrives'),
        futureSecondsMax: seconds('How far ahead of our clock a record may be'),
      },
      { ...closed, description: 'Which instants are taken, against the time of receipt' },
    ),
    intakeLimit: ProductLimitSchema,
    example: Type.Union([ProductExampleSchema, Type.Null()], { description: 'null: the product has none' }),
  },
  { ...closed, title: 'Product', description: 'What a partner sends: its schema, its limits and an example' },
);
export type ProductBody = Static<typeof ProductSchema>;

export const ProductListSchema = Type.Object(
  {
    data: Type.Array(
      Type.Object({ name: name(), title: title() }, { ...closed, title: 'ProductName', description: 'A product' }),
      { description: 'By name' },
    ),
  },
  { ...closed, title: 'ProductList', description: 'The products that the caller may see' },
);
