import type { Cursors } from '@gladhand/base/cursor.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { FeedPageSchema, GpsPageSchema, LatestPageSchema, RecordPageSchema } from '@gladhand/contract/query.ts';
import { SIGNAL_GROUPS } from '@gladhand/contract/signals.ts';
import { type Static, Type } from 'typebox';
import type { Principal } from '../access/principal.ts';
import { customerAccess, idPath, readSchema } from '../edge/customer-read.ts';
import { principalOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { asJson, sendJson } from '../edge/json.ts';
import { InstantText, PageQuery, pageJson, readPlace, readRange, TAKE_DEFAULT } from '../edge/paging.ts';
import { found, type Registry } from '../registry/registry.ts';
import { feedBinding } from '../telemetry/feed-cursor.ts';
import type { TelemetryReader, TimeRequest } from '../telemetry/read.ts';
import { isSignalGroup, signalGroupBits } from '../telemetry/signal-groups.ts';

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

export function registerQueryRoutes(
  http: Http,
  parts: { registry: Registry; reader: TelemetryReader; cursors: Cursors },
): void {
  const { registry, reader, cursors } = parts;

  async function timePage(
    { organizationId, plantIds }: Principal,
    route: string,
    of: TimeRequest['of'],
    query: Static<typeof TimeQuery>,
  ): Promise<string> {
    const order = query.order ?? 'asc';
    const range = readRange(query);
    const binding = {
      organizationId,
      query: `${route} ${Object.values(of)[0]} ${range.fromMs} ${range.toMs} ${order}`,
    };
    const place = readPlace(cursors, binding, query.next);
    const page = await reader.byTime({
      organizationId,
      plantIds,
      of,
      gpsOnly: route === 'gps',
      ...range,
      order,
      after: place && { observedAtMs: place[0] as number, id: place[1] as string },
      take: query.take ?? TAKE_DEFAULT,
    });
    return pageJson(page.json, page.after && cursors.seal(binding, [page.after.observedAtMs, page.after.id]));
  }

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
      const principal = principalOf(request);
      const trailer = found('trailer', await registry.findTrailer(principal.organizationId, request.params.trailer));
      return sendJson(reply, await timePage(principal, 'gps', { assetId: trailer.id }, request.query));
    },
  );

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
      const principal = principalOf(request);
      const device = found(
        'device',
        await registry.findDevice(principal.organizationId, request.params.device, principal.plantIds),
      );
      return sendJson(reply, await timePage(principal, 'device', { deviceId: device.id }, request.query));
    },
  );

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
      const principal = principalOf(request);
      const unit = found(
        'DeliverSafe unit',
        await registry.findDeliverSafe(principal.organizationId, request.params.id),
      );
      return sendJson(reply, await timePage(principal, 'deliversafe', { assetId: unit.id }, request.query));
    },
  );

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
      const { organizationId, plantIds } = principalOf(request);
      const { fleet, trailer, take = TAKE_DEFAULT } = request.query;
      const fleetId =
        fleet === undefined ? undefined : found('fleet', await registry.findFleet(organizationId, fleet)).id;
      const assetId =
        trailer === undefined ? undefined : found('trailer', await registry.findVehicleId(organizationId, trailer));
      const binding = { organizationId, query: `latest ${fleetId ?? '-'} ${assetId ?? '-'}` };
      const afterAssetId = (readPlace(cursors, binding, request.query.next)?.[0] ?? null) as string | null;
      const page = await reader.latest({
        organizationId,
        plantIds,
        ...(fleetId !== undefined && { fleetId }),
        ...(assetId !== undefined && { assetId }),
        afterAssetId,
        take,
      });
      const after = page.afterAssetId;
      return sendJson(reply, pageJson(joined(page.rows), after === null ? null : cursors.seal(binding, [after])));
    },
  );

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
      const { organizationId, plantIds } = principalOf(request);
      const { next, from, fleet, signals, take = TAKE_DEFAULT } = request.query;
      if (next !== undefined && from !== undefined)
        throw misused('from', 'says where to start, and `next` does already; send one of them');
      const binding = feedBinding(organizationId);
      const place = readPlace(cursors, binding, next);
      const signalGroups = signals === undefined ? undefined : readSignals(signals);
      const fleetId =
        fleet === undefined ? undefined : found('fleet', await registry.findFleet(organizationId, fleet)).id;
      const start = from === 'now' ? await reader.head() : 0;
      const page = await reader.feed({
        organizationId,
        plantIds,
        ...(fleetId !== undefined && { fleetIds: [fleetId] }),
        ...(signalGroups !== undefined && { signalGroups }),
        afterPosition: (place?.[0] ?? start) as number,
        take,
      });
      const json = pageJson(joined(page.rows), cursors.seal(binding, [page.through]), { caughtUp: page.isCaughtUp });
      return sendJson(reply, json);
    },
  );
}

function joined(rows: readonly { readonly json: string }[]): string {
  return rows.map((row) => row.json).join(',');
}

/** The bit set of the groups named, separated by commas. */
function readSignals(text: string): number {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !isSignalGroup(name));
  if (unknown !== undefined)
    throw misused('signals', `names ${JSON.stringify(unknown.slice(0, 40))}, which is no signal group`);
  return signalGroupBits(names);
}

function misused(parameter: string, detail: string): Fault {
  return new Fault('validation-failed', `The query does not match its schema: /query/${parameter} ${detail}.`, {
    errors: [{ pointer: `/query/${parameter}`, code: 'invalid', detail }],
  });
}
