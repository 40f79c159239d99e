import type { PartnerFormat } from './format.ts';

/** DeliverSafe */
export const deliversafeFormat: PartnerFormat = {
  readingsPerMessageMax: 50,
  historyStepMs: 30_000,
  sendsIdempotencyKey: true,
  render(asset, readings, sentAtMs) {
    return { serialNumber: asset.serialNumber, sentAt: new Date(sentAtMs).toISOString(), readings };
  },
};
