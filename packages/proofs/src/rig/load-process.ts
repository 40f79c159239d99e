import { gzipSync } from 'node:zlib';
import { answerParent } from './child.ts';
import type { BatchOrder, LoadOrder, LoadQuestion, LoadResult } from './load.ts';
import { createTraccarWriter, flespiPayload } from './partner-request.ts';
import { openWire, type Wire } from './wire.ts';

/** The child process of load.ts. */
const startedAtMs = Date.now() - 24 * 60 * 60 * 1000;

interface Tally {
  readonly latenciesMs: number[];
  readonly errors: Record<string, number>;
}

async function openWires(port: number, connections: number): Promise<Wire[]> {
  const wires = await Promise.all(Array.from({ length: connections }, () => openWire(port)));
  return wires.map((wire) => {
    if (wire === undefined) throw new Error(`no server listens on port ${port}`);
    return wire;
  });
}

/** Sends a request on `wire` and counts its answer. The latency is measured from `since`, when the request was due. */
function sendOn(wire: Wire, request: Uint8Array, since: number, tally: Tally, done: (isOpen: boolean) => void): void {
  wire.send(request, (answer) => {
    if (answer?.status === 202) tally.latenciesMs.push(performance.now() - since);
    else {
      const kind = answer === undefined ? 'cut' : String(answer.status);
      tally.errors[kind] = (tally.errors[kind] ?? 0) + 1;
    }
    done(answer !== undefined);
  });
}

async function run(order: LoadOrder): Promise<LoadResult> {
  const { vins, pace } = order;
  const wires = await openWires(order.port, order.connections);
  const writers = wires.map(() => createTraccarWriter({ token: order.token, startedAtMs }));
  const tally: Tally = { latenciesMs: [], errors: {} };
  let sent = 0;
  const send = (place: number, since: number, done: (isOpen: boolean) => void) => {
    const sequence = order.firstSequence + Math.floor(sent / vins.length);
    const vin = vins[sent++ % vins.length]!;
    sendOn(wires[place]!, writers[place]!.write(vin, sequence, startedAtMs + sequence), since, tally, done);
  };
  const cpu = process.cpuUsage();
  const beganMs = performance.now();
  const endMs = beganMs + order.seconds * 1000;
  if (pace.kind === 'closed') {
    const loop = (place: number, end: () => void): void => {
      const nowMs = performance.now();
      if (nowMs >= endMs) return end();
      send(place, nowMs, (isOpen) => (isOpen ? loop(place, end) : end()));
    };
    await Promise.all(wires.map((_, place) => new Promise<void>((end) => loop(place, end))));
  } else {
    await runOpen(wires.length, pace.perSecond, beganMs, order.seconds, send);
  }
  const seconds = (performance.now() - beganMs) / 1000;
  for (const wire of wires) wire.close();
  const used = process.cpuUsage(cpu);
  return {
    ...summarize(tally, seconds, (used.user + used.system) / 1e6 / seconds),
    nextSequence: order.firstSequence + Math.ceil(sent / vins.length),
    bodyBytes: writers[0]!.bodyBytes,
  };
}

/** Request number n is due n / perSecond after the start. Without a free connection, it waits for one. */
function runOpen(
  connections: number,
  perSecond: number,
  beganMs: number,
  seconds: number,
  send: (place: number, since: number, done: (isOpen: boolean) => void) => void,
): Promise<void> {
  const total = Math.floor(perSecond * seconds);
  const idle = Array.from({ length: connections }, (_, place) => place);
  let due = 0;
  let begun = 0;
  let ended = 0;
  return new Promise((resolve, reject) => {
    const dispatch = () => {
      while (begun < due && idle.length > 0) {
        const place = idle.pop()!;
        const since = beganMs + (begun++ * 1000) / perSecond;
        send(place, since, (isOpen) => {
          ended += 1;
          if (!isOpen) return reject(new Error('a connection broke'));
          idle.push(place);
          if (ended === total) resolve();
          else dispatch();
        });
      }
    };
    const tick = () => {
      due = Math.min(total, Math.floor(((performance.now() - beganMs) * perSecond) / 1000));
      dispatch();
      if (due < total) setTimeout(tick, 1);
    };
    tick();
  });
}

let prepared: { order: BatchOrder; requests: Buffer[] } | undefined;

function prepare(order: BatchOrder): { bytesPerBatch: number } {
  const requests = Array.from({ length: order.batches }, (_, number) => {
    const vin = order.vins[number % order.vins.length]!;
    const sequence = Math.floor(number / order.vins.length) * order.recordsPerBatch;
    const payload = flespiPayload(
      vin,
      sequence,
      order.recordsPerBatch,
      Math.floor(startedAtMs / 1000) * 1000 + sequence * 1000,
    );
    const body = gzipSync(JSON.stringify(payload), { level: 1 });
    const head = [
      `POST /api/v1/telemetry/intake/${vin} HTTP/1.1`,
      'Host: 127.0.0.1',
      `Authorization: Bearer ${order.token}`,
      'Content-Type: application/json',
      'Content-Encoding: gzip',
      `Content-Length: ${body.length}`,
    ];
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]);
  });
  prepared = { order, requests };
  return { bytesPerBatch: Math.round(requests.reduce((sum, { length }) => sum + length, 0) / requests.length) };
}

async function sendPrepared(): Promise<LoadResult> {
  if (prepared === undefined) throw new Error('no batches: call prepareBatches before sendBatches');
  const { order, requests } = prepared;
  const wires = await openWires(order.port, order.connections);
  const tally: Tally = { latenciesMs: [], errors: {} };
  const cpu = process.cpuUsage();
  const beganMs = performance.now();
  let next = 0;
  const loop = (wire: Wire, end: () => void): void => {
    const request = requests[next++];
    if (request === undefined) return end();
    sendOn(wire, request, performance.now(), tally, (isOpen) => (isOpen ? loop(wire, end) : end()));
  };
  await Promise.all(wires.map((wire) => new Promise<void>((end) => loop(wire, end))));
  const seconds = (performance.now() - beganMs) / 1000;
  for (const wire of wires) wire.close();
  const used = process.cpuUsage(cpu);
  return { ...summarize(tally, seconds, (used.user + used.system) / 1e6 / seconds), nextSequence: 0, bodyBytes: 0 };
}

function summarize(tally: Tally, seconds: number, ownCpu: number): Omit<LoadResult, 'nextSequence' | 'bodyBytes'> {
  const sorted = Float64Array.from(tally.latenciesMs).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  const answered = sorted.length;
  return {
    answered,
    seconds,
    perSecond: answered / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    errors: tally.errors,
    ownCpu,
  };
}

await answerParent((question: LoadQuestion) => {
  if (question.kind === 'run') return run(question.order);
  return question.kind === 'prepare' ? prepare(question.order) : sendPrepared();
});
