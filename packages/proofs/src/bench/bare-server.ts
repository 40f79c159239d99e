import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerParent } from '../rig/child.ts';

/** The server to compare with: `node:http` reads and parses the body, stores nothing and answers 202. */
const ANSWER = JSON.stringify({ receiptId: '01900000-0000-7000-8000-000000000000', status: 'queued' });

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    JSON.parse(Buffer.concat(chunks).toString());
    response.writeHead(202, { 'content-type': 'application/json', 'content-length': ANSWER.length });
    response.end(ANSWER);
  });
});

await answerParent(
  () =>
    new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
    }),
);
