import { answerParent, tellParent } from '../rig/child.ts';
import { createTraccarWriter } from '../rig/partner-request.ts';
import { delay } from '../rig/wait.ts';
import { type Answer, openWire, type Wire } from '../rig/wire.ts';
import { type ClientLog, openClientLog } from './client-log.ts';
import { habitOf, observedAtMs } from './lanes.ts';

/**
 * The partner of the kill proof. It runs in a process that is never killed. It has one lane per VIN. A lane has one request
 * at a time, so its acknowledgements come in the order of the sequence numbers. What a lane does after an unknown outcome
 * depends on its habit (lanes.ts).
 */
export interface ClientOrder {
  readonly port: number;
  readonly token: string;
  readonly vins: readonly string[];
  readonly perSecond: number;
  readonly logFile: string;
  readonly startedAtMs: number;
  /** Part of every Idempotency-Key, so that the keys of each run are unique. */
  readonly run: string;
}

export type ClientQuestion =
  | { readonly kind: 'start'; readonly order: ClientOrder }
  /** Answers when a request that is sent from now on has been acknowledged. */
  | { readonly kind: 'first-202' }
  /** Answers when `count` more requests have been acknowledged. */
  | { readonly kind: 'acknowledged'; readonly count: number }
  /** Answers when every lane has finished its current payload. */
  | { readonly kind: 'finish' };

const RETRY_MS = 15;
const RECONNECT_MS = 10;

let log: ClientLog;
let running: Promise<unknown> = Promise.resolve();
let isFinishing = false;
let acknowledged = 0;
let watches: { isDue(sentAtMs: number): boolean; resolve(nowMs: number): void }[] = [];

async function runLane(order: ClientOrder, lane: number): Promise<void> {
  const habit = habitOf(lane);
  const vin = order.vins[lane]!;
  const { token, startedAtMs } = order;
  const writer = createTraccarWriter({ token, startedAtMs, ...(habit === 'retries-with-key' && { run: order.run }) });
  const paceMs = (1000 * order.vins.length) / order.perSecond;
  let wire: Wire | undefined;
  let dueMs = performance.now() + (paceMs * lane) / order.vins.length;
  for (let sequence = 1; !isFinishing; sequence++) {
    dueMs = Math.max(dueMs + paceMs, performance.now());
    await delay(Math.max(0, dueMs - performance.now()));
    const request = writer.write(vin, sequence, observedAtMs(startedAtMs, sequence));
    for (let isSettled = false; !isSettled; ) {
      while (wire === undefined || !wire.isIdle) {
        wire = await openWire(order.port);
        if (wire === undefined) await delay(RECONNECT_MS);
      }
      isSettled = note(lane, sequence, await attempt(wire, request, lane, sequence)) || habit === 'gives-up';
      if (!isSettled) await delay(RETRY_MS);
    }
  }
  wire?.close();
}

interface Attempt {
  readonly sentAtMs: number;
  readonly answer: Answer | undefined;
}

function attempt(wire: Wire, request: Buffer, lane: number, sequence: number): Promise<Attempt> {
  log.sent(lane, sequence);
  const sentAtMs = performance.now();
  return new Promise((resolve) => wire.send(request, (answer) => resolve({ sentAtMs, answer })));
}

/** Logs the outcome of an attempt. Returns true if it is known, so that no retry is needed. */
function note(lane: number, sequence: number, { sentAtMs, answer }: Attempt): boolean {
  if (answer === undefined || answer.status >= 500 || answer.status === 429) {
    log.unknown(lane, sequence, answer === undefined ? 'cut' : String(answer.status));
    return false;
  }
  if (answer.status !== 202) {
    log.refused(lane, sequence, answer.status);
    return true;
  }
  const { receiptId } = JSON.parse(answer.body) as { receiptId: string };
  log.acknowledged(lane, sequence, receiptId, /\r\nidempotency-replayed: true\r\n/i.test(answer.head));
  acknowledged += 1;
  const due = watches.filter((watch) => watch.isDue(sentAtMs));
  if (due.length > 0) watches = watches.filter((watch) => !due.includes(watch));
  for (const watch of due) watch.resolve(performance.timeOrigin + performance.now());
  return true;
}

function watch(isDue: (sentAtMs: number) => boolean): Promise<number> {
  return new Promise((resolve) => watches.push({ isDue, resolve }));
}

await answerParent(async (question: ClientQuestion) => {
  switch (question.kind) {
    case 'start': {
      const { order } = question;
      log = openClientLog(order.logFile);
      running = Promise.all(order.vins.map((_, lane) => runLane(order, lane)));
      running.catch((error: Error) => tellParent(error.stack));
      return;
    }
    case 'first-202': {
      const askedAtMs = performance.now();
      return watch((sentAtMs) => sentAtMs >= askedAtMs);
    }
    case 'acknowledged': {
      const wanted = acknowledged + question.count;
      return watch(() => acknowledged >= wanted);
    }
    case 'finish':
      isFinishing = true;
      await running;
      log.close();
      return;
  }
});
