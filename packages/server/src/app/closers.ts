/** What was opened, to be closed in the reverse order of opening. */
export interface Closers {
  add(close: () => unknown): void;
  readonly isClosing: boolean;
  close(): Promise<void>;
}

export function createClosers(): Closers {
  const closers: (() => unknown)[] = [];
  let isClosing = false;
  return {
    add: (close) => void closers.push(close),
    get isClosing() {
      return isClosing;
    },
    async close() {
      isClosing = true;
      for (const closeOne of closers.splice(0).reverse()) await closeOne();
    },
  };
}
