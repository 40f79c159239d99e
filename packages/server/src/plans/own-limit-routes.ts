import type { Clock } from '@gladhand/base/clock.ts';
import { type Cursors, openNext } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { cutPage } from '@gladhand/base/page.ts';
import { DayText, LimitsSchema, UsagePageSchema } from '@gladhand/contract/limits.ts';
import { Type } from 'typebox';
import type { Http } from '../edge/http.ts';
import type { LimitUses } from '../edge/limit-use.ts';
import { PageQuery, TAKE_DEFAULT } from '../edge/paging.ts';
import type { PlanDirectory } from './plan-directory.ts';
import type { Usage } from './usage.ts';

/** The doors by which callers see their limits before they meet them: what is left now, and what was used by day. */
export interface LimitRoutesParts {
  readonly clock: Clock;
  readonly cursors: Cursors;
  readonly planDirectory: PlanDirectory;
  readonly limitUses: LimitUses;
  readonly usage: Usage;
}

const DAY_MS = 86_400_000;
const DAYS_DEFAULT = 30;
const access = { audience: 'any', scopes: [], role: 'VIEWER' } as const;
const tag = 'Limits';

const LimitsQuery = Type.Object(
  {
    vin: Type.Optional(
      Type.String({ maxLength: 64, description: 'Whose intake: a VIN. Only partner keys are under such a limit.' }),
    ),
  },
  { additionalProperties: false },
);
const UsageQuery = Type.Object(
  {
    ...PageQuery.properties,
    from: Type.Optional(DayText('The first day, UTC, such as 2026-11-20. Default: 30 days ago.')),
    to: Type.Optional(DayText('The last day, UTC, itself included. Default: today.')),
  },
  { additionalProperties: false },
);

export function registerLimitRoutes(http: Http, parts: LimitRoutesParts): void {
  http.get(
    '/limits',
    {
      // Whoever is refused has to be able to ask why.
      config: { access, limit: 'none' },
      schema: {
        operationId: 'getLimits',
        tags: [tag],
        summary: 'Your limits, and their use now',
        description:
          'Asking costs nothing. A key sees every limit that it is under and no other; people see the limits that the keys of their organization share.',
        querystring: LimitsQuery,
        response: { 200: LimitsSchema },
      },
    },
    async ({ principal, person, query, ip: address }) => {
      const { organizationId } = principal ?? person!;
      const { slug, name } = parts.planDirectory.of(organizationId).plan;
      const { limitUses } = parts;
      const limits = principal
        ? limitUses.ofKey(principal, { vin: query.vin, address })
        : limitUses.ofOrganization(organizationId);
      return { plan: { slug, name }, limits: await limits };
    },
  );
  http.get(
    '/usage',
    {
      config: { access },
      schema: {
        operationId: 'listUsage',
        tags: [tag],
        summary: 'What was used, by key and day',
        description: 'Newest day first. A key sees itself, people see every key of their organization.',
        querystring: UsageQuery,
        response: { 200: UsagePageSchema },
      },
    },
    async ({ principal, person, query }) => {
      const { organizationId } = principal ?? person!;
      const keyId = principal?.keyId ?? null;
      const nowMs = parts.clock.nowMs();
      const fromDay = readDay(query.from, 'from') ?? dayOf(nowMs - DAYS_DEFAULT * DAY_MS);
      const toDay = readDay(query.to, 'to') ?? dayOf(nowMs);
      const binding = { organizationId, query: `usage ${fromDay} ${toDay} ${keyId}` };
      const place = openNext(parts.cursors, binding, query.next);
      const after = place === null ? null : { day: String(place[0]), keyId: String(place[1]) };
      const take = query.take ?? TAKE_DEFAULT;
      const found = await parts.usage.list(organizationId, { fromDay, toDay, keyId, after, take: take + 1 });
      const { rows, last } = cutPage(found, take);
      return { data: [...rows], next: last === null ? null : parts.cursors.seal(binding, [last.day, last.keyId]) };
    },
  );
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function readDay(text: string | undefined, name: string): string | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(`${text}T00:00:00Z`);
  if (!Number.isNaN(ms) && dayOf(ms) === text) return text;
  throw new Fault('invalid-range', `\`${name}\` is not a day that exists.`, {
    errors: [{ pointer: `/query/${name}`, code: 'format', detail: 'is not a day that exists' }],
  });
}
