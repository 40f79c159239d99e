import { type Static, Type } from 'typebox';
import { DisplayName } from './display-name.ts';
import { SLUG_PATTERN } from './organizations.ts';
import { pageOf } from './registry.ts';

/** Limits as integrators see them and operators set them: plans, the intake of a product, current use and use by day. */
const closed = { additionalProperties: false } as const;
const COUNT_MAX = 1_000_000_000;
const count = (description: string, minimum = 0) => Type.Integer({ minimum, maximum: COUNT_MAX, description });

export const LIMIT_MODES = ['enforce', 'report'] as const;
export type LimitMode = (typeof LIMIT_MODES)[number];
const mode = () =>
  Type.Enum([...LIMIT_MODES], {
    type: 'string',
    description: 'report: counted as if it were enforced, and refuses nobody',
  });

// Plans -----------------------------------------------------------------------------------------------------------------

const numbers = {
  readCapacity: count('Requests a customer may send at once: what its token bucket holds when full', 1),
  readRefillPerSecond: Type.Number({
    minimum: 0.001,
    maximum: 1_000_000,
    description: 'Requests that come back to the bucket each second, to a thousandth',
  }),
  concurrentRequestsMax: count('Requests of a customer that may be under way at once', 1),
  streamsMax: count('LiveFeed streams that a customer may have open at once'),
};

const settings = {
  name: DisplayName(),
  mode: mode(),
  ...numbers,
  waitMsMax: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    description: 'How long a request beyond concurrentRequestsMax waits for its turn, at most; 0: not at all',
  }),
  waitingRequestsMax: Type.Integer({ minimum: 0, maximum: 10_000, description: 'How many may wait so, at most' }),
};

export const PlanProposalSchema = Type.Partial(Type.Object(numbers), {
  ...closed,
  minProperties: 1,
  title: 'PlanProposal',
  description: 'Numbers that are announced: counted and reported beside those that hold, and refusing nobody',
});
export type PlanProposal = Static<typeof PlanProposalSchema>;
const proposed = () =>
  Type.Union([PlanProposalSchema, Type.Null()], { description: 'What is announced; null: nothing is' });
const planSlug = () =>
  Type.String({ pattern: SLUG_PATTERN, description: 'Short name of a-z, 0-9 and -, 63 characters at most' });

export const PlanSchema = Type.Object(
  {
    id: Type.String({ format: 'uuid', description: 'UUIDv7 of the plan' }),
    slug: planSlug(),
    ...settings,
    proposed: proposed(),
    createdAt: Type.String({ format: 'date-time', description: 'When it was made' }),
    updatedAt: Type.String({ format: 'date-time', description: 'When it was last changed' }),
  },
  { ...closed, title: 'Plan', description: 'What the customers on it may use' },
);
export type Plan = Static<typeof PlanSchema>;
export const PlanListSchema = Type.Object(
  { data: Type.Array(PlanSchema, { description: 'Every plan, by its slug' }) },
  { ...closed, title: 'PlanList' },
);

export const NewPlanBody = Type.Object(
  { slug: planSlug(), ...settings, proposed: Type.Optional(proposed()) },
  { ...closed, title: 'NewPlan', description: 'A plan to be made' },
);
export type NewPlan = Static<typeof NewPlanBody>;

export const PlanChangeBody = Type.Partial(Type.Object({ ...settings, proposed: proposed() }), {
  ...closed,
  minProperties: 1,
  title: 'PlanChange',
  description: 'What of a plan changes, on every node within a second; left out: stays',
});
export type PlanChange = Static<typeof PlanChangeBody>;

// The intake of a product -----------------------------------------------------------------------------------------------

const intake = {
  limit: count('Requests for each VIN or plant in a window', 1),
  windowSeconds: Type.Integer({
    minimum: 1,
    maximum: 86_400,
    description: 'Length of the window; it begins anew at each multiple of it since 1970-01-01T00:00:00Z',
  }),
};
const windowOrNull = (description: string) =>
  Type.Union(
    [
      Type.Object(
        { limit: count('Requests in a window', 1), windowSeconds: intake.windowSeconds },
        { ...closed, title: 'IntakeWindow', description: 'A fixed window' },
      ),
      Type.Null(),
    ],
    { description },
  );
const more = () => ({
  total: windowOrNull('For all VINs and plants together, of each organization that sends; null: no such limit'),
  proposed: windowOrNull('Announced for each VIN or plant: counted and reported, refusing nobody; null: nothing is'),
});

export const ProductLimitBody = Type.Object(
  { ...intake, mode: Type.Optional(mode()), ...Type.Partial(Type.Object(more())).properties },
  { ...closed, title: 'ProductLimitChange', description: "The limit to hold instead of the product file's" },
);
export type ProductLimitChange = Static<typeof ProductLimitBody>;

export const ProductLimitSchema = Type.Object(
  {
    product: Type.String({ description: 'Name of the product' }),
    ...intake,
    mode: mode(),
    ...more(),
    setBy: Type.Enum(['product', 'operator'], {
      type: 'string',
      description: "product: the product file's own. operator: set instead of it",
    }),
  },
  { ...closed, title: 'ProductLimit', description: 'How much intake a product takes for each VIN or plant' },
);
export type ProductLimit = Static<typeof ProductLimitSchema>;

// Own use ---------------------------------------------------------------------------------------------------------------

const orNull = <S extends ReturnType<typeof Type.Integer> | ReturnType<typeof Type.Number>>(
  schema: S,
  description: string,
) => Type.Union([schema, Type.Null()], { description });

export const LimitUseSchema = Type.Object(
  {
    name: Type.String({ description: 'The limit, as the RateLimit fields name it; `-proposed`: it is announced' }),
    mode: mode(),
    unit: Type.Enum(['requests', 'concurrent-requests', 'streams'], { type: 'string', description: 'What is counted' }),
    quota: count('How many there are'),
    windowSeconds: orNull(Type.Integer(), 'Fixed window: its length. null: not a window'),
    refillPerSecond: orNull(Type.Number(), 'Token bucket: what comes back each second. null: not a bucket'),
    remaining: orNull(Type.Integer(), 'How many are left now. null: counted for each VIN, ask with `vin`'),
    resetSeconds: orNull(Type.Integer(), 'Until more are left; 0: all are. null: when others end, or ask with `vin`'),
  },
  { ...closed, title: 'LimitUse', description: 'A limit and its use now' },
);
export type LimitUse = Static<typeof LimitUseSchema>;

export const LimitsSchema = Type.Object(
  {
    plan: Type.Object(
      { slug: planSlug(), name: DisplayName() },
      { ...closed, description: 'The plan the organization is on' },
    ),
    limits: Type.Array(LimitUseSchema, { description: 'Every limit that the caller is under' }),
  },
  { ...closed, title: 'Limits', description: "The caller's own limits, and their use now" },
);
export type LimitsOfCaller = Static<typeof LimitsSchema>;

export const DAY_PATTERN = '^\\d{4}-\\d{2}-\\d{2}$';
export const DayText = (description: string) => Type.String({ pattern: DAY_PATTERN, description });

export const UsageDaySchema = Type.Object(
  {
    keyId: Type.String({ format: 'uuid', description: 'The API key' }),
    day: DayText('The day, UTC'),
    requests: Type.Integer({ minimum: 0, description: 'Requests and LiveFeed subscriptions, refused ones too' }),
    refused: Type.Integer({ minimum: 0, description: 'Of these, the ones that a limit refused' }),
    wouldRefuse: Type.Integer({ minimum: 0, description: 'The ones that a limit in report would have refused' }),
    bytes: Type.Integer({ minimum: 0, description: 'Bytes of the bodies that were admitted, as they were sent' }),
  },
  { ...closed, title: 'UsageDay', description: 'What a key used on a day' },
);
export type UsageDay = Static<typeof UsageDaySchema>;
export const UsagePageSchema = pageOf(UsageDaySchema, 'UsagePage');
