/**
 * Group commit: many callers, one write. Promise: items are written in the order they were pushed, one group at a
 * time; a caller's promise settles when its group has. While one group is being written the next one fills, so there
 * is no timer to tune: at low load a group is one item, under load it is whatever came during one fsync. Bounded by
 * items and bytes per group; what does not fit waits for the next. Fails per group: an error reaches all its callers.
 */
export interface GroupCommit<Item, Result> {
  push(item: Item, bytes: number): Promise<Result>;
  /** Items that wait, the group being written not counted. */
  readonly waiting: number;
  /** Resolves when everything pushed so far has settled. */
  drain(): Promise<void>;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly bytes: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export function createGroupCommit<Item, Result>(
  write: (items: readonly Item[]) => Promise<readonly Result[]>,
  limits: { itemsMax: number; bytesMax: number },
): GroupCommit<Item, Result> {
  let queue: Waiting<Item, Result>[] = [];
  let isWriting = false;
  let idle: (() => void)[] = [];

  function nextGroup(): Waiting<Item, Result>[] {
    let bytes = 0;
    let size = 0;
    while (size < queue.length && size < limits.itemsMax) {
      bytes += queue[size]!.bytes;
      if (size > 0 && bytes > limits.bytesMax) break;
      size += 1;
    }
    const group = queue.slice(0, size);
    queue = queue.slice(size);
    return group;
  }

  async function run(): Promise<void> {
    isWriting = true;
    while (queue.length > 0) {
      const group = nextGroup();
      try {
        const results = await write(group.map((waiting) => waiting.item));
        group.forEach((waiting, place) => waiting.resolve(results[place]!));
      } catch (error) {
        for (const waiting of group) waiting.reject(error);
      }
    }
    isWriting = false;
    for (const resolve of idle) resolve();
    idle = [];
  }

  return {
    push: (item, bytes) =>
      new Promise((resolve, reject) => {
        queue.push({ item, bytes, resolve, reject });
        // Requests read from the sockets in one turn of the event loop form one group.
        if (!isWriting) {
          isWriting = true;
          setImmediate(() => void run());
        }
      }),
    get waiting() {
      return queue.length;
    },
    drain: () => (isWriting ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve()),
  };
}
