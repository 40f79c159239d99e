import { connect } from 'node:net';

/**
 * A minimal HTTP/1.1 client for load: one keep-alive connection, one request at a time. It sends prepared bytes and returns
 * status and body. It runs on the same machine as the server, so it must cost little CPU (docs/benchmarks.md compares it
 * with a general client). It understands only answers with Content-Length.
 */
export interface Wire {
  /** Whether a request can be sent now. */
  readonly isIdle: boolean;
  /** Calls `settle` with the answer, or with undefined if the connection ended first: the outcome is then unknown. */
  send(request: Uint8Array, settle: (answer: Answer | undefined) => void): void;
  close(): void;
}

export interface Answer {
  readonly status: number;
  /** Status line and headers as they came. */
  readonly head: string;
  readonly body: string;
}

/** Resolves with an open connection, or undefined if no server listens on the port. */
export function openWire(port: number): Promise<Wire | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    let pending: ((answer: Answer | undefined) => void) | undefined;
    let received = '';
    let isOpen = false;
    socket.setEncoding('latin1');
    socket.on('connect', () => {
      isOpen = true;
      resolve(wire);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      isOpen = false;
      resolve(undefined);
      settle(undefined);
    });
    socket.on('end', () => socket.destroy());
    socket.on('data', (chunk: string) => {
      received = received === '' ? chunk : received + chunk;
      const answer = readAnswer(received);
      if (answer === undefined) return;
      received = '';
      if (/\r\nconnection: close\r\n/i.test(answer.head)) {
        isOpen = false;
        socket.destroy();
      }
      settle(answer);
    });

    function settle(answer: Answer | undefined): void {
      const settlePending = pending;
      pending = undefined;
      settlePending?.(answer);
    }

    const wire: Wire = {
      get isIdle() {
        return isOpen && pending === undefined;
      },
      send(request, onSettled) {
        if (!isOpen) return onSettled(undefined);
        pending = onSettled;
        socket.write(request);
      },
      close() {
        isOpen = false;
        socket.destroy();
      },
    };
  });
}

const LENGTH = /\r\ncontent-length: *(\d+)/i;

function readAnswer(text: string): Answer | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const head = text.slice(0, headEnd + 2);
  const length = LENGTH.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without Content-Length: ${head}`);
  const bodyEnd = headEnd + 4 + Number(length);
  if (text.length < bodyEnd) return undefined;
  return { status: Number(text.slice(9, 12)), head, body: text.slice(headEnd + 4, bodyEnd) };
}
