import { isUuid } from '@gladhand/base/ids.ts';
import type { AssetRef } from '@gladhand/contract/asset-ref.ts';
import { normalizeVin } from '@gladhand/contract/vin.ts';
import type { Principal } from '../access/principal.ts';
import type { Charge } from '../limits/limits.ts';
import type { LimitRules } from './limit-rules.ts';

/**
 * Of each VIN or plant within a product, for each organization that sends: nobody uses up what another needs. Undefined
 * when there is no such product. `asset`: as it stands in the path.
 */
export function intakeCharges(rules: LimitRules, principal: Principal, asset: AssetRef): Charge[] | undefined {
  const { organizationId, product } = principal;
  const allowance = product === null ? undefined : rules.intake(product);
  if (allowance === undefined) return undefined;
  const whole = `${organizationId}/${product}`;
  const key = `${whole}/${quotaKey(asset)}`;
  const charges: Charge[] = allowance.perAsset.map((policy) => ({ policy, key, cost: 1 }));
  for (const policy of allowance.total) charges.push({ policy, key: whole, cost: 1 });
  return charges;
}

/** As intake will read it; whatever is no name of an asset shares one quota, so that nobody makes up new ones. */
function quotaKey(asset: AssetRef): string {
  if ('plantId' in asset) return isUuid(asset.plantId) ? asset.plantId.toLowerCase() : '-';
  const read = normalizeVin(asset.vin);
  return read.ok ? read.vin : '-';
}
