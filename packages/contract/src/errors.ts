/**
 * The error registry. Codes never change: a code is never renamed, reused or given another status. `title` is the public
 * text of the code. `retryable` says whether the same request may succeed later without a change. Errors are answered as
 * RFC 9457 problem documents (`application/problem+json`). The operations of the partner API-key document answer
 * `{statusCode, error, code, message, details}` instead, with `envelopeCode`.
 */
export interface ErrorEntry {
  readonly status: number;
  readonly title: string;
  readonly retryable: boolean;
  /** The code in the `{statusCode, error, code, message, details}` envelope; default: the upper-cased code. */
  readonly envelopeCode?: string;
}

export const ERRORS = {
  'malformed-request': { status: 400, title: 'The request is not well-formed HTTP', retryable: false },
  'malformed-json': {
    status: 400,
    title: 'The body is not valid JSON',
    retryable: false,
    envelopeCode: 'VALIDATION_ERROR',
  },
  'empty-body': { status: 400, title: 'The body is empty', retryable: false, envelopeCode: 'VALIDATION_ERROR' },
  'too-deep': { status: 400, title: 'The JSON is nested too deeply', retryable: false },
  'forbidden-json-key': { status: 400, title: 'The JSON has a key that is not accepted', retryable: false },
  'malformed-encoding': { status: 400, title: 'The body could not be decoded', retryable: false },
  'validation-failed': {
    status: 400,
    title: 'The request does not match its schema',
    retryable: false,
    envelopeCode: 'VALIDATION_ERROR',
  },
  'invalid-uuid': { status: 400, title: 'The id is not a UUID', retryable: false, envelopeCode: 'INVALID_UUID' },
  'invalid-vin': { status: 400, title: 'The VIN is not valid', retryable: false },
  'invalid-cursor': { status: 400, title: 'The cursor is not valid here', retryable: false },
  'invalid-range': { status: 400, title: 'The time range is not valid', retryable: false },
  'invalid-idempotency-key': { status: 400, title: 'The Idempotency-Key is not valid', retryable: false },
  'digest-mismatch': { status: 400, title: 'The body is not the one that was signed', retryable: false },
  'credential-in-url': { status: 400, title: 'A credential was sent in the URL', retryable: false },
  unauthorized: { status: 401, title: 'Authentication is required', retryable: false, envelopeCode: 'UNAUTHORIZED' },
  'invalid-api-key': {
    status: 401,
    title: 'The API key was not accepted',
    retryable: false,
    envelopeCode: 'UNAUTHORIZED',
  },
  'invalid-token': {
    status: 401,
    title: 'The access token was not accepted',
    retryable: false,
    envelopeCode: 'UNAUTHORIZED',
  },
  'token-expired': {
    status: 401,
    title: 'The access token has expired',
    retryable: false,
    envelopeCode: 'UNAUTHORIZED',
  },
  'signature-missing': { status: 401, title: 'The request has to be signed', retryable: false },
  'signature-invalid': { status: 401, title: 'The signature was not accepted', retryable: false },
  'signature-expired': { status: 401, title: 'The signature was made too long ago or ahead of time', retryable: false },
  'signature-replayed': { status: 401, title: 'The signature was used before', retryable: false },
  'sign-in-refused': { status: 401, title: 'Signing in was refused', retryable: false },
  forbidden: { status: 403, title: 'The caller may not do this', retryable: false, envelopeCode: 'FORBIDDEN' },
  'missing-scope': { status: 403, title: 'The key lacks a scope', retryable: false, envelopeCode: 'FORBIDDEN' },
  'address-not-allowed': {
    status: 403,
    title: 'The key may not be used from this address',
    retryable: false,
    envelopeCode: 'FORBIDDEN',
  },
  'unknown-product': { status: 403, title: "The key's product is not installed", retryable: false },
  'wrong-password': { status: 403, title: 'The current password is not right', retryable: false },
  'cross-site-request': { status: 403, title: 'Another site sent the request', retryable: false },
  'not-found': { status: 404, title: 'Not found', retryable: false, envelopeCode: 'NOT_FOUND' },
  'api-key-not-found': {
    status: 404,
    title: 'There is no such API key',
    retryable: false,
    envelopeCode: 'API_KEY_NOT_FOUND',
  },
  'method-not-allowed': { status: 405, title: 'The method is not allowed here', retryable: false },
  'already-exists': { status: 409, title: 'It exists already', retryable: false, envelopeCode: 'CONFLICT' },
  'api-key-revoked': { status: 409, title: 'The API key has been revoked', retryable: false },
  'rotation-in-progress': { status: 409, title: 'The key has been rotated already', retryable: false },
  'plan-in-use': { status: 409, title: 'Organizations are on the plan', retryable: false },
  'last-admin': { status: 409, title: 'The organization would be left without an admin', retryable: false },
  'body-timeout': { status: 408, title: 'The request took too long to arrive', retryable: true },
  'body-too-large': { status: 413, title: 'The body is too large', retryable: false },
  'uri-too-long': { status: 414, title: 'The URL is too long', retryable: false },
  'unsupported-media-type': { status: 415, title: 'The content type is not supported', retryable: false },
  'expectation-failed': { status: 417, title: 'The Expect header cannot be met', retryable: false },
  'idempotency-key-reused': {
    status: 422,
    title: 'The Idempotency-Key was used with other bytes',
    retryable: false,
  },
  'rate-limited': { status: 429, title: 'A limit is used up', retryable: true },
  'too-many-concurrent-requests': { status: 429, title: 'Too many requests are under way', retryable: true },
  'too-many-attempts': { status: 429, title: 'Too many attempts', retryable: true },
  'too-many-streams': { status: 429, title: 'Too many streams are open', retryable: true },
  'reading-too-slowly': { status: 429, title: 'The client has stopped reading its stream', retryable: true },
  'headers-too-large': { status: 431, title: 'The request headers are too large', retryable: false },
  'internal-error': {
    status: 500,
    title: 'Something went wrong on our side',
    retryable: true,
    envelopeCode: 'INTERNAL_SERVER_ERROR',
  },
  overloaded: { status: 503, title: 'The server has more to take in than it can', retryable: true },
  'temporarily-unavailable': { status: 503, title: 'Temporarily unavailable', retryable: true },
  'shutting-down': { status: 503, title: 'The server is shutting down', retryable: true },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** One error in one place of the request. `pointer` is an RFC 6901 JSON Pointer into the body, or `/query/...` and the like. */
export interface FieldError {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

/** The `type` of a code's problem document: the URL that explains the code. */
export function errorType(code: ErrorCode): string {
  return `https://gladhand.dev/errors/${code}`;
}
