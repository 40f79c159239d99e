import { ERRORS, type ErrorCode, errorType, type FieldError } from '@gladhand/contract/errors.ts';
import { Fault } from '../base/fault.ts';
import { asFault } from '../database/database-fault.ts';

/**
 * The one table from errors to answers. A `Fault` is answered as it says; what Fastify or Node refuse by themselves
 * is translated to a code of the registry; everything else is a 500 whose cause is logged and never shown.
 */
export type ErrorFamily = 'problem' | 'envelope';

export interface RenderedError {
  readonly status: number;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** RFC 9457 problem document, or the `{statusCode, error, code, message, details}` envelope of the API-key document. */
export function renderFault(fault: Fault, requestId: string, family: ErrorFamily): RenderedError {
  const entry: { status: number; title: string; retryable: boolean; envelopeCode?: string } = ERRORS[fault.code];
  const headers: Record<string, string> = { 'cache-control': 'no-store', 'x-request-id': requestId };
  if (fault.retryAfterSeconds !== undefined)
    headers['retry-after'] = String(Math.max(1, Math.ceil(fault.retryAfterSeconds)));
  if (entry.status === 401) headers['www-authenticate'] = wwwAuthenticate(fault.code);
  if (family === 'envelope') {
    return {
      status: entry.status,
      contentType: 'application/json; charset=utf-8',
      headers,
      body: JSON.stringify({
        statusCode: entry.status,
        error: REASONS[entry.status] ?? entry.title,
        code: entry.envelopeCode ?? fault.code.toUpperCase().replaceAll('-', '_'),
        message: fault.message,
        details: { requestId, ...(fault.errors.length > 0 && { errors: fault.errors }), ...refusalOf(fault) },
      }),
    };
  }
  return {
    status: entry.status,
    contentType: 'application/problem+json; charset=utf-8',
    headers,
    body: JSON.stringify({
      type: errorType(fault.code),
      title: entry.title,
      status: entry.status,
      detail: fault.message,
      instance: `urn:uuid:${requestId}`,
      code: fault.code,
      requestId,
      retryable: entry.retryable,
      errors: fault.errors,
      ...refusalOf(fault),
    }),
  };
}

function refusalOf({ refusal }: Fault): object {
  return refusal === undefined ? {} : { limit: refusal.limit, retryAt: new Date(refusal.retryAtMs).toISOString() };
}

function wwwAuthenticate(code: ErrorCode): string {
  if (code === 'invalid-token' || code === 'token-expired') return 'Bearer realm="gladhand", error="invalid_token"';
  return code === 'invalid-api-key' ? 'ApiKey realm="gladhand"' : 'Bearer realm="gladhand"';
}

/** What Fastify, its validator and Node's parser throw, by their codes. */
const TRANSLATED: Readonly<Record<string, { code: ErrorCode; detail: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body-too-large', detail: 'The body is larger than this endpoint accepts.' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'empty-body', detail: 'Send a JSON document as the body.' },
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'malformed-json', detail: 'The body is not valid JSON.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'malformed-request',
    detail: 'The body is not as long as its Content-Length says.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported-media-type',
    detail: 'Send the body as `Content-Type: application/json`.',
  },
  FST_ERR_CTP_INVALID_TYPE: {
    code: 'unsupported-media-type',
    detail: 'Send the body as `Content-Type: application/json`.',
  },
  FST_ERR_BAD_URL: { code: 'malformed-request', detail: 'The path has a malformed percent-encoding.' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'uri-too-long', detail: 'A part of the path is too long.' },
  ECONNRESET: { code: 'malformed-request', detail: 'The connection was closed before the request was complete.' },
};

interface Refusal {
  readonly code?: string;
  readonly statusCode?: number;
  readonly validation?: readonly ValidationFinding[];
  readonly validationContext?: string;
}

/** What Ajv reports of one place. */
export interface ValidationFinding {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: Record<string, unknown>;
  readonly message?: string;
  /** The schema that was not met (Ajv's `verbose`): its description says what is expected in words. */
  readonly parentSchema?: { readonly description?: string };
}

const FINDINGS_MAX = 20;

/** Turns anything thrown into the Fault that is answered; `internal-error` keeps the original as its cause. */
export function toFault(thrown: unknown): Fault {
  const error = asFault(thrown);
  if (error instanceof Fault) return error;
  const refusal = error as Refusal;
  if (refusal.validation) return validationFault(refusal.validation, refusal.validationContext ?? 'body');
  const translated = refusal.code === undefined ? undefined : TRANSLATED[refusal.code];
  if (translated) return new Fault(translated.code, translated.detail, { cause: error });
  if (refusal.statusCode === 400)
    return new Fault('malformed-request', 'The request could not be read.', { cause: error });
  return new Fault('internal-error', 'The request failed on our side. Quote the requestId when you ask for help.', {
    cause: error,
  });
}

/** One entry per finding, with a pointer into the body, or into `/query`, `/path` or `/headers`. */
export function validationFault(findings: readonly ValidationFinding[], context: string): Fault {
  const root = { body: '', querystring: '/query', params: '/path', headers: '/headers' }[context] ?? '';
  const errors: FieldError[] = findings.slice(0, FINDINGS_MAX).map((finding) => {
    const missing = finding.params.missingProperty ?? finding.params.additionalProperty;
    const pointer = `${root}${finding.instancePath}${missing === undefined ? '' : `/${escapePointer(String(missing))}`}`;
    return { pointer, code: finding.keyword, detail: describe(finding) };
  });
  const first = errors[0];
  const where = root === '/query' ? 'query' : root === '/path' ? 'path' : root === '/headers' ? 'headers' : 'body';
  return new Fault(
    'validation-failed',
    first
      ? `The ${where} does not match its schema: ${first.pointer || '/'} ${first.detail}.`
      : `The ${where} does not match its schema.`,
    { errors },
  );
}

function describe(finding: ValidationFinding): string {
  if (finding.keyword === 'additionalProperties') return 'is not known here; check its spelling';
  if (finding.keyword === 'required') return 'is missing';
  if (finding.keyword === 'enum') return `must be one of ${JSON.stringify(finding.params.allowedValues)}`;
  if (finding.keyword === 'const') return `must be ${JSON.stringify(finding.params.allowedValue)}`;
  const expected = finding.parentSchema?.description;
  if (expected !== undefined && (finding.keyword === 'pattern' || finding.keyword === 'format')) {
    return `is not as expected: ${expected.replace(/\.$/, '')}`;
  }
  return finding.message ?? finding.keyword;
}

function escapePointer(token: string): string {
  return token.replaceAll('~', '~0').replaceAll('/', '~1');
}
