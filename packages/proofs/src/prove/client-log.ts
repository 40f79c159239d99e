import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/**
 * The partner's own log of its requests and their outcomes, in a file. Each line has fields separated by spaces:
 * - `S lane sequence`: a request is sent.
 * - `A lane sequence receiptId replayed`: it was answered with 202.
 * - `U lane sequence why`: its outcome is unknown (connection cut, 5xx, 429).
 * - `R lane sequence status`: it was refused.
 */
export interface ClientLog {
  sent(lane: number, sequence: number): void;
  acknowledged(lane: number, sequence: number, receiptId: string, isReplayed: boolean): void;
  unknown(lane: number, sequence: number, why: string): void;
  refused(lane: number, sequence: number, status: number): void;
  close(): void;
}

export function openClientLog(file: string): ClientLog {
  const fd = openSync(file, 'a');
  const write = (...fields: (string | number)[]) => void writeSync(fd, `${fields.join(' ')}\n`);
  return {
    sent: (lane, sequence) => write('S', lane, sequence),
    acknowledged: (lane, sequence, receiptId, isReplayed) => write('A', lane, sequence, receiptId, isReplayed ? 1 : 0),
    unknown: (lane, sequence, why) => write('U', lane, sequence, why),
    refused: (lane, sequence, status) => write('R', lane, sequence, status),
    close: () => closeSync(fd),
  };
}

/** One payload with all attempts to send it. */
export interface Sending {
  attempts: number;
  unknowns: number;
  /** The receipt id in the 202, if there was one. */
  receiptId: string | undefined;
  isReplayed: boolean;
}

export interface ReadLog {
  /** Keyed by lane, then by sequence number. */
  readonly lanes: ReadonlyMap<number, ReadonlyMap<number, Sending>>;
  /** The number of unknown outcomes, by cause. */
  readonly unknowns: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
}

export function readClientLog(file: string): ReadLog {
  const lanes = new Map<number, Map<number, Sending>>();
  const unknowns: Record<string, number> = {};
  const refusals: Record<string, number> = {};
  for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
    const [kind, lane, sequence, what, replayed] = line.split(' ') as [string, string, string, string, string];
    const sendings = lanes.get(Number(lane)) ?? new Map<number, Sending>();
    lanes.set(Number(lane), sendings);
    const sending = sendings.get(Number(sequence)) ?? {
      attempts: 0,
      unknowns: 0,
      receiptId: undefined,
      isReplayed: false,
    };
    sendings.set(Number(sequence), sending);
    if (kind === 'S') sending.attempts += 1;
    else if (kind === 'A') Object.assign(sending, { receiptId: what, isReplayed: replayed === '1' });
    else if (kind === 'U') {
      sending.unknowns += 1;
      unknowns[what] = (unknowns[what] ?? 0) + 1;
    } else refusals[what] = (refusals[what] ?? 0) + 1;
  }
  return { lanes, unknowns, refusals };
}
