import { connect } from 'node:net';

/** One answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The parsed body, or null when it is not JSON. */
  readonly json: any;
}

/** Sends bytes as they are, and gives every answer that came until the server closed the connection. */
export function sendRaw(port: number, bytes: string | readonly string[]): Promise<RawAnswer[]> {
  return new Promise((resolve, reject) => {
    const pieces = typeof bytes === 'string' ? [bytes] : [...bytes];
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      // Each piece after something has come back for the one before.
      socket.write(pieces.shift()!);
    });
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const next = pieces.shift();
      if (next !== undefined) socket.write(next);
    });
    // A refused sender may be reset while it still sends; what it read before counts.
    socket.on('error', (error) => (text === '' ? reject(error) : undefined));
    socket.on('close', () => resolve(readAnswers(text)));
  });
}

/** Every answer in what came over a connection. */
export function readAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) throw new Error(`not an answer: ${rest}`);
    const [line, ...fields] = rest.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(line!)?.[1]);
    const headers = Object.fromEntries(
      fields.map((field) => {
        const colon = field.indexOf(':');
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
      }),
    );
    const start = end + 4;
    const length = Number(headers['content-length'] ?? 0);
    const body = rest.slice(start, start + length);
    answers.push({ status, headers, body, json: /json/.test(headers['content-type'] ?? '') ? JSON.parse(body) : null });
    rest = rest.slice(start + length);
  }
  return answers;
}
