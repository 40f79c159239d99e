import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack, DurationSchema } from '@bufbuild/protobuf/wkt';
import type { Fault } from '@gladhand/base/fault.ts';
import { ErrorInfoSchema, RetryInfoSchema } from '@gladhand/contract/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '@gladhand/contract/gen/google/rpc/status_pb.ts';
import { status as Code, Metadata, type StatusObject } from '@grpc/grpc-js';

/**
 * The one table from faults to gRPC: the code of the error registry decides by its HTTP status, and travels along as
 * `gladhand-error-code` and as google.rpc.ErrorInfo in `grpc-status-details-bin`, where standard clients look; there
 * stands google.rpc.RetryInfo too when it is known how long to wait.
 */
const CODES: Readonly<Record<number, Code>> = {
  400: Code.INVALID_ARGUMENT,
  401: Code.UNAUTHENTICATED,
  403: Code.PERMISSION_DENIED,
  404: Code.NOT_FOUND,
  413: Code.RESOURCE_EXHAUSTED,
  429: Code.RESOURCE_EXHAUSTED,
  503: Code.UNAVAILABLE,
};

/** `cursor`: where the caller can resume; added to the message, the trailers and the details. */
export function toGrpcStatus(fault: Fault, cursor?: string): StatusObject {
  const code = CODES[fault.status] ?? Code.INTERNAL;
  const message = cursor === undefined ? fault.message : `${fault.message} Cursor: ${cursor}`;
  const metadata = new Metadata();
  metadata.set('gladhand-error-code', fault.code);
  if (cursor !== undefined) metadata.set('gladhand-cursor', cursor);
  const info = create(ErrorInfoSchema, {
    reason: fault.code,
    domain: 'gladhand.dev',
    metadata: cursor === undefined ? {} : { cursor },
  });
  const details = [anyPack(ErrorInfoSchema, info)];
  if (fault.retryAfterSeconds !== undefined) {
    const seconds = Math.max(1, Math.ceil(fault.retryAfterSeconds));
    metadata.set('retry-after', String(seconds));
    const retryDelay = create(DurationSchema, { seconds: BigInt(seconds) });
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  if (fault.refusal !== undefined) {
    metadata.set('ratelimit-policy', fault.refusal.limit.policy);
    metadata.set('ratelimit', `"${fault.refusal.limit.name}";r=0`);
  }
  const status = create(StatusSchema, { code, message, details });
  metadata.set('grpc-status-details-bin', Buffer.from(toBinary(StatusSchema, status)));
  return { code, details: message, metadata };
}
