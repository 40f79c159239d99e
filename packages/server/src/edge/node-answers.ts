import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import type { Ids } from '@gladhand/base/ids.ts';
import type { FastifyRequest } from 'fastify';
import { ALLOW_ALL } from './known-routes.ts';
import { renderFault } from './problem.ts';

/**
 * What Node would answer by itself, with an empty body or by hanging up, is a problem document too: a request that is
 * not HTTP, headers beyond their limit, what does not arrive in time, CONNECT, an Expect that cannot be met, HTTP/1.1
 * without Host. Promise: a malformed request is answered after the one before it on the same connection, never in its
 * place, and no request is answered twice.
 */
/** How long a refused sender may take to stop sending and read its answer. */
const LINGER_MS = 1_000;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Of a server made with `requireHostHeader: false`. */
export function answerForNode(server: Server, route: Handler, parts: { ids: Ids; clock: Clock }): void {
  const answering = new WeakMap<Duplex, ServerResponse>();
  const begin: Handler = (request, response) => answering.set(request.socket, response);
  const beginAndRoute: Handler = (request, response) => {
    begin(request, response);
    route(request, response);
  };
  const refuse = (socket: Duplex, fault: Fault) => writeProblem(socket, fault, parts);
  server.prependListener('request', begin);
  // RFC 9110 10.1.1: who asks before sending a body is told to go on only when nothing at the wall refused the request.
  server.on('checkContinue', beginAndRoute);
  server.on('checkExpectation', beginAndRoute);
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => socket.destroy());
    refuse(socket, new Fault('method-not-allowed', 'This server is no proxy.', { headers: { allow: ALLOW_ALL } }));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy();
      return;
    }
    const response = answering.get(socket);
    const isAnswered = response === undefined || response.writableFinished;
    const isReceived = response?.req.complete ?? true;
    const fault = faultOf(error);
    if (isReceived && isAnswered) refuse(socket, fault);
    else if (isReceived) response?.once('close', () => refuse(socket, fault));
    else if (response?.headersSent) socket.destroy();
    else refuse(socket, fault);
  });
}

/** Throws for what Node would refuse before there is a route. */
export function refuseWithoutHost({ raw }: FastifyRequest): void {
  if (raw.headers.host === undefined && isHttp11(raw))
    throw new Fault('malformed-request', 'An HTTP/1.1 request needs the header Host. Send it.', {
      headers: { connection: 'close' },
    });
}

export function refuseExpectation({ raw }: FastifyRequest): void {
  const { expect } = raw.headers;
  if (expect === undefined || !isHttp11(raw) || expect.trim().toLowerCase() === '100-continue') return;
  throw new Fault(
    'expectation-failed',
    'The only expectation that can be met is `Expect: 100-continue`. Leave the header out.',
    // Its body may be on its way or never come.
    { headers: { connection: 'close' } },
  );
}

/** Whether the sender waits for `100 Continue`; one that speaks HTTP/1.0 does not know it. */
export function awaitsContinue({ raw }: FastifyRequest): boolean {
  return raw.headers.expect !== undefined && isHttp11(raw);
}

function isHttp11({ httpVersionMajor, httpVersionMinor }: IncomingMessage): boolean {
  return httpVersionMajor === 1 && httpVersionMinor === 1;
}

function faultOf(error: NodeJS.ErrnoException): Fault {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new Fault('headers-too-large', 'The request line and the headers together may have 16 KiB.');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new Fault('body-too-large', 'The chunk extensions may have 16 KiB. Leave them out.');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Fault(
        'body-timeout',
        'The request did not arrive within the time limit. Send it again on a new connection.',
      );
    default:
      return new Fault('malformed-request', 'The request is not well-formed HTTP/1.1.');
  }
}

function writeProblem(socket: Duplex, fault: Fault, { ids, clock }: { ids: Ids; clock: Clock }): void {
  if (!socket.writable) return;
  const { status, contentType, headers, body } = renderFault(fault, ids.uuid(), 'problem');
  const fields = {
    ...headers,
    date: new Date(clock.nowMs()).toUTCString(),
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  socket.end(`HTTP/1.1 ${[`${status} ${STATUS_CODES[status]}`, ...lines].join('\r\n')}\r\n\r\n${body}`);
  // Closed at once, a sender that is still sending would be reset and never read the answer.
  socket.resume();
  socket.once(
    'close',
    clock.after(LINGER_MS, () => socket.destroy()),
  );
}
