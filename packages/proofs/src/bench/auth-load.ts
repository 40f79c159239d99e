import { answerParent } from '../rig/child.ts';
import { openWire } from '../rig/wire.ts';

/** A load generator in its own process. It sends prepared requests in turn over kept connections, one at a time on each. */
export interface AuthLoadOrder {
  readonly port: number;
  readonly requests: readonly string[];
  readonly connections: number;
  /** Duration of the load. Ignored if each request is sent once only. */
  readonly seconds: number;
  readonly onceEach: boolean;
}

export interface AuthLoadResult {
  readonly answered: number;
  readonly seconds: number;
  /** Answers other than 200, and connections that broke. */
  readonly errors: number;
}

async function run({ port, requests, connections, seconds, onceEach }: AuthLoadOrder): Promise<AuthLoadResult> {
  const ready = requests.map((text) => Buffer.from(text));
  const wires = await Promise.all(Array.from({ length: connections }, () => openWire(port)));
  let next = 0;
  let answered = 0;
  let errors = 0;
  const beganMs = performance.now();
  const endMs = beganMs + seconds * 1000;
  await Promise.all(
    wires.map(
      (wire) =>
        new Promise<void>((end) => {
          if (wire === undefined) throw new Error(`no server listens on port ${port}`);
          const step = (): void => {
            if (onceEach ? next >= ready.length : performance.now() >= endMs) return end();
            wire.send(ready[next++ % ready.length]!, (answer) => {
              if (answer?.status === 200) answered += 1;
              else errors += 1;
              if (answer === undefined) return end();
              step();
            });
          };
          step();
        }),
    ),
  );
  for (const wire of wires) wire?.close();
  return { answered, errors, seconds: (performance.now() - beganMs) / 1000 };
}

await answerParent((order: AuthLoadOrder) => run(order));
