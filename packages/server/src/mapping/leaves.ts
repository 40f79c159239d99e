import { LEAF_PATHS_TOLD_MAX, type LeavesBody } from '@gladhand/contract/intake.ts';
import { pointerStep } from './schema-errors.ts';

/**
 * The outcome of every leaf of one payload. A leaf is a text, a number, a bool, null, or an empty list or object. Each leaf
 * is counted once, so the counts always add up to the number of leaves.
 *
 * While a payload is mapped, each container is marked with the keys that a record reads from it. This costs one entry for
 * each container, not for each leaf. At the end the payload is walked once, and each leaf looks up its mark. For
 * measurements see docs/benchmarks.md.
 */
export type LeafState = keyof typeof RANK;

/** If a leaf has several marks, the highest rank counts. */
const RANK = { skipped: 1, leftOut: 2, rejected: 3, taken: 4 } as const;

export type Key = string | number;

/** Keys of a container. Undefined means all keys. */
type Keys = ReadonlySet<Key> | undefined;

interface Mark {
  readonly keys: Keys;
  state: LeafState;
}

export class Leaves {
  readonly #marks = new Map<object, Mark[]>();
  readonly #walked = new Map<object, Map<object, LeafState>>();
  /** Marks of single list elements. A map by index makes each look-up cheap, however many elements a list has. */
  readonly #cells = new Map<readonly unknown[], Map<number, LeafState>>();
  /** Empty lists that count as a value: they say that no alarm or fault is active. */
  readonly #statements = new Set<object>();
  /** Marks that apply to everything inside a container. */
  readonly #inside = new Map<object, 'skipped' | 'rejected'>();
  /** Names that paths use for an element instead of `*`. */
  readonly #names = new Map<object, string>();

  /** Marks `keys` of a container. An existing higher mark stays. */
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
   * Whether everything that `what` reads from this list already has this mark or a higher one. If not, records that it has
   * from now on. Without this, a list outside of a loop would be walked once for each element of the loop.
   */
  isWalked(what: object, list: object, state: LeafState): boolean {
    const known = this.#walked.get(what);
    const before = known?.get(list);
    if (before !== undefined && RANK[before] >= RANK[state]) return true;
    if (known === undefined) this.#walked.set(what, new Map([[list, state]]));
    else known.set(list, state);
    return false;
  }

  /** Marks one element of a list. If the element is a container, the mark does not apply to what is inside it. */
  markCell(list: readonly unknown[], index: number, state: LeafState): void {
    let cells = this.#cells.get(list);
    if (cells === undefined) this.#cells.set(list, (cells = new Map()));
    const known = cells.get(index);
    if (known === undefined || RANK[state] > RANK[known]) cells.set(index, state);
  }

  /** Counts an empty list as a value that may be taken. Any other empty container is left out. */
  keepStatement(list: object): void {
    this.#statements.add(list);
  }

  /** Marks everything inside a container that has no mark of its own. */
  markInside(container: object, state: 'skipped' | 'rejected'): void {
    this.#inside.set(container, state);
  }

  isSkipped(container: object): boolean {
    return this.#inside.get(container) === 'skipped';
  }

  /** Uses `name` instead of `*` for a list element in paths. Its unused leaves are all listed under that name alone. */
  name(element: object, name: string): void {
    this.#names.set(element, name);
  }

  /** The state of one leaf, or undefined if it has no mark. */
  stateOf(container: object, key: Key): LeafState | undefined {
    const marks = this.#marks.get(container);
    const state =
      this.#cells.size === 0 ? undefined : this.#cells.get(container as readonly unknown[])?.get(key as number);
    return marks === undefined ? state : highest(marks, key, state);
  }

  /** Walks the payload once. Returns the counts and the first paths of left-out and unused leaves. */
  count(payload: unknown): LeavesBody {
    const counts = { taken: 0, skipped: 0, leftOut: 0, rejected: 0, unused: 0 };
    const root = createTrail();
    const visit = (container: object, trail: Trail, around: LeafState | undefined): void => {
      const inside = this.#inside.get(container) ?? around;
      const take = (key: Key, value: unknown, name: string): void => {
        if (!isLeaf(value)) {
          visit(value as object, childOf(trail, this.#names.get(value as object) ?? name), inside);
          return;
        }
        let state = this.stateOf(container, key) ?? inside;
        if (state === 'taken' && this.#saysNothing(value)) state = 'leftOut';
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
    } else visit(payload as object, root, undefined);
    return { ...counts, leftOutPaths: pathsOf(root, 'leftOut'), unusedPaths: pathsOf(root, 'unused') };
  }

  /** Whether a leaf has no value: null, or an empty container that is not a statement. */
  #saysNothing(value: unknown): boolean {
    return typeof value === 'object' && (value === null || !this.#statements.has(value));
  }
}

function highest(marks: readonly Mark[], key: Key, known: LeafState | undefined): LeafState | undefined {
  let state = known;
  for (const mark of marks) {
    if (mark.keys !== undefined && !mark.keys.has(key)) continue;
    if (state === undefined || RANK[mark.state] > RANK[state]) state = mark.state;
  }
  return state;
}

/** A container's path with `*` for every index. All elements of a list share one trail. */
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

/** Keys come from the payload and may be very long. */
const PATH_CHARS_MAX = 200;
/** PostgreSQL cannot store NUL or a lone surrogate. Each becomes U+FFFD. */
const UNSTORABLE = /[\0\ud800-\udfff]/;

function shortened(path: string): string {
  if (path.length <= PATH_CHARS_MAX && !UNSTORABLE.test(path)) return path;
  const text = path.length <= PATH_CHARS_MAX ? path : `${path.slice(0, PATH_CHARS_MAX - 1)}…`;
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}

/** Whether a value has no values inside it: a scalar, or an empty list or object. */
export function isLeaf(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  for (const _key in value) return false;
  return true;
}
