import { ok } from '@oazapfts/runtime';
import * as gladhand from './gladhand.ts';

/**
 * A stranger's program, on a client that was generated from openapi.json: it sends as a partner, reads as a customer,
 * and tells refusals apart by their codes. A test generates the client, compiles this in strict mode and runs it.
 *
 *   npx oazapfts packages/contract/openapi.json tools/client/gladhand.ts
 *   node tools/client/round-trip.ts <base URL> <partner key> <customer key> <VIN>
 */
const [base, partnerKey, customerKey, vin] = process.argv.slice(2) as [string, string, string, string];
gladhand.defaults.baseUrl = base;

const withKey = (key: string) => ({ headers: { 'X-API-KEY': key } });
const withToken = ({ accessToken }: gladhand.IssuedToken) => ({ headers: { Authorization: `Bearer ${accessToken}` } });
const asPartner = withToken(await ok(gladhand.authenticatePartner(withKey(partnerKey))));
const asCustomer = withToken(await ok(gladhand.authenticateCustomer(withKey(customerKey))));

const payload = { unit: { serial: 'DS-0001' }, reports: [{ at: new Date().toISOString(), moving: true }] };
const accepted = await ok(gladhand.sendTelemetry(vin, payload, { idempotencyKey: 'report-1' }, asPartner));
let receipt: gladhand.Receipt;
do receipt = await ok(gladhand.getReceipt(accepted.receiptId, asPartner));
while (receipt.status === 'queued');

// The status says which codes there can be, and the compiler knows them.
const refused = await gladhand.sendTelemetry('TOO-SHORT', payload, {}, asPartner);
if (refused.status !== 400) throw new Error(`expected 400, found ${refused.status}`);
const isVin = refused.data.code === 'invalid-vin';
const unknown = await gladhand.getFleet('nobodys', asCustomer);
const missing: 'not-found' | undefined = unknown.status === 404 ? unknown.data.code : undefined;

const fleets = await ok(gladhand.listFleets({ take: 10 }, asCustomer));
const feed = await ok(gladhand.readTelemetryFeed({ take: 500 }, asCustomer));
const records = feed.data.filter((record) => receipt.recordIds.includes(record.id));

console.log(
  JSON.stringify({
    receipt: receipt.status,
    refused: isVin ? refused.data.errors[0]?.pointer : refused.data.code,
    missing,
    fleets: fleets.data.map(({ name }) => name),
    moving: records.map(({ signals }) => signals.motion?.moving),
  }),
);
