import { Fault } from '@gladhand/base/fault.ts';
import type { Listed, Walk } from '@gladhand/base/page.ts';
import type { ContestedVin } from '@gladhand/contract/contested-vins.ts';
import { isPlatformOperator, type Person } from '../access/principal.ts';
import type { Database } from '../database/database.ts';
import { selectContestedVins } from './claim-store.ts';

/**
 * VINs that several organizations have in service, for platform operators; `walk` goes by VIN. Organizations are told
 * nothing of each other (decision 0011), so nobody else may ask. Throws `forbidden`.
 */
export async function listContestedVins(
  database: Database,
  person: Person,
  { afterId: afterVin, take }: Walk,
): Promise<Listed<ContestedVin>> {
  if (!isPlatformOperator(person))
    throw new Fault('forbidden', 'Only an admin of the operator sees what several organizations have registered.');
  const found = await selectContestedVins(database.system, { afterVin, take: take + 1 });
  const items = found.slice(0, take);
  return { items, afterId: found.length > take ? items.at(-1)!.vin : null };
}
