import { FeedPageSchema, GpsPageSchema, LatestPageSchema, RecordPageSchema } from '@gladhand/contract/query.ts';
import { SIGNAL_GROUPS } from '@gladhand/contract/signals.ts';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { customerAccess, idPath, readSchema } from '../edge/customer-read.ts';
import { principalOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { asJson, sendJson } from '../edge/json.ts';
import { InstantText, PageQuery, pageJson, readRange, TAKE_DEFAULT } from '../edge/paging.ts';
import { found } from '../registry/not-found.ts';
import type { QueryParts } from './json-page.ts';
import { readByTime, type TimeWalk } from './read-by-time.ts';
import { readFeed } from './read-feed.ts';
import { readLatest } from './read-latest.ts';

/**
 * The customer's doors to telemetry. Three ways to read: by the time it was observed (pages of one asset or device),
 * by arrival (the feed, which never misses what comes late), and only the newest value of everything (latest). Pages
 * are JSON the database has built, sent as they are. Paths are relative: the app registers them under `/api/v1`.
 */
const TimeQuery = Type.Object(
  {
    from: Type.Optional(InstantText),
    to: Type.Optional(InstantText),
    order: Type.Optional(
      Type.Enum(['asc', 'desc'], {
        type: 'string',
        default: 'asc',
        description: 'asc: oldest first; desc: newest first.',
      }),
    ),
    ...PageQuery.properties,
  },
  { additionalProperties: false },
);

const BY_TIME =
  'Records observed in [from, to), by the time they were observed; without `from` and `to`, everything that is kept. A page may hold fewer than `take`, even none: only a `next` of null is the end. `next` belongs to the same path, `from`, `to` and `order`. What arrives late for an instant already walked past is not on later pages: the feed has it.';

const LatestQuery = Type.Object(
  {
    fleet: Type.Optional(Type.String({ description: 'Only assets of this fleet, by its id.' })),
    trailer: Type.Optional(Type.String({ description: 'Only this trailer or DeliverSafe unit, by its id or VIN.' })),
    ...PageQuery.properties,
  },
  { additionalProperties: false },
);

const FeedQuery = Type.Object(
  {
    ...PageQuery.properties,
    from: Type.Optional(
      Type.Enum(['oldest', 'now'], {
        type: 'string',
        description:
          'Where to start without `next`: at the oldest record kept (oldest, as when left out), or after the newest (now).',
      }),
    ),
    fleet: Type.Optional(Type.String({ description: 'Only records of this fleet, by its id.' })),
    signals: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 400,
        description: `Only records that have any of these signal groups, separated by commas: ${SIGNAL_GROUPS.join(', ')}.`,
      }),
    ),
  },
  { additionalProperties: false },
);

export function registerQueryRoutes(http: Http, parts: QueryParts): void {
  registerGpsRoute(http, parts);
  registerDeviceRoute(http, parts);
  registerDeliverSafeRoute(http, parts);
  registerLatestRoute(http, parts);
  registerFeedRoute(http, parts);
}

async function timePage(
  parts: QueryParts,
  request: FastifyRequest,
  of: Pick<TimeWalk, 'kind' | 'of'>,
  { order = 'asc', next, take = TAKE_DEFAULT, ...range }: Static<typeof TimeQuery>,
): Promise<string> {
  const page = await readByTime(parts, principalOf(request), { ...of, ...readRange(range), order, next, take });
  return pageJson(page.items, page.next);
}

function registerGpsRoute(http: Http, parts: QueryParts): void {
  http.get(
    '/trailers/telemetry/gps/:trailer',
    {
      config: customerAccess('telemetry:read', 'trailers:read'),
      serializerCompiler: asJson,
      schema: {
        operationId: 'listTrailerGpsFixes',
        refusals: ['not-found'],
        ...readSchema('Telemetry', "A trailer's positions by time", GpsPageSchema),
        description: `${BY_TIME} Only records with a position, cut down to it.`,
        params: idPath('trailer', 'The id or VIN of a trailer.'),
        querystring: TimeQuery,
      },
    },
    async (request, reply) => {
      const { organizationId } = principalOf(request);
      const trailer = found('trailer', await parts.registry.findTrailer(organizationId, request.params.trailer));
      const of = { kind: 'gps', of: { assetId: trailer.id } } as const;
      return sendJson(reply, await timePage(parts, request, of, request.query));
    },
  );
}

function registerDeviceRoute(http: Http, parts: QueryParts): void {
  http.get(
    '/devices/telemetry/:device',
    {
      config: customerAccess('telemetry:read', 'devices:read'),
      serializerCompiler: asJson,
      schema: {
        operationId: 'listDeviceTelemetry',
        refusals: ['not-found'],
        ...readSchema('Telemetry', "A device's records by time", RecordPageSchema),
        description: BY_TIME,
        params: idPath('device', 'The id of a device.'),
        querystring: TimeQuery,
      },
    },
    async (request, reply) => {
      const { organizationId, plantIds } = principalOf(request);
      const device = found('device', await parts.registry.findDevice(organizationId, request.params.device, plantIds));
      const of = { kind: 'device', of: { deviceId: device.id } } as const;
      return sendJson(reply, await timePage(parts, request, of, request.query));
    },
  );
}

function registerDeliverSafeRoute(http: Http, parts: QueryParts): void {
  http.get(
    '/deliversafe/telemetry/:id',
    {
      config: customerAccess('telemetry:read', 'deliversafe:read'),
      serializerCompiler: asJson,
      schema: {
        operationId: 'listDeliverSafeTelemetry',
        refusals: ['not-found'],
        ...readSchema('Telemetry', "A DeliverSafe unit's records by time", RecordPageSchema),
        description: BY_TIME,
        params: idPath('id', 'The id of a unit, the VIN of its vehicle, or its serial number if no other unit has it.'),
        querystring: TimeQuery,
      },
    },
    async (request, reply) => {
      const { organizationId } = principalOf(request);
      const unit = found('DeliverSafe unit', await parts.registry.findDeliverSafe(organizationId, request.params.id));
      const of = { kind: 'deliversafe', of: { assetId: unit.id } } as const;
      return sendJson(reply, await timePage(parts, request, of, request.query));
    },
  );
}

function registerLatestRoute(http: Http, parts: QueryParts): void {
  http.get(
    '/telemetry/latest',
    {
      config: customerAccess('telemetry:read'),
      serializerCompiler: asJson,
      schema: {
        operationId: 'listLatestTelemetry',
        refusals: ['not-found'],
        ...readSchema('Telemetry', 'The latest value of every signal, by asset', LatestPageSchema),
        description:
          'Each value with its own clocks: a record that arrives late never replaces a value observed after it. Assets that never reported are left out. A page may hold fewer than `take`, even none: only a `next` of null is the end.',
        querystring: LatestQuery,
      },
    },
    async (request, reply) => {
      const { fleet, trailer, next, take = TAKE_DEFAULT } = request.query;
      const page = await readLatest(parts, principalOf(request), { fleet, trailer, next, take });
      return sendJson(reply, pageJson(page.items, page.next));
    },
  );
}

function registerFeedRoute(http: Http, parts: QueryParts): void {
  http.get(
    '/telemetry/feed',
    {
      config: customerAccess('telemetry:read'),
      serializerCompiler: asJson,
      schema: {
        operationId: 'readTelemetryFeed',
        refusals: ['not-found'],
        ...readSchema('Telemetry', 'Every record in the order of arrival', FeedPageSchema),
        description:
          'Walks everything your organization has received, in the order in which it became visible; late data comes when it arrives, and nothing is skipped or repeated. A page examines a bounded number of records, so behind a filter that few pass it may hold fewer than `take`, even none. While `caughtUp` is false, ask again at once with `next`, which is never null and has moved on; once it is true, ask again later, or hand `next` to LiveFeed. It may be used with any `fleet` and `signals`.',
        querystring: FeedQuery,
      },
    },
    async (request, reply) => {
      const { next, from, fleet, signals, take = TAKE_DEFAULT } = request.query;
      const page = await readFeed(parts, principalOf(request), { next, from, fleet, signals, take });
      return sendJson(reply, pageJson(page.items, page.next, { caughtUp: page.caughtUp }));
    },
  );
}
