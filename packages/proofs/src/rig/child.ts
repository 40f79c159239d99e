import { fork } from 'node:child_process';
import { on } from 'node:events';
import type { Scratch } from './scratch.ts';

/** A script of ours in a process of its own: the parent asks, the child answers, and a child never outlives its parent. */
export interface Child {
  ask<Answer>(question: unknown): Promise<Answer>;
  /** What the child tells without being asked. */
  onTold(listen: (told: never) => void): void;
  close(): void;
}

interface Envelope {
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: string;
}

export function openChild(scratch: Scratch, file: string, nodeArguments: readonly string[] = []): Child {
  // A session of its own, because Ctrl-C in a terminal goes to everybody in ours.
  const child = fork(file, [], { detached: true, execArgv: [...nodeArguments], serialization: 'advanced' });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const listeners: ((told: never) => void)[] = [];
  let questions = 0;
  let gone: Error | undefined;
  child.on('message', (message: Envelope) => {
    if (message.id === undefined) {
      for (const listen of listeners) listen(message.value as never);
      return;
    }
    const asked = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error === undefined) asked?.resolve(message.value);
    else asked?.reject(new Error(message.error));
  });
  child.once('exit', (code, signal) => {
    gone = new Error(`${file} ended with ${signal ?? `exit code ${code}`}`);
    for (const asked of waiting.values()) asked.reject(gone);
  });
  const close = () => void child.kill('SIGKILL');
  scratch.defer(close);
  return {
    ask<Answer>(question: unknown) {
      if (gone !== undefined) return Promise.reject(gone);
      const asked = Promise.withResolvers<unknown>();
      const id = questions++;
      waiting.set(id, asked);
      // Whoever awaits it hears of a child that ended; an answer nobody waits for any more must not end us.
      asked.promise.catch(() => {});
      child.send({ id, value: question });
      return asked.promise as Promise<Answer>;
    },
    onTold: (listen) => void listeners.push(listen),
    close,
  };
}

/** In the child: answers every question, and ends when the parent is gone. */
export async function answerParent(answer: (question: never) => unknown): Promise<void> {
  process.once('disconnect', () => process.exit(0));
  for await (const [{ id, value }] of on(process, 'message') as AsyncIterable<[Envelope]>) {
    const answered = new Promise((resolve) => resolve(answer(value as never)));
    answered.then(
      (settled) => process.send?.({ id, value: settled }),
      (error: Error) => process.send?.({ id, error: error.stack ?? error.message }),
    );
  }
}

/** In the child: tells the parent something. */
export function tellParent(value: unknown): void {
  process.send?.({ value });
}
