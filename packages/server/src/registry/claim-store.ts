import type { ContestedVin } from '@gladhand/contract/contested-vins.ts';
import type { AssetKind } from '@gladhand/contract/record.ts';
import { sql } from 'kysely';
import type { AssetRow } from './asset-store.ts';
import type { Connection } from './stored-row.ts';

/** Whose an asset is: across organizations, because a partner names a VIN and not its owner. */

export interface ResolvedAsset {
  readonly id: string;
  readonly organizationId: string;
  readonly kind: AssetKind;
  readonly fleetId: string | null;
}

/**
 * The assets of each VIN, whose telemetry is first: of those in service the one that has been longest, and where none is,
 * the one that was last. So a VIN stays with whoever registered it first, and passes on when it is taken out of service;
 * putting it back into service is standing in line anew (decision 0011).
 */
const INHERITANCE = sql`is_active desc, case when is_active then is_active_since end, is_active_since desc, id`;

export async function selectAssetsByVin(
  db: Connection,
  vins: readonly string[],
): Promise<Map<string, ResolvedAsset[]>> {
  const rows = await db
    .selectFrom('asset')
    .select(['id', 'organization_id', 'kind', 'fleet_id', 'vin'])
    .where(sql<string>`vin`, '=', sql<string>`any(${vins}::text[])`)
    .orderBy(INHERITANCE)
    .execute();
  const assets = new Map<string, ResolvedAsset[]>();
  for (const row of rows) assets.set(row.vin!, [...(assets.get(row.vin!) ?? []), toResolved(row)]);
  return assets;
}

/** VINs that several organizations have in service, with who has them; the first of each has its telemetry. */
export async function selectContestedVins(
  db: Connection,
  slice: { readonly afterVin: string | null; readonly take: number },
): Promise<ContestedVin[]> {
  const { rows } = await sql<ContestedVin>`
    select vin, json_agg(json_build_object('assetId', id, 'organizationId', organization_id, 'kind', kind,
             'isActiveSince', to_char(is_active_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by ${INHERITANCE}) as claims
      from asset where is_active and vin > ${slice.afterVin ?? ''}
     group by vin having count(*) > 1 order by vin limit ${slice.take}`.execute(db);
  return rows;
}

export async function selectPlants(db: Connection, ids: readonly string[]): Promise<Map<string, ResolvedAsset>> {
  const rows = await db
    .selectFrom('asset')
    .select(['id', 'organization_id', 'kind', 'fleet_id'])
    .where('kind', '=', 'plant')
    .where(sql<string>`id`, '=', sql<string>`any(${ids}::uuid[])`)
    .execute();
  return new Map(rows.map((row) => [row.id, toResolved(row)]));
}

/** Of these ids, the assets that are no plants. */
export async function selectOtherThanPlants(
  db: Connection,
  ids: readonly string[],
): Promise<{ id: string; organizationId: string }[]> {
  return db
    .selectFrom('asset')
    .select(['id', 'organization_id as organizationId'])
    .where('kind', '<>', 'plant')
    .where(sql<string>`id`, '=', sql<string>`any(${ids}::uuid[])`)
    .execute();
}

function toResolved(row: Pick<AssetRow, 'id' | 'organization_id' | 'kind' | 'fleet_id'>): ResolvedAsset {
  return { id: row.id, organizationId: row.organization_id, kind: row.kind, fleetId: row.fleet_id };
}
