import type { ASTNode } from '@marcbachmann/cel-js';
import { isNode } from './null-branches.ts';
import { type CompileKey, findPath, type Step } from './path.ts';

/** A step of a `Read` that stands for every element of a list. */
export const EVERY = Symbol('every element');

/** A path that an expression reads. It is used to mark leaves and to detect missing inputs. */
export interface Read {
  readonly root: string;
  readonly steps: ReadonlyArray<Step | typeof EVERY>;
}

/** The variables of every expression. Names of loops and lets are added to them. */
const BASE_VARIABLES = ['payload', 'vin', 'pathAsset', 'receivedAt'];
/** Variables whose value does not come from the payload. */
export const OUTSIDE_PAYLOAD: ReadonlySet<string> = new Set(['vin', 'pathAsset', 'receivedAt']);
/** CEL uses type names as identifiers, as in `type(item.x) == string`. */
const TYPE_NAMES = ['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type'];

const MACROS = new Set(['all', 'exists', 'exists_one', 'map', 'filter', 'bind']);
/** A regular expression can run for ever on a few bytes. A join can make a result 1000 times as large as the payload. */
const REFUSED_FUNCTIONS = new Set(['matches', 'join']);
/** Operators that handle a null or missing operand themselves, so that it does not make the expression a miss. */
const HANDLES_MISSING = new Set(['==', '!=', 'in', '&&', '||', '?:', '.?', '[?]']);

/** Names that comprehensions bind. The value is the path of their elements, or undefined if there is no plain path. */
type Hidden = ReadonlyMap<string, Read | undefined>;

/** What an expression reads and which functions it calls, collected from its syntax tree. */
export class ExpressionUse {
  readonly reads: Read[] = [];
  /** Lists that comprehensions visit. */
  readonly walked: Read[] = [];
  /** True if the expression has a value only when every path it reads has one. */
  strict = true;
  refused: { code: string; detail: string } | undefined;
  readonly #known: ReadonlySet<string>;
  readonly #compileKey: CompileKey;

  constructor(names: readonly string[], compileKey: CompileKey) {
    this.#known = new Set([...BASE_VARIABLES, ...names]);
    this.#compileKey = compileKey;
  }

  visit(node: ASTNode, hidden: Hidden = new Map(), inMacro = false): void {
    if (HANDLES_MISSING.has(node.op)) this.strict = false;
    const path = this.#pathOf(node, hidden);
    if (path !== undefined) this.#visitPath(path, hidden);
    else if (node.op === 'call' || node.op === 'rcall') this.#visitCall(node, hidden, inMacro);
    else for (const child of children(node.args)) this.visit(child, hidden, inMacro);
    // A computed key such as `item[payload.key]` is an expression with reads of its own.
    if (path !== undefined && node.op !== 'id') this.#visitKeys(node, hidden, inMacro);
  }

  /** The path of `node`. Undefined if a computed key needs a name that only exists inside a comprehension. */
  #pathOf(node: ASTNode, hidden: Hidden) {
    return findPath(node, (index) =>
      namesIn(index).some((name) => hidden.has(name)) ? undefined : this.#compileKey(index),
    );
  }

  #visitKeys(node: ASTNode, hidden: Hidden, inMacro: boolean): void {
    let current = node;
    while (current.op === '.' || current.op === '[]') {
      if (current.op === '[]' && current.args[1].op !== 'value') this.visit(current.args[1], hidden, inMacro);
      current = current.args[0];
    }
  }

  #visitPath(path: { root: string; steps: readonly Step[] }, hidden: Hidden): void {
    if (hidden.has(path.root)) {
      const source = hidden.get(path.root);
      if (source !== undefined) this.reads.push({ root: source.root, steps: [...source.steps, ...path.steps] });
    } else if (this.#known.has(path.root)) {
      this.reads.push(path);
    } else if (!TYPE_NAMES.includes(path.root) || path.steps.length > 0) {
      const detail = `there is no variable ${path.root} here; known: ${[...this.#known].join(', ')}`;
      this.refused ??= { code: 'expression-variable', detail };
    }
  }

  #visitCall(node: ASTNode & { op: 'call' | 'rcall' }, hidden: Hidden, inMacro: boolean): void {
    const name = node.args[0];
    const isMacro = node.op === 'rcall' && MACROS.has(name);
    if (REFUSED_FUNCTIONS.has(name)) this.#refuse(`${name}() is not available: its cost has no limit`);
    if (isMacro && inMacro && name !== 'bind')
      this.#refuse(`${name}() inside another comprehension is not available: its cost is not linear`);
    if (isMacro || name === 'has' || name === 'dyn' || name === 'type') this.strict = false;
    if (isMacro && node.op === 'rcall') this.#visitMacro(node, hidden, inMacro);
    else for (const child of children(node.args)) this.visit(child, hidden, inMacro);
  }

  #visitMacro(node: ASTNode & { op: 'rcall' }, hidden: Hidden, inMacro: boolean): void {
    const [name, operand, [bound, ...rest]] = node.args;
    const inner = new Map(hidden);
    if (name === 'bind') {
      const value = rest[0] && this.#sourceOf(rest[0], hidden);
      if (bound?.op === 'id') inner.set(bound.args, value);
      for (const argument of rest) this.visit(argument, inner, inMacro);
      return;
    }
    this.visit(operand, hidden, inMacro);
    const list = this.#sourceOf(operand, hidden);
    if (list !== undefined) this.walked.push(list);
    const elements = list && { root: list.root, steps: [...list.steps, EVERY] };
    if (bound?.op === 'id') inner.set(bound.args, elements as Read | undefined);
    for (const argument of rest) this.visit(argument, inner, true);
  }

  /** The path that a list or value comes from. Looks through `filter`, whose elements come from its operand. */
  #sourceOf(node: ASTNode, hidden: Hidden): Read | undefined {
    if (node.op === 'rcall' && node.args[0] === 'filter') return this.#sourceOf(node.args[1], hidden);
    const path = this.#pathOf(node, hidden);
    if (path === undefined || !hidden.has(path.root)) return path;
    const source = hidden.get(path.root);
    return source && { root: source.root, steps: [...source.steps, ...path.steps] };
  }

  #refuse(detail: string): void {
    this.refused ??= { code: 'expression-refused', detail };
  }
}

function namesIn(node: ASTNode): string[] {
  return node.op === 'id' ? [node.args] : [...children(node.args)].flatMap(namesIn);
}

function* children(args: unknown): Generator<ASTNode> {
  if (Array.isArray(args)) {
    for (const entry of args) yield* children(entry);
  } else if (isNode(args)) {
    yield args;
  }
}
