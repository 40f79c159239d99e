import type { RegisteredPlant } from '@gladhand/contract/registration.ts';
import type { DeliverSafeUnit, Trailer } from '@gladhand/contract/registry.ts';
import type { AssetRow } from './asset-store.ts';
import { toStamps } from './stored-row.ts';

/** Assets as the contract has them. */

export function toTrailer(row: AssetRow): Trailer {
  return {
    id: row.id,
    vin: row.vin as string,
    vinCheck: row.vin_check as 'pass' | 'fail',
    fleetId: row.fleet_id,
    name: row.name,
    unitNumber: row.unit_number,
    isActive: row.is_active,
    ...toStamps(row),
  };
}

export function toDeliverSafeUnit(row: AssetRow): DeliverSafeUnit {
  const { id, ...rest } = toTrailer(row);
  return { id, serialNumber: row.serial_number as string, ...rest };
}

export function toPlant(row: AssetRow): RegisteredPlant {
  return {
    id: row.id,
    fleetId: row.fleet_id,
    name: row.name,
    unitNumber: row.unit_number,
    isActive: row.is_active,
    ...toStamps(row),
  };
}
