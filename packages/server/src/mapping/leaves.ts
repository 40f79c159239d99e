import { LEAF_PATHS_TOLD_MAX, type LeavesBody } from '@gladhand/contract/intake.ts';
import { pointerStep } from './schema-errors.ts';

/**
 * What became of every leaf of one payload. Promise: each leaf (a text, number, bool or null, or an empty list or
 * object) is counted once, so that the counts always add up to all leaves. While a payload is mapped, containers are
 * marked with the keys that a record reads of them: one entry for each container, not for each leaf. At the end the
 * payload is walked once and each leaf looks up its mark. Measured: see docs/benchmarks.md.
 */
export type LeafState = keyof typeof RANK;

/** Of several marks on one leaf the highest counts. */
const RANK = { skipped: 1, leftOut: 2, rejected: 3, taken: 4 } as const;

export type Key = string | number;

/** Keys of a container; undefined stands for all of them. */
type Keys = ReadonlySet<Key> | undefined;

interface Mark {
  readonly keys: Keys;
  state: LeafState;
}

export class Leaves {
  readonly #marks = new Map<object, Mark[]>();
  readonly #walked = new Map<object, Map<object, LeafState>>();
  /** Everything inside. */
  readonly #skipped = new Set<object>();
  /** What an element is called instead of `*`. */
  readonly #names = new Map<object, string>();

  mark(container: object, keys: Keys, state: LeafState): void {
    const marks = this.#marks.get(container);
    if (marks === undefined) {
      this.#marks.set(container, [{ keys, state }]);
      return;
    }
    const known = marks.find((mark) => mark.keys === keys);
    if (known === undefined) marks.push({ keys, state });
    else if (RANK[state] > RANK[known.state]) known.state = state;
  }

  /**
   * Whether everything that `what` reads of this list has such a mark, or a higher one, already. It has from now on. A
   * list outside of a loop is read again for each of its elements, and would be walked as often.
   */
  isWalked(what: object, list: object, state: LeafState): boolean {
    const known = this.#walked.get(what);
    const before = known?.get(list);
    if (before !== undefined && RANK[before] >= RANK[state]) return true;
    if (known === undefined) this.#walked.set(what, new Map([[list, state]]));
    else known.set(list, state);
    return false;
  }

  skip(container: object): void {
    this.#skipped.add(container);
  }

  isSkipped(container: object): boolean {
    return this.#skipped.has(container);
  }

  /** Calls an element of a list `name` where a path would say `*`, and its unused leaves by that name alone. */
  name(element: object, name: string): void {
    this.#names.set(element, name);
  }

  /** What the marks say of one leaf; undefined: nothing. */
  stateOf(container: object, key: Key): LeafState | undefined {
    const marks = this.#marks.get(container);
    return marks && highest(marks, key);
  }

  /** Walks the payload and counts. */
  count(payload: unknown): LeavesBody {
    const counts = { taken: 0, skipped: 0, leftOut: 0, rejected: 0, unused: 0 };
    const root = createTrail();
    const visit = (container: object, trail: Trail, isSkipped: boolean): void => {
      const inside = isSkipped || this.#skipped.has(container);
      const marks = this.#marks.get(container);
      const take = (key: Key, value: unknown, name: string): void => {
        if (!isLeaf(value)) {
          visit(value as object, childOf(trail, this.#names.get(value as object) ?? name), inside);
          return;
        }
        let state = (marks && highest(marks, key)) ?? (inside ? 'skipped' : undefined);
        if (state === 'taken' && value === null) state = 'leftOut';
        counts[state ?? 'unused'] += 1;
        if (state !== undefined && state !== 'leftOut') return;
        trail[state ?? 'unused'].add(this.#names.size > 0 && this.#names.has(container) ? '' : name);
      };
      if (Array.isArray(container))
        for (let index = 0; index < container.length; index += 1) take(index, container[index], '*');
      else for (const key in container) take(key, (container as Record<string, unknown>)[key], key);
    };
    if (isLeaf(payload)) {
      counts.unused += 1;
      root.unused.add('');
    } else visit(payload as object, root, false);
    return { ...counts, leftOutPaths: pathsOf(root, 'leftOut'), unusedPaths: pathsOf(root, 'unused') };
  }
}

function highest(marks: readonly Mark[], key: Key): LeafState | undefined {
  let state: LeafState | undefined;
  for (const mark of marks) {
    if (mark.keys !== undefined && !mark.keys.has(key)) continue;
    if (state === undefined || RANK[mark.state] > RANK[state]) state = mark.state;
  }
  return state;
}

/** A container's place with every index as `*`, shared by all elements of a list. */
interface Trail {
  readonly children: Map<string, Trail>;
  readonly unused: Set<string>;
  readonly leftOut: Set<string>;
}

function createTrail(): Trail {
  return { children: new Map(), unused: new Set(), leftOut: new Set() };
}

function childOf(trail: Trail, name: string): Trail {
  let child = trail.children.get(name);
  if (child === undefined) trail.children.set(name, (child = createTrail()));
  return child;
}

function pathsOf(root: Trail, kind: 'unused' | 'leftOut'): string[] {
  const paths: string[] = [];
  const walk = (trail: Trail, at: string): void => {
    for (const key of trail[kind]) {
      if (paths.length >= LEAF_PATHS_TOLD_MAX) return;
      paths.push(shortened(key === '' ? at : at + pointerStep(key)));
    }
    for (const [name, child] of trail.children) {
      if (paths.length >= LEAF_PATHS_TOLD_MAX) return;
      walk(child, at + pointerStep(name));
    }
  };
  walk(root, '');
  return [...new Set(paths)];
}

/** Keys come from the payload and may be long, or not fit for a database: NUL and half a surrogate pair become U+FFFD. */
const PATH_CHARS_MAX = 200;
const UNSTORABLE = /[\0\ud800-\udfff]/;

function shortened(path: string): string {
  if (path.length <= PATH_CHARS_MAX && !UNSTORABLE.test(path)) return path;
  const text = path.length <= PATH_CHARS_MAX ? path : `${path.slice(0, PATH_CHARS_MAX - 1)}…`;
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}

function isLeaf(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  for (const _key in value) return false;
  return true;
}
