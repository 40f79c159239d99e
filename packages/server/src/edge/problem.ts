import { STATUS_CODES } from 'node:http';
import { Fault } from '@gladhand/base/fault.ts';
import { ERRORS, type ErrorCode, errorType } from '@gladhand/contract/errors.ts';
import { asFault } from '../database/database-fault.ts';
import { type ValidatedPart, type ValidationFinding, validationFault } from './findings.ts';

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

/** Reason phrases of RFC 9110, where Node has older ones. */
const REASONS: Readonly<Record<number, string | undefined>> = {
  ...STATUS_CODES,
  413: 'Content Too Large',
  422: 'Unprocessable Content',
};

/** RFC 9457 problem document, or the `{statusCode, error, code, message, details}` envelope of the API-key document. */
export function renderFault(fault: Fault, requestId: string, family: ErrorFamily): RenderedError {
  const entry: { status: number; title: string; retryable: boolean; envelopeCode?: string } = ERRORS[fault.code];
  const headers: Record<string, string> = {
    'cache-control': 'no-store',
    'x-request-id': requestId,
    ...fault.headers,
  };
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
        details: { requestId, ...(fault.errors.length > 0 && { errors: fault.errors }), ...limitMembers(fault) },
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
      ...limitMembers(fault),
    }),
  };
}

function limitMembers({ refusal }: Fault): object {
  return refusal === undefined ? {} : { limit: refusal.limit, retryAt: new Date(refusal.retryAtMs).toISOString() };
}

function wwwAuthenticate(code: ErrorCode): string {
  if (code === 'invalid-token' || code === 'token-expired') return 'Bearer realm="gladhand", error="invalid_token"';
  return code === 'invalid-api-key' ? 'ApiKey realm="gladhand"' : 'Bearer realm="gladhand"';
}

interface Translation {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** RFC 9110 15.5.16: the answer says what would have been taken. */
const NOT_JSON: Translation = {
  code: 'unsupported-media-type',
  detail: 'Send the body as `Content-Type: application/json`.',
  headers: { accept: 'application/json' },
};

/** What Fastify, its validator and Node's parser throw, by their codes. */
const TRANSLATED: Readonly<Record<string, Translation>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'body-too-large', detail: 'The body is larger than this endpoint accepts.' },
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'malformed-json', detail: 'The body is not valid JSON.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'malformed-request',
    detail: 'The body is not as long as its Content-Length says.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: NOT_JSON,
  FST_ERR_CTP_INVALID_TYPE: NOT_JSON,
  FST_ERR_BAD_URL: { code: 'malformed-request', detail: 'The path has a malformed percent-encoding.' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'uri-too-long', detail: 'A part of the path is too long.' },
  ECONNRESET: { code: 'malformed-request', detail: 'The connection was closed before the request was complete.' },
};

/** What Fastify, its validator or Node's parser throw. */
interface FrameworkError {
  readonly code?: string;
  readonly statusCode?: number;
  readonly validation?: readonly ValidationFinding[];
  readonly validationContext?: ValidatedPart;
}

export function notJson(): Fault {
  return translate(NOT_JSON);
}

function translate({ code, detail, headers = {} }: Translation, cause?: unknown): Fault {
  return new Fault(code, detail, { headers, cause });
}

/** Turns anything thrown into the Fault that is answered; `internal-error` keeps the original as its cause. */
export function toFault(thrown: unknown): Fault {
  const error = asFault(thrown);
  if (error instanceof Fault) return error;
  const framework = error as FrameworkError;
  if (framework.validation) return validationFault(framework.validation, framework.validationContext ?? 'body');
  const translated = framework.code === undefined ? undefined : TRANSLATED[framework.code];
  if (translated) return translate(translated, error);
  if (framework.statusCode === 400)
    return new Fault('malformed-request', 'The request could not be read.', { cause: error });
  return new Fault('internal-error', 'The request failed on our side. Quote the requestId when you ask for help.', {
    cause: error,
  });
}
