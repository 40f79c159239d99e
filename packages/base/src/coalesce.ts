/**
 * Returns a function that runs `work` once at a time. All callers that come during a run share one further run, so every
 * caller gets a run that began after its call. Rejects as that run does. A failed run does not prevent the next one.
 */
export function coalesce(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let waiting: Promise<void> | undefined;
  return function run(): Promise<void> {
    if (running === undefined) {
      running = work().finally(() => {
        running = undefined;
      });
      return running;
    }
    waiting ??= running
      .catch(() => {})
      .then(() => {
        waiting = undefined;
        return run();
      });
    return waiting;
  };
}
