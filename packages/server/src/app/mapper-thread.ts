import { Worker } from 'node:worker_threads';
import type { Clock } from '@gladhand/base/clock.ts';
import type { Logger } from '@gladhand/base/log.ts';
import type { Config } from '../config.ts';
import type { PostgresHost } from '../database/database.ts';
import type { Doorbell } from '../doorbell/doorbell.ts';
import type { Mapper } from '../processing/mapper.ts';
import type { Settled } from '../processing/settle.ts';

/**
 * The mapper on a thread of its own, so that what mapping computes never holds up a request: with it in the server's
 * thread, intake reached a third of what it does beside it. The two meet in the database only; between them travel rings
 * and counts. A thread that dies is started again; what it was doing is still in the intake log.
 */
export interface MapperThreadParts {
  readonly config: Config;
  readonly host: PostgresHost;
  readonly doorbell: Doorbell;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onSettled: (settled: Settled, envelopes: number) => void;
}

/** What the thread is given when it starts. */
export interface MapperThreadData {
  readonly config: Config;
  readonly connection: PostgresHost['connection'];
  readonly place: string;
}

export type ToThread = 'ring' | 'close';
export type FromThread =
  | { readonly kind: 'awake' }
  | { readonly kind: 'telemetry' }
  | { readonly kind: 'settled'; readonly settled: Settled; readonly envelopes: number };

const RESTART_MS = 1_000;

/** Answers at once: the thread starts beside the rest of the server, and what is accepted meanwhile waits in the log. */
export function openMapperThread(parts: MapperThreadParts): Mapper {
  const { config, host, doorbell, clock, log } = parts;
  const data: MapperThreadData = { config, connection: { ...host.connection }, place: host.place };
  let worker: Worker | undefined;
  let isClosing = false;
  // One ring under way is enough: the thread looks into the log after it, however many came meanwhile.
  let isRung = false;
  let cancelRestart = () => {};
  let onExit = () => {};

  function start(): void {
    isRung = false;
    worker = new Worker(new URL('./mapper-worker.ts', import.meta.url), { workerData: data });
    worker.on('message', (message: FromThread) => {
      if (message.kind === 'awake') isRung = false;
      else if (message.kind === 'telemetry') doorbell.ring('telemetry');
      else parts.onSettled(message.settled, message.envelopes);
    });
    worker.on('error', (error) => log.error({ err: error }, 'the mapper thread failed'));
    worker.on('exit', () => {
      worker = undefined;
      onExit();
      if (!isClosing) cancelRestart = clock.after(RESTART_MS, start);
    });
  }

  const tell = (message: ToThread) => worker?.postMessage(message);
  const stopListening = doorbell.on('intake', () => {
    if (isRung) return;
    isRung = true;
    tell('ring');
  });
  start();
  return {
    async close() {
      isClosing = true;
      cancelRestart();
      stopListening();
      if (worker === undefined) return;
      const ended = new Promise<void>((resolve) => {
        onExit = resolve;
      });
      tell('close');
      await ended;
    },
  };
}
