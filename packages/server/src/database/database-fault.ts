import { Fault } from '@gladhand/base/fault.ts';

/** When a caller may come back: a restart of the embedded PostgreSQL takes a second or two, five at most. */
const RETRY_AFTER_SECONDS = 2;

// SQLSTATE classes and codes (PostgreSQL manual, appendix A) that say "not now" rather than "not like this".
const UNAVAILABLE_CLASSES = new Set([
  '08', // connection exception
  '53', // insufficient resources: too many connections, disk full, out of memory
  '58', // system error: I/O
]);
const UNAVAILABLE_CODES = new Set([
  '57P01', // admin shutdown
  '57P02', // crash shutdown
  '57P03', // cannot connect now: starting up, shutting down, recovering
  '57P05', // idle session timeout
  '57014', // statement_timeout
  '25P03', // idle_in_transaction_session_timeout
  '55P03', // lock_timeout
  '40001', // serialization failure
  '40P01', // deadlock
  '25006', // read-only transaction: a standby that was not promoted yet
]);
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT', // the socket file of an embedded server that is down
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
// The driver's own errors carry no code.
const DRIVER_MESSAGES = [
  'Connection terminated',
  'timeout exceeded when trying to connect',
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  'Cannot use a pool after calling end on the pool',
];

/** Whether `error` says that the database could not be reached or could not work now; the same call may succeed later. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError && error.errors.some(isUnavailable)) return true;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code !== undefined) {
    if (UNREACHABLE.has(code)) return syscall !== undefined && /^(connect|read|write|getaddrinfo)/.test(syscall);
    return UNAVAILABLE_CODES.has(code) || (code.length === 5 && UNAVAILABLE_CLASSES.has(code.slice(0, 2)));
  }
  return DRIVER_MESSAGES.some((message) => error.message.startsWith(message));
}

/** The same of an error that may have become a Fault on its way. */
export function isAway(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof Fault && error.code === 'temporarily-unavailable');
}

/** The error as callers should see it: a 503 Fault with Retry-After when the database is away, else the error itself. */
export function asFault(error: unknown): unknown {
  if (!isUnavailable(error)) return error;
  return new Fault(
    'temporarily-unavailable',
    'The database cannot answer at the moment. Send the same request again.',
    {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
      cause: error,
    },
  );
}
