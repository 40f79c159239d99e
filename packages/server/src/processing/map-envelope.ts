import type { Logger } from '@gladhand/base/log.ts';
import { readJson } from '@gladhand/base/read-json.ts';
import type { Envelope } from '../intake-log/intake-log.ts';
import type { Reject } from '../mapping/mapped-record.ts';
import type { Products } from '../products/products.ts';
import type { MappedEnvelope } from './settle.ts';

export function mapEnvelope(
  parts: { products: Products; log: Logger },
  envelope: Envelope,
  receivedAtMs = envelope.receivedAtMs,
): MappedEnvelope {
  const product = parts.products.find(envelope.product);
  if (product === undefined)
    return quarantined(envelope, 'product-missing', `the product \`${envelope.product}\` is not installed any more`);
  try {
    const outcome = product.mapping.run({
      payload: readJson(envelope.body),
      ...envelope.asset,
      receivedAtMs,
    });
    return { envelope, mappingVersion: product.mappingVersion, ...outcome };
  } catch (error) {
    parts.log.error({ err: error, receiptId: envelope.id }, 'a mapping threw');
    return quarantined(
      envelope,
      'mapping-failed',
      'the mapping failed on this payload; the operator finds the cause in the log under the receipt id',
    );
  }
}

/** Nothing is lost: the envelope stays in the vault and its receipt says why it came to nothing. */
export function quarantined(envelope: Envelope, code: Reject['code'], detail: string): MappedEnvelope {
  const reject: Reject = { refused: 'payload', record: 0, code, pointer: '', expression: '', found: '', detail };
  return {
    envelope,
    mappingVersion: null,
    records: [],
    rejects: [reject],
    rejectsTotal: 1,
    skipped: 0,
    leaves: null,
    dependsOnArrival: false,
  };
}
