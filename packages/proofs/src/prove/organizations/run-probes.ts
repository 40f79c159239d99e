import { delay } from '../../rig/wait.ts';
import { isAdmitted } from './callers.ts';
import { findDifference, findShown, type Secrets } from './find-leak.ts';
import { type Answer, type HttpClient, inParallel } from './http-client.ts';
import { formOf } from './names.ts';
import { ownRequest, toRequest } from './own-request.ts';
import type { Probe } from './probes.ts';

/**
 * The kinds of leak. `shown`: an answer has a value of another organization. `different`: an answer depends on whether such
 * a value exists. `changed`: its rows changed. `admitted`: a caller was admitted that the document does not admit.
 */
export type LeakKind = 'shown' | 'different' | 'changed' | 'admitted';

/** The findings of the probes in one pass. */
export interface Findings {
  probes: number;
  twins: number;
  /** Answers of 429. They prove nothing. */
  limited: number;
  /** Answers of 5xx. No request may cause one. */
  failures: number;
  leaks: number;
  /** The number of leaks by kind. */
  readonly kinds: Record<LeakKind, number>;
  /** The first leaks as sentences. */
  readonly examples: string[];
  /** The number of probes with a value of another organization, by route. */
  readonly probed: Map<string, number>;
  readonly statuses: Map<number, number>;
}

const EXAMPLES_MAX = 15;
const WIDTH = 24;
const TRIES_MAX = 5;
const BUSY_MS = 500;

export function createFindings(): Findings {
  return {
    probes: 0,
    twins: 0,
    limited: 0,
    failures: 0,
    leaks: 0,
    kinds: { shown: 0, different: 0, changed: 0, admitted: 0 },
    examples: [],
    probed: new Map(),
    statuses: new Map(),
  };
}

export function noteLeak(findings: Findings, kind: LeakKind, text: string): void {
  findings.leaks += 1;
  findings.kinds[kind] += 1;
  if (findings.examples.length < EXAMPLES_MAX) findings.examples.push(text);
}

export async function runProbes(
  http: HttpClient,
  probes: readonly Probe[],
  secretsOf: (probe: Probe) => Secrets,
  findings: Findings,
): Promise<void> {
  const twins = new Map<string, Promise<{ answer: Answer; sent: readonly string[] }>>();
  const send = async (probe: Probe, sent: readonly string[]) => {
    const { operation, sample, caller, variation } = probe;
    const draft = variation.put(ownRequest(operation, sample), sent);
    const request = toRequest(operation, draft, caller);
    let answer = await http.send(request);
    // A busy server answers 503, and the probe tries again, as any client does.
    for (let tries = 1; answer.status === 503 && tries < TRIES_MAX; tries++) {
      await delay(BUSY_MS);
      answer = await http.send(request);
    }
    if (answer.status === 429) findings.limited += 1;
    return { answer, sent };
  };
  const twinOf = (probe: Probe, values: readonly string[]) => {
    const { operation, caller, sample, variation } = probe;
    const forms = values.map((value) => `${formOf(value)} ${value.length} ${value === value.toUpperCase()}`);
    const name = [operation.id, sample.slug, caller.name, variation.slot, ...forms].join('|');
    let twin = twins.get(name);
    if (twin === undefined) {
      findings.twins += 1;
      twin = send(probe, variation.twinValues);
      twins.set(name, twin);
    }
    return twin;
  };
  await inParallel(probes, WIDTH, async (probe) => {
    const { operation, caller, sample, victim, variation } = probe;
    const { values } = variation;
    const foreign = await send(probe, values);
    const { status, headers, body } = foreign.answer;
    findings.probes += 1;
    findings.statuses.set(status, (findings.statuses.get(status) ?? 0) + 1);
    findings.probed.set(operation.id, (findings.probed.get(operation.id) ?? 0) + 1);
    const tell = (kind: LeakKind, what: string) => {
      const named = values.map((value) => value.slice(0, 60)).join(' ');
      noteLeak(
        findings,
        kind,
        `${operation.id}: ${caller.name} of ${sample.slug}, ${variation.slot} ${named} of ${victim.name}: ${status}, ${what}`,
      );
    };
    if (status >= 500) {
      findings.failures += 1;
      if (findings.examples.length < EXAMPLES_MAX)
        findings.examples.push(`${operation.id}: ${caller.name}, ${variation.slot}: ${status} ${body}`);
    }
    if (status < 400 && !isAdmitted(operation, caller))
      tell('admitted', 'admitted although the document does not allow it');
    const shown = findShown(
      `${body} ${headers.location ?? ''} ${headers['set-cookie'] ?? ''}`,
      secretsOf(probe),
      values,
    );
    if (shown !== undefined) return tell('shown', `shows ${shown}`);
    if (values.length === 0) return;
    if (variation.isUniqueName && status === 409) return;
    const difference = findDifference(foreign, await twinOf(probe, values));
    if (difference !== undefined) tell('different', difference);
  });
}
