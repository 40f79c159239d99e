import { ERRORS, type ErrorCode, type FieldError } from '@gladhand/contract/errors.ts';

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

  constructor(
    code: ErrorCode,
    detail: string,
    options: { errors?: readonly FieldError[]; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = code;
    this.errors = options.errors ?? [];
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}
