import type { Page } from '@gladhand/base/page.ts';
import { POSITION_BIT } from '@gladhand/contract/signals.ts';
import { type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely';
import { type ExaminedRow, toBoundedPage } from '../database/bounded-page.ts';
import { ofOrganization, ofOrganizations } from '../database/of-organization.ts';
import type { Schema } from '../database/schema.ts';
import type {
  FeedFilter,
  FeedRequest,
  FeedRow,
  LatestRequest,
  LatestRow,
  PlantIds,
  TailRequest,
  TailRow,
  TimeRequest,
} from './read.ts';

/**
 * The statements that read the truth, each a bounded page (database/bounded-page.ts): what an index answers stands in
 * the inner query and chooses the rows to examine, at most `examinedRowsMax`; everything else stands in `passes`.
 */
const instant = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const orNull = (column: string, text: string) =>
  `case when ${column} is null then 'null' else '"' || ${text} || '"' end`;

/** One record as wire JSON. Every text that stands in it bare is a UUID, a slug, an instant or JSON already. */
function recordJson(signals: string): RawBuilder<string> {
  return sql.raw(`'{"id":"' || r.id || '","assetId":"' || r.asset_id || '","assetKind":"' || r.asset_kind
    || '","deviceId":' || ${orNull('r.device_id', 'r.device_id')}
    || ',"product":"' || r.product || '","mappingVersion":' || r.mapping_version || ',"receiptId":"' || r.receipt_id
    || '","position":' || r.position || ',"observedAt":"' || ${instant('r.observed_at')}
    || '","deviceAt":' || ${orNull('r.device_at', instant('r.device_at'))}
    || ',"receivedAt":"' || ${instant('r.received_at')} || '","processedAt":"' || ${instant('r.processed_at')}
    || '","signals":' || ${signals} || coalesce(',"states":' || r.states, '') || '}'`);
}

const WHOLE = recordJson('r.signals');
const GPS_ONLY = recordJson(`'{"gps":' || (r.signals->'gps')::text || '}'`);

type Condition = RawBuilder<SqlBool>;

function allOf(conditions: readonly (Condition | undefined)[]): Condition {
  const given = conditions.filter((condition) => condition !== undefined);
  return given.length === 0 ? sql<SqlBool>`true` : sql<SqlBool>`${sql.join(given, sql` and `)}`;
}

function ofPlants(plantIds: PlantIds | undefined, kind: string, assetId: string): Condition | undefined {
  if (plantIds == null) return undefined;
  return sql`(${sql.ref(kind)} <> 'plant' or ${sql.ref(assetId)} = any(${[...plantIds]}::uuid[]))`;
}

/** Fleets and assets add up; without either, every asset passes. */
function amongAssets({ fleetIds, assetIds }: FeedFilter): Condition | undefined {
  if (fleetIds === undefined && assetIds === undefined) return undefined;
  return sql`(r.fleet_id = any(${[...(fleetIds ?? [])]}::uuid[]) or r.asset_id = any(${[...(assetIds ?? [])]}::uuid[]))`;
}

/** The highest position that is visible to this connection. */
export async function readHead(connection: Kysely<Schema>): Promise<number> {
  const only = connection.selectFrom('telemetry_position').select('value').where('singleton', '=', true);
  const row = await only.executeTakeFirstOrThrow();
  return Number(row.value);
}

export async function readFeed(
  connection: Kysely<Schema>,
  request: FeedRequest,
  examinedRowsMax: number,
): Promise<Page<FeedRow & ExaminedRow>> {
  const { organizationId, afterPosition, take, signalGroups } = request;
  const passes = allOf([
    amongAssets(request),
    signalGroups ? sql`r.signal_groups & ${signalGroups} <> 0` : undefined,
    ofPlants(request.plantIds, 'r.asset_kind', 'r.asset_id'),
  ]);
  const { rows } = await sql<FeedRow & ExaminedRow>`
    select r.position, r.asset_id as "assetId", r.asset_kind as "assetKind", r.fleet_id as "fleetId",
      r.signal_groups as "signalGroups", r.passes, r.n = ${examinedRowsMax} as "isLast", case when r.passes then ${WHOLE} end as json
    from (
      select r.*, ${passes} as passes, row_number() over (order by r.position) as n
      from record r
      where ${ofOrganization('r.organization_id', organizationId)} and r.position > ${afterPosition}
      order by r.position limit ${examinedRowsMax}
    ) r
    where r.passes or r.n = ${examinedRowsMax}
    order by r.position limit ${take + 1}`.execute(connection);
  return toBoundedPage(rows, take);
}

/** Records after `afterPosition` up to `end`, at most one more than asked for; the order is that of the index `record_tail`. */
export async function readTail(
  connection: Kysely<Schema>,
  { organizationIds, afterPosition, take }: TailRequest,
  end: number,
): Promise<TailRow[]> {
  const { rows } = await sql<TailRow>`
    select r.organization_id as "organizationId", r.position, r.asset_id as "assetId", r.asset_kind as "assetKind",
      r.fleet_id as "fleetId", r.signal_groups as "signalGroups", ${WHOLE} as json
    from record r
    where r.position > ${afterPosition} and r.position <= ${end} and ${ofOrganizations('r.organization_id', organizationIds)}
    order by r.position nulls first limit ${take + 1}`.execute(connection);
  return rows;
}

export interface TimeRow extends ExaminedRow {
  readonly id: string;
  readonly observedAt: Date;
  readonly json: string;
}

export async function readByTime(
  connection: Kysely<Schema>,
  request: TimeRequest,
  examinedRowsMax: number,
): Promise<Page<TimeRow>> {
  const { organizationId, of, fromMs, toMs, after, take } = request;
  const direction = sql.raw(request.order);
  const beyond = sql.raw(request.order === 'asc' ? '>' : '<');
  // Fixes have an index of their own. So an asset without any costs nothing, however much it reports.
  const indexed = allOf([
    ofOrganization('r.organization_id', organizationId),
    'assetId' in of ? sql`r.asset_id = ${of.assetId}` : sql`r.device_id = ${of.deviceId}`,
    request.gpsOnly ? sql`(r.signal_groups & ${sql.raw(String(POSITION_BIT))}) <> 0` : undefined,
    fromMs === null ? undefined : sql`r.observed_at >= ${new Date(fromMs)}`,
    toMs === null ? undefined : sql`r.observed_at < ${new Date(toMs)}`,
    after === null
      ? undefined
      : sql`(r.observed_at, r.id) ${beyond} (${new Date(after.observedAtMs)}::timestamptz, ${after.id}::uuid)`,
  ]);
  const passes = allOf([ofPlants(request.plantIds, 'r.asset_kind', 'r.asset_id')]);
  const { rows } = await sql<TimeRow>`
    select r.id, r.observed_at as "observedAt", r.passes, r.n = ${examinedRowsMax} as "isLast",
      case when r.passes then ${request.gpsOnly ? GPS_ONLY : WHOLE} end as json
    from (
      select r.*, ${passes} as passes, row_number() over (order by r.observed_at ${direction}, r.id ${direction}) as n
      from record r where ${indexed}
      order by r.observed_at ${direction}, r.id ${direction} limit ${examinedRowsMax}
    ) r
    where r.passes or r.n = ${examinedRowsMax}
    order by r.observed_at ${direction}, r.id ${direction} limit ${take + 1}`.execute(connection);
  return toBoundedPage(rows, take);
}

/** Before every id. */
const NIL = '00000000-0000-0000-0000-000000000000';

export async function readLatest(
  connection: Kysely<Schema>,
  request: LatestRequest,
  examinedRowsMax: number,
): Promise<Page<LatestRow & ExaminedRow>> {
  const { organizationId, fleetId, assetId, afterAssetId, take } = request;
  // Each order is that of one index alone, `asset_walk` or `asset_fleet`. By `id` alone, the planner may as well walk
  // the primary key past the assets of every other organization or fleet.
  const order = fleetId === undefined ? sql`a.id nulls first` : sql`a.fleet_id, a.id`;
  const indexed = allOf([
    ofOrganization('a.organization_id', organizationId),
    assetId === undefined ? undefined : sql`a.id = ${assetId}`,
    ...(fleetId === undefined
      ? [afterAssetId === null ? undefined : sql<SqlBool>`a.id > ${afterAssetId}`]
      : [
          sql<SqlBool>`(a.fleet_id, a.id) > (${fleetId}::uuid, ${afterAssetId ?? NIL}::uuid) and a.fleet_id <= ${fleetId}`,
        ]),
  ]);
  const visible = allOf([ofPlants(request.plantIds, 'a.kind', 'a.id')]);
  // Values are put together asset by asset. A merge join would read those of every organization.
  const { rows } = await sql<LatestRow & ExaminedRow>`
    select a.id as "assetId", a.visible and l.metrics is not null as passes, a.n = ${examinedRowsMax} as "isLast",
      case when a.visible then '{"assetId":"' || a.id || '","assetKind":"' || a.kind || '","vin":'
        || ${sql.raw(orNull('a.vin', 'a.vin'))} || ',"metrics":{' || l.metrics || '}' || coalesce(',"cappedGroups":' || l.capped, '') || '}' end as json
    from (
      select a.id, a.kind, a.vin, a.fleet_id, ${visible} as visible, row_number() over (order by ${order}) as n
      from asset a where ${indexed}
      order by ${order} limit ${examinedRowsMax}
    ) a
    left join lateral (
      select string_agg(substr(l.metrics::text, 2, length(l.metrics::text) - 2), ',' order by l.signal_group) as metrics,
        json_agg(l.signal_group order by l.signal_group) filter (where l.is_capped) as capped
      from latest l where l.asset_id = a.id and l.metrics::text <> '{}'
    ) l on true
    where (a.visible and l.metrics is not null) or a.n = ${examinedRowsMax}
    order by ${order} limit ${take + 1}`.execute(connection);
  return toBoundedPage(rows, take);
}
