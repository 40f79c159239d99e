import { fork } from 'node:child_process';
import { on } from 'node:events';
import type { Scratch } from './scratch.ts';

/** A script in a child process. The parent asks questions and the child answers. The child ends when its parent ends. */
export interface Child {
  ask<Answer>(question: unknown): Promise<Answer>;
  /** Calls `listen` with every value that the child sends without being asked. */
  onTold(listen: (told: never) => void): void;
  close(): void;
}

interface Envelope {
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: string;
}

export function openChild(scratch: Scratch, file: string, nodeArguments: readonly string[] = []): Child {
  // Its own session, because Ctrl-C in a terminal goes to every process of our session.
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
      // A caller that awaits the answer still gets the error. Without a caller, a rejection would end this process.
      asked.promise.catch(() => {});
      child.send({ id, value: question });
      return asked.promise as Promise<Answer>;
    },
    onTold: (listen) => void listeners.push(listen),
    close,
  };
}

/** Runs in the child: answers every question, and ends the process when the parent has ended. */
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

/** Runs in the child: sends the parent a value that it did not ask for. */
export function tellParent(value: unknown): void {
  process.send?.({ value });
}
