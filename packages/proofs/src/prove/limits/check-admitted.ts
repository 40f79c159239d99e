/**
 * Checks from outside whether the admitted requests keep a limit. A client knows when it sent a request and when the answer
 * came. The decision was made in between. So an admission near the end of a window may count in the next window. The limit
 * is exceeded only if no assignment of admissions to windows keeps it. The check is exact (Hall's condition on intervals).
 */
export interface Asked {
  /** Unix ms. The decision was made between `sentMs` and `answeredMs`. */
  readonly sentMs: number;
  readonly answeredMs: number;
}

/** What a limit admits in steps `a` to `b`: `first + perStep x (b - a)`. */
export interface Budget {
  /** Length of a window, or 1 for a bucket. Step number k begins k x stepSeconds after the Unix epoch. */
  readonly stepSeconds: number;
  /** Budget of the first step, with nothing used before: a window's limit, or a bucket's capacity. */
  readonly first: number;
  /** Budget of each further step: a window's limit, or a bucket's refill. */
  readonly perStep: number;
}

export function windowBudget(limit: number, windowSeconds: number): Budget {
  return { stepSeconds: windowSeconds, first: limit, perStep: limit };
}

/** The budget of a bucket: across n boundaries of seconds it admits `capacity + n x refillPerSecond`. */
export function bucketBudget(capacity: number, refillPerSecond: number): Budget {
  return { stepSeconds: 1, first: capacity, perStep: refillPerSecond };
}

export interface Admitted {
  readonly admitted: number;
  /** What the limit admits in the steps in which requests were sent. */
  readonly admissible: number;
  readonly steps: number;
  /** Admissions above the budget in the worst run of steps, at least. 0 if the limit was kept. */
  readonly over: number;
  /** Admissions below the budget in the worst run of steps, at least, in per cent of the budget. 0 if none were missing. */
  readonly shortPercent: number;
  /** Steps without a refusal. The demand there may have been below the limit, so `shortPercent` has no meaning. */
  readonly stepsWithoutRefusal: number;
}

/** Maximum difference between the deciding clock and the client's clock. Both run on this machine. */
const SLACK_MS = 5;

/**
 * Checks the admissions against the budget. `admitted` and `refused` must be all answered requests. When the load began,
 * nothing of the budget was used, and the load had no pause.
 */
export function checkAdmitted(admitted: readonly Asked[], refused: readonly Asked[], budget: Budget): Admitted {
  const stepMs = budget.stepSeconds * 1000;
  const all = [...admitted, ...refused];
  if (all.length === 0) throw new Error('nobody asked');
  const firstStep = Math.floor(all.reduce((least, { sentMs }) => Math.min(least, sentMs), Infinity) / stepMs);
  const lastSent = Math.floor(all.reduce((most, { sentMs }) => Math.max(most, sentMs), 0) / stepMs);
  const lastStep = Math.floor(all.reduce((most, { answeredMs }) => Math.max(most, answeredMs), 0) / stepMs);
  const steps = lastStep - firstStep + 1;
  // Steps after the last request was sent may hold late decisions, but there was no demand for more admissions.
  const demanded = lastSent - firstStep + 1;
  const place = (atMs: number) => Math.min(steps - 1, Math.max(0, Math.floor(atMs / stepMs) - firstStep));
  // within[lo][hi]: the number of requests that were decided in some step from lo to hi.
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
      // A bucket is full at the first step only. Each later step adds its refill.
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

/** Requests decided in one window: at least `certain`, at most `possible`. */
export interface Counted {
  /** Start of the window in Unix ms. */
  readonly fromMs: number;
  readonly certain: number;
  readonly possible: number;
}

/** Counts the requests in each window that lies completely within [fromMs, untilMs). */
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
