import { ERRORS, type ErrorCode, type FieldError } from '@gladhand/contract/errors.ts';
import type { RefusingLimit } from '@gladhand/contract/refusing-limit.ts';

/**
 * The only error that the server answers with its own text. A `Fault` has a code of the error registry and a text for the
 * caller. Internal details go into `cause`, which is logged and never answered. Anything else that is thrown is a
 * programming error and becomes a plain 500.
 */
export class Fault extends Error {
  readonly code: ErrorCode;
  readonly errors: readonly FieldError[];
  /** Seconds to wait before a retry; answered as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined;
  /** If a limit refused: which limit, and when it will admit the next request. */
  readonly refusal: LimitRefusal | undefined;
  /** Headers of the answer, such as `allow` of a 405. */
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
    // Nobody reads the stack trace of a refusal under load, and capturing it costs more than the rest of the refusal.
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

/** The one answer for foreign and absent: its text repeats nothing of the request and does not depend on the owner. */
export function nothingHere(noun: string): Fault {
  return new Fault('not-found', `There is no such ${noun}. Check the id; lists show the ones you have.`);
}
