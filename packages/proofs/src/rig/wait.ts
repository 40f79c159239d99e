/** Calls `find` every `everyMs` until its result is not undefined. After `withinMs` it throws an error that names `what`. */
export async function waitFor<Value>(
  what: string,
  find: () => Value | undefined | Promise<Value | undefined>,
  options: { everyMs?: number; withinMs?: number } = {},
): Promise<Value> {
  const { everyMs = 20, withinMs = 60_000 } = options;
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms for ${what}, without success`);
    await delay(everyMs);
  }
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
