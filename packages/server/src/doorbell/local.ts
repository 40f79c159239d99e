import type { Doorbell, Topic } from './doorbell.ts';

/** The doorbell of a server that is alone: rings are heard in this process, in a microtask, several as one. */
export function createLocalDoorbell(): Doorbell {
  const listeners = new Map<Topic, Set<() => void>>();
  const pending = new Set<Topic>();
  let isClosed = false;
  return {
    ring(topic) {
      if (isClosed || pending.has(topic)) return;
      pending.add(topic);
      queueMicrotask(() => {
        pending.delete(topic);
        for (const listen of listeners.get(topic) ?? []) listen();
      });
    },
    on(topic, listen) {
      const all = listeners.get(topic) ?? new Set();
      listeners.set(topic, all);
      all.add(listen);
      return () => all.delete(listen);
    },
    close() {
      isClosed = true;
      listeners.clear();
      return Promise.resolve();
    },
  };
}
