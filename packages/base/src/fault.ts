import { ERRORS, type ErrorCode, type FieldError } from '@gladhand/contract/errors.ts';
import type { RefusingLimit } from '@gladhand/contract/refusing-limit.ts';

/**
 * The one way the server says no. A `Fault` carries a code of the error registry and text meant for the caller;
 * whatever is internal goes into `cause`, which is logged and never answered. Anything thrown that is not a Fault
 * is a programming error and becomes a plain 500.
 */
export class Fault extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly FieldError[];
  /** Seconds after which a retry makes sense; answered as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;
  /** The limit that refused, when one did, and when it will let the next request pass. */
  readonly refusal: LimitRefusal | undefined;
  /** What HTTP says beside the body, such as `allow` of a 405. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ErrorCode,
    detail: string,
    options: {
      errors?: readonly FieldError[];
      retryAfterSeconds?: number;
      refusal?: LimitRefusal;
      headers?: Readonly<Record<string, string>>;
      cause?: unknown;
    } = {},
  ) {
    // Nobody reads where a refusal came from, and finding out takes longer than the rest of refusing.
    const { status } = ERRORS[code];
    const { stackTraceLimit } = Error;
    if (status === 429 || status === 503) Error.stackTraceLimit = 0;
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'Fault';
    this.code = code;
    this.errors = options.errors ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.refusal = options.refusal;
    this.headers = options.headers ?? {};
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

export interface LimitRefusal {
  readonly limit: RefusingLimit;
  /** Unix ms. */
  readonly retryAtMs: number;
}

/** Repeats nothing of the request and does not depend on whose the thing may be. */
export function nothingHere(noun: string): Fault {
  return new Fault('not-found', `There is no such ${noun}. Check the id; lists show the ones you have.`);
}
