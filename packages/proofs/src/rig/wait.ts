/** Asks again every `everyMs` until the answer is there, and says what it waited for when `withinMs` is over. */
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
    if (performance.now() > endMs) throw new Error(`waited ${withinMs} ms in vain for ${what}`);
    await delay(everyMs);
  }
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
