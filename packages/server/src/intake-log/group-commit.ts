/**
 * Group commit: many callers, one write. Promise: items enter groups in the order they were pushed, and a caller's
 * promise settles when its group has; at most `writersMax` groups are written at once. While they are, the next one
 * fills, so there is no timer to tune: at low load a group is one item, under load it is whatever came during one fsync.
 * Two groups at once let one be prepared while the other waits for the disk; items of two such groups have no order
 * among them, and need none, because neither was acknowledged when the other was pushed. Bounded by items and bytes
 * per group; what does not fit waits for the next. Fails per group: an error reaches all its callers.
 */
export interface GroupCommit<Item, Result> {
  push(item: Item, bytes: number): Promise<Result>;
  /** Items that were pushed and have not settled, the groups being written among them. */
  readonly unsettled: { readonly items: number; readonly bytes: number };
  /** Groups that have settled so far. */
  readonly groups: number;
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
  limits: { itemsMax: number; bytesMax: number; writersMax: number },
): GroupCommit<Item, Result> {
  let queue: Waiting<Item, Result>[] = [];
  let writers = 0;
  let groups = 0;
  const unsettled = { items: 0, bytes: 0 };
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
    while (queue.length > 0) {
      const group = nextGroup();
      try {
        const results = await write(group.map((waiting) => waiting.item));
        group.forEach((waiting, place) => waiting.resolve(results[place]!));
      } catch (error) {
        for (const waiting of group) waiting.reject(error);
      }
      groups += 1;
      unsettled.items -= group.length;
      for (const { bytes } of group) unsettled.bytes -= bytes;
    }
    writers -= 1;
    if (writers > 0) return;
    for (const resolve of idle) resolve();
    idle = [];
  }

  return {
    push: (item, bytes) =>
      new Promise((resolve, reject) => {
        queue.push({ item, bytes, resolve, reject });
        unsettled.items += 1;
        unsettled.bytes += bytes;
        // Requests read from the sockets in one turn of the event loop form one group.
        if (writers < limits.writersMax) {
          writers += 1;
          setImmediate(() => void run());
        }
      }),
    unsettled,
    get groups() {
      return groups;
    },
    drain: () => (writers > 0 ? new Promise((resolve) => idle.push(resolve)) : Promise.resolve()),
  };
}
