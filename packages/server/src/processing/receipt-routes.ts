import { Fault } from '@gladhand/base/fault.ts';
import { isUuid } from '@gladhand/base/ids.ts';
import { ReceiptBody, type RejectBody } from '@gladhand/contract/intake.ts';
import { Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { principalOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { type FoundReceipt, findReceipt } from './store.ts';

/** The door of receipts: a partner asks what became of a payload. Another partner's receipt is a 404. */
export function registerReceiptRoutes(http: Http, parts: { database: Database }): void {
  http.get(
    '/api/v1/telemetry/receipts/:id',
    {
      config: { access: { audience: 'partner', scopes: ['telemetry:write'] } },
      schema: {
        operationId: 'getReceipt',
        refusals: ['not-found'],
        tags: ['Partner intake'],
        summary: 'What became of a payload',
        params: Type.Object({ id: Type.String({ description: 'The `receiptId` of the 202.' }) }),
        response: { 200: ReceiptBody },
      },
    },
    async (request) => {
      const { id } = request.params;
      const receipt = isUuid(id)
        ? await findReceipt(parts.database, principalOf(request), id.toLowerCase())
        : undefined;
      if (receipt === undefined) throw new Fault('not-found', 'There is no such receipt.');
      return toBody(receipt);
    },
  );
}

function toBody(receipt: FoundReceipt): ReceiptBody {
  return {
    receiptId: receipt.id,
    receivedAt: receipt.receivedAt.toISOString(),
    status: receipt.status ?? 'queued',
    product: receipt.product,
    vin: receipt.vin,
    plantId: receipt.plantId,
    mappingVersion: receipt.mappingVersion,
    processedAt: receipt.processedAt?.toISOString() ?? null,
    recordIds: receipt.recordIds ?? [],
    skipped: receipt.skipped ?? 0,
    rejectsTotal: receipt.rejectsTotal ?? 0,
    rejects: (receipt.rejects ?? []) as RejectBody[],
    leaves: leavesOf(receipt),
    repeats: receipt.repeats,
    unclaimed: receipt.unclaimed ?? [],
  };
}

function leavesOf({ leaves, leftOutPaths, unusedPaths }: FoundReceipt): ReceiptBody['leaves'] {
  if (leaves === null) return null;
  const [taken, skipped, leftOut, rejected, unused] = leaves as [number, number, number, number, number];
  return {
    taken,
    skipped,
    leftOut,
    rejected,
    unused,
    leftOutPaths: leftOutPaths ?? [],
    unusedPaths: unusedPaths ?? [],
  };
}
