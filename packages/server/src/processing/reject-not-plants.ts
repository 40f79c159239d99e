import { REJECTS_TOLD_MAX } from '@gladhand/contract/intake.ts';
import type { Kysely } from 'kysely';
import type { Schema } from '../database/schema.ts';
import type { Reject } from '../mapping/mapped-record.ts';
import { findOtherThanPlants } from '../registry/resolve.ts';
import type { MappedEnvelope } from './settle.ts';

/**
 * Ends what was sent to a plant whose id is that of a trailer or a unit. No plant can be registered under it any more,
 * so its records would wait for ever. Another organization's asset is not told to a customer's key: to that key it is an
 * id that nobody has registered.
 */
export async function rejectNotPlants(
  trx: Kysely<Schema>,
  batch: readonly MappedEnvelope[],
  parts: { isKnown: (plantId: string) => boolean; operators: ReadonlySet<string> },
): Promise<readonly MappedEnvelope[]> {
  const named = batch.flatMap(({ envelope: { asset } }) => ('plantId' in asset ? [asset.plantId] : []));
  const others = await findOtherThanPlants(
    trx,
    [...new Set(named)].filter((plantId) => !parts.isKnown(plantId)),
  );
  if (others.size === 0) return batch;
  return batch.map((mapped) => {
    const { asset, organizationId } = mapped.envelope;
    const owner = 'plantId' in asset ? others.get(asset.plantId) : undefined;
    const isTold = owner !== undefined && (owner === organizationId || parts.operators.has(organizationId));
    return isTold ? rejected(mapped) : mapped;
  });
}

function rejected(mapped: MappedEnvelope): MappedEnvelope {
  const records = mapped.records.filter(({ assetRef }) => 'vin' in assetRef);
  if (records.length === mapped.records.length) return mapped;
  const detail = 'the id of the path is that of an asset that is no plant; send its telemetry under its VIN';
  const place = { refused: 'payload', record: 0, pointer: '', expression: '', found: '' } as const;
  const reject: Reject = { ...place, code: 'not-a-plant', detail };
  const rejects = [reject, ...mapped.rejects].slice(0, REJECTS_TOLD_MAX);
  return { ...mapped, records, rejects, rejectsTotal: mapped.rejectsTotal + 1 };
}
