import { answerParent } from '../../rig/child.ts';
import { delay } from '../../rig/wait.ts';
import { openWire, type Wire } from '../../rig/wire.ts';
import type { Hammered, HammerOrder } from './hammer.ts';

/** The child process of hammer.ts. */
interface Line {
  readonly dueMs: number;
  readonly sentMs: number;
  readonly answeredMs: number;
  readonly status: number;
  readonly port: number;
  readonly request: number;
  readonly retryAfter: number;
}

/** Offset of `performance.now()` to Unix ms. That clock has a higher resolution and never jumps during a run. */
let originMs = Date.now() - performance.now();
const nowMs = () => originMs + performance.now();

const RECONNECT_MS = 20;
/** With a closed pace, this many connections send at the same time. The groups are spread over one pause. */
const LANES_AT_ONCE = 16;
const RETRY_AFTER = /\r\nretry-after: *(\d+)/i;

/** A connection that is opened again each time it is closed. */
interface Lane {
  wire: Wire | undefined;
  readonly port: number;
}

async function run(order: HammerOrder): Promise<Hammered> {
  originMs = Date.now() - performance.now();
  const lines: Line[] = [];
  const lanes: Lane[] = await Promise.all(
    Array.from({ length: order.connections }, async (_, place) => ({
      wire: await openWire(order.ports[place % order.ports.length]!),
      port: place % order.ports.length,
    })),
  );
  const refused: number[] = [];
  let next = 0;
  /** Sends the next request on the lane's open connection. */
  const send = (lane: Lane, dueMs: number): Promise<void> => {
    const sentMs = nowMs();
    const request = refused.pop() ?? next++ % order.requests.length;
    return new Promise((resolve) => {
      lane.wire!.send(order.requests[request]!, (answer) => {
        const status = answer?.status ?? 0;
        if (order.isRetrying && (status < 200 || status > 299)) refused.push(request);
        const retryAfter = answer === undefined ? undefined : RETRY_AFTER.exec(answer.head)?.[1];
        lines.push({
          dueMs,
          sentMs,
          answeredMs: nowMs(),
          status,
          port: lane.port,
          request,
          retryAfter: retryAfter === undefined ? -1 : Number(retryAfter),
        });
        resolve();
      });
    });
  };
  const open = async (lane: Lane): Promise<boolean> => {
    while (lane.wire === undefined || !lane.wire.isIdle) {
      lane.wire = await openWire(order.ports[lane.port]!);
      if (lane.wire !== undefined) continue;
      if (nowMs() >= order.untilMs) return false;
      await delay(RECONNECT_MS);
    }
    return true;
  };
  await delay(Math.max(0, order.fromMs - nowMs()));
  const cpu = process.cpuUsage();
  const beganMs = nowMs();
  let givenUp = 0;
  if (order.pace.kind === 'closed') {
    const { pauseMs } = order.pace;
    const groups = Math.ceil(lanes.length / LANES_AT_ONCE);
    const loop = async (lane: Lane, place: number) => {
      await delay((pauseMs * Math.floor(place / LANES_AT_ONCE)) / groups);
      while (nowMs() < order.untilMs && (await open(lane))) {
        await send(lane, nowMs());
        if (pauseMs > 0) await delay(pauseMs);
      }
    };
    await Promise.all(lanes.map(loop));
  } else {
    givenUp = await runOpen(order, order.pace, lanes, beganMs, open, send);
  }
  const seconds = (nowMs() - beganMs) / 1000;
  const used = process.cpuUsage(cpu);
  for (const { wire } of lanes) wire?.close();
  return {
    dueMs: Float64Array.from(lines, (line) => line.dueMs),
    sentMs: Float64Array.from(lines, (line) => line.sentMs),
    answeredMs: Float64Array.from(lines, (line) => line.answeredMs),
    status: Uint16Array.from(lines, (line) => line.status),
    port: Uint8Array.from(lines, (line) => line.port),
    request: Uint32Array.from(lines, (line) => line.request),
    retryAfter: Int32Array.from(lines, (line) => line.retryAfter),
    givenUp,
    ownCpu: (used.user + used.system) / 1e6 / seconds,
  };
}

/** Returns how many requests were given up. */
async function runOpen(
  order: HammerOrder,
  pace: HammerOrder['pace'] & { kind: 'open' },
  lanes: readonly Lane[],
  beganMs: number,
  open: (lane: Lane) => Promise<boolean>,
  send: (lane: Lane, dueMs: number) => Promise<void>,
): Promise<number> {
  const { perSecond, patienceMs } = pace;
  const dueOf = (number: number) => beganMs + (number * 1000) / perSecond;
  const total = Math.floor(((order.untilMs - beganMs) * perSecond) / 1000);
  const idle = [...lanes];
  const underWay = new Set<Promise<void>>();
  let [next, givenUp] = [0, 0];
  const dispatch = () => {
    const atMs = nowMs();
    while (next < total && dueOf(next) <= atMs) {
      if (atMs - dueOf(next) > patienceMs) {
        givenUp += 1;
        next += 1;
        continue;
      }
      // The lane that was idle longest, so that all servers get the same load.
      const lane = idle.shift();
      if (lane === undefined) return;
      const dueMs = dueOf(next++);
      const work = carry(lane, dueMs).finally(() => underWay.delete(work));
      underWay.add(work);
    }
  };
  const carry = async (lane: Lane, dueMs: number) => {
    if (lane.wire?.isIdle || (await open(lane))) await send(lane, dueMs);
    else givenUp += 1;
    idle.push(lane);
    dispatch();
  };
  while (next < total && nowMs() < order.untilMs) {
    dispatch();
    await delay(1);
  }
  givenUp += total - next;
  next = total;
  await Promise.all(underWay);
  return givenUp;
}

await answerParent(run);
