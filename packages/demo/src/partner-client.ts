import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '@gladhand/base/clock.ts';

/**
 * A partner's client of the public API. It exchanges the key for a token and posts payloads with it.
 *
 * - It renews the token before it expires, and once more if the server answers 401.
 * - At most one authentication is in progress.
 * - Every outcome is returned as an `Answer`, also a refusal or a broken connection. It never throws.
 * - After `close`, no connection or timer is left.
 */
export interface PartnerClient {
  /** POSTs JSON text for a VIN. `idempotencyKey` is sent in the `Idempotency-Key` header. */
  post(vin: string, body: string, idempotencyKey?: string): Promise<Answer>;
  /** Aborts all requests in progress. */
  close(): void;
  readonly authentications: number;
}

export interface Answer {
  /** HTTP status. 0 if there was no answer: connection refused, connection reset, or timeout. */
  readonly status: number;
  /** From the `Retry-After` header: a date or a number of seconds (RFC 9110 10.2.3). */
  readonly retryAfterMs: number | undefined;
  readonly text: string;
  readonly stage: 'authentication' | 'intake';
}

const ANSWER_WAIT_MS = 15_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** The token is renewed after this share of its lifetime. */
const RENEW_AT = 0.8;
const CONNECTIONS_MAX = 6;

export interface PartnerClientOptions {
  readonly baseUrl: string;
  /** URL of the authentication API, if it has its own port. */
  readonly authenticationUrl?: string | undefined;
  readonly key: string;
  readonly clock: Clock;
}

export function createPartnerClient(options: PartnerClientOptions): PartnerClient {
  const { clock, baseUrl, authenticationUrl = baseUrl } = options;
  const isTls = new URL(baseUrl).protocol === 'https:';
  const agent = new (isTls ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: CONNECTIONS_MAX });
  const send = isTls ? httpsRequest : httpRequest;
  let token: { value: string; renewAtMs: number } | undefined;
  let renewal: Promise<Answer> | undefined;
  let authentications = 0;
  const open = new Set<ClientRequest>();
  let closed = false;

  function call(stage: Answer['stage'], url: URL, headers: Record<string, string>, body: string): Promise<Answer> {
    return new Promise((resolve) => {
      const none = (text: string) => resolve({ status: 0, retryAfterMs: undefined, text, stage });
      if (closed) return none('closed');
      const request = send(url, { method: 'POST', agent, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          if (text.length < ANSWER_BYTES_MAX) text += chunk;
        });
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            retryAfterMs: retryAfter(response.headers, clock.nowMs()),
            text,
            stage,
          }),
        );
        response.on('error', (error) => none(error.message));
      });
      open.add(request);
      const stopWaiting = clock.after(ANSWER_WAIT_MS, () => request.destroy(new Error('no answer in time')));
      request.on('error', (error) => none(error.message));
      request.on('close', () => {
        stopWaiting();
        open.delete(request);
        none('closed');
      });
      request.end(body);
    });
  }

  async function authenticate(): Promise<Answer> {
    authentications++;
    const answer = await call(
      'authentication',
      new URL('/api/v1/partners/authenticate', authenticationUrl),
      { 'x-api-key': options.key, 'content-length': '0' },
      '',
    );
    if (answer.status !== 200) return answer;
    try {
      const { accessToken, expiresIn } = JSON.parse(answer.text) as { accessToken: string; expiresIn: number };
      token = { value: accessToken, renewAtMs: clock.nowMs() + expiresIn * 1000 * RENEW_AT };
      return answer;
    } catch {
      return { ...answer, status: 0, text: 'not an access token' };
    }
  }

  /** Makes sure that there is a token. Returns the answer if the server refused to authenticate. */
  async function ready(): Promise<Answer | undefined> {
    if (token && clock.nowMs() < token.renewAtMs) return undefined;
    token = undefined;
    renewal ??= authenticate().finally(() => {
      renewal = undefined;
    });
    const answer = await renewal;
    return token ? undefined : answer;
  }

  return {
    get authentications() {
      return authentications;
    },
    async post(vin, body, idempotencyKey) {
      for (let attempt = 1; ; attempt++) {
        const refusal = await ready();
        if (refusal) return refusal;
        const used = token!;
        const answer = await call(
          'intake',
          new URL(`/api/v1/telemetry/intake/${encodeURIComponent(vin)}`, baseUrl),
          {
            authorization: `Bearer ${used.value}`,
            'content-type': 'application/json',
            'content-length': String(Buffer.byteLength(body)),
            ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
          },
          body,
        );
        if (answer.status !== 401 || attempt > 1) return answer;
        if (token === used) token = undefined;
      }
    },
    close() {
      closed = true;
      for (const request of open) request.destroy();
      agent.destroy();
    },
  };
}

function retryAfter(headers: IncomingHttpHeaders, nowMs: number): number | undefined {
  const value = headers['retry-after'];
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
