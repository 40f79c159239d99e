/**
 * Whether what was admitted is what a limit admits, from outside: a client knows when it sent and when it was answered,
 * and the decision fell somewhere between. So an admission near the end of a window may belong to the next one; it is
 * a breach only when no way of telling them apart keeps the limit. For a window that is exact (Hall's condition on
 * intervals), and for all windows together nothing is left open: the total is the total.
 */
export interface Asked {
  /** Unix ms. */
  readonly sentMs: number;
  readonly answeredMs: number;
}

/** What a limit admits in steps `a` to `b`: `first + perStep x (b - a)`. */
export interface Budget {
  /** Length of a window, or 1 for a bucket. Step number k begins at k x stepSeconds of the Unix epoch. */
  readonly stepSeconds: number;
  /** In a step that begins with nothing used: a window's limit, a bucket's capacity. */
  readonly first: number;
  /** In every further step: a window's limit, a bucket's refill. */
  readonly perStep: number;
}

export function windowBudget(limit: number, windowSeconds: number): Budget {
  return { stepSeconds: windowSeconds, first: limit, perStep: limit };
}

/** In a span over n boundaries of seconds a bucket admits `capacity + n x refillPerSecond`. */
export function bucketBudget(capacity: number, refillPerSecond: number): Budget {
  return { stepSeconds: 1, first: capacity, perStep: refillPerSecond };
}

export interface Admitted {
  readonly admitted: number;
  /** In the steps in which something was sent, if nobody had asked for it before. */
  readonly admissible: number;
  readonly steps: number;
  /** By how much the worst run of steps is beyond its budget at the least; 0 when the limit was kept. */
  readonly over: number;
  /** By how much the worst run of steps is below its budget at the least, in per cent of it; 0 when nothing was lacking. */
  readonly shortPercent: number;
  /** Steps in which nobody was refused: there the demand may not have been above the limit, and `shortPercent` says nothing. */
  readonly stepsWithoutRefusal: number;
}

/** How far the clock that decided may be from the client's; both are this machine's. */
const SLACK_MS = 5;

/** `admitted` and `refused` are all that was answered; the demand began with nothing used and had no pause. */
export function checkAdmitted(admitted: readonly Asked[], refused: readonly Asked[], budget: Budget): Admitted {
  const stepMs = budget.stepSeconds * 1000;
  const all = [...admitted, ...refused];
  if (all.length === 0) throw new Error('nobody asked');
  const firstStep = Math.floor(all.reduce((least, { sentMs }) => Math.min(least, sentMs), Infinity) / stepMs);
  const lastSent = Math.floor(all.reduce((most, { sentMs }) => Math.max(most, sentMs), 0) / stepMs);
  const lastStep = Math.floor(all.reduce((most, { answeredMs }) => Math.max(most, answeredMs), 0) / stepMs);
  const steps = lastStep - firstStep + 1;
  // What comes after the last request was sent is decided late: room for it there is, demand for more there was not.
  const demanded = lastSent - firstStep + 1;
  const place = (atMs: number) => Math.min(steps - 1, Math.max(0, Math.floor(atMs / stepMs) - firstStep));
  // within[lo][hi]: how many were decided in a step from lo to hi, nobody knows which.
  const within = Array.from({ length: steps }, () => Array.from({ length: steps }, () => 0));
  for (const { sentMs, answeredMs } of admitted) {
    within[place(sentMs - SLACK_MS)]![place(answeredMs + SLACK_MS)]! += 1;
  }
  const isRefusedIn = new Set<number>();
  for (const { sentMs, answeredMs } of refused) {
    const step = place(sentMs - SLACK_MS);
    if (place(answeredMs + SLACK_MS) === step) isRefusedIn.add(step);
  }
  let over = 0;
  let shortPercent = 0;
  for (let from = 0; from < steps; from += 1) {
    for (let to = from; to < steps; to += 1) {
      let [certain, possible] = [0, 0];
      for (let lo = 0; lo <= to; lo += 1) {
        for (let hi = Math.max(lo, from); hi < steps; hi += 1) {
          possible += within[lo]![hi]!;
          if (lo >= from && hi <= to) certain += within[lo]![hi]!;
        }
      }
      over = Math.max(over, certain - (budget.first + budget.perStep * (to - from)));
      if (to >= demanded) continue;
      // A bucket is full at the first step only; after it there is what each step brings.
      const wanted = (from === 0 ? budget.first : budget.perStep) + budget.perStep * (to - from);
      shortPercent = Math.max(shortPercent, (100 * (wanted - possible)) / wanted);
    }
  }
  return {
    admitted: admitted.length,
    admissible: budget.first + budget.perStep * (demanded - 1),
    steps: demanded,
    over,
    shortPercent,
    stepsWithoutRefusal: Array.from({ length: demanded }, (_, step) => step).filter((step) => !isRefusedIn.has(step))
      .length,
  };
}

/** What was decided in one window: `certain` of it surely, `possible` at the most. */
export interface Counted {
  /** Unix ms of its begin. */
  readonly fromMs: number;
  readonly certain: number;
  readonly possible: number;
}

/** The windows of [fromMs, untilMs) that lie in it whole. */
export function countPerWindow(
  admitted: readonly Asked[],
  windowSeconds: number,
  fromMs: number,
  untilMs: number,
): Counted[] {
  const windowMs = windowSeconds * 1000;
  const counted: Counted[] = [];
  for (let beginMs = Math.ceil(fromMs / windowMs) * windowMs; beginMs + windowMs <= untilMs; beginMs += windowMs) {
    const endMs = beginMs + windowMs;
    const touching = admitted.filter(
      ({ sentMs, answeredMs }) => answeredMs + SLACK_MS >= beginMs && sentMs - SLACK_MS < endMs,
    );
    const certain = touching.filter(
      ({ sentMs, answeredMs }) => sentMs - SLACK_MS >= beginMs && answeredMs + SLACK_MS < endMs,
    );
    counted.push({ fromMs: beginMs, certain: certain.length, possible: touching.length });
  }
  return counted;
}
