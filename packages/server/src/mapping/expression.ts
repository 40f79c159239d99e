import { type ASTNode, Environment, type EvaluationError } from '@marcbachmann/cel-js';
import { MAPPING_LIMITS } from './document.ts';
import { Misfit, type Place, shorten } from './misfit.ts';
import { compilePath, findPath, type Path, type Scope } from './path.ts';

/**
 * CEL, compiled once. Promise: an expression either compiles and then never does more than linear work in the size of
 * the payload, or is refused with a reason. At run time a missing or null input makes the expression a miss
 * (undefined); an input of the wrong type throws `Misfit`. Numbers of JSON are doubles; beside standard CEL a double
 * and an int may be mixed in arithmetic and % works on doubles, because a payload does not tell 3 from 3.0.
 */
export interface Expression {
  readonly source: string;
  /** What CEL says the result is: `dyn` when it depends on the payload. */
  readonly type: string;
  /** Set when the expression only walks into a variable. */
  readonly path?: Path;
  /** The value (bigint and uint as number), null, or undefined for a miss. Throws `Misfit`. */
  evaluate(scope: Scope): unknown;
}

export type ExpressionResult =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly code: string; readonly detail: string };

/** The variables that every expression may use; loop and let names come on top. */
const BASE_VARIABLES = ['payload', 'vin', 'receivedAt'];
/** Type names are identifiers too: `type(item.x) == string`. */
const TYPE_NAMES = ['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type'];

const MACROS = new Set(['all', 'exists', 'exists_one', 'map', 'filter', 'bind']);
/** A regular expression can run for ever on a few bytes, a join can grow a payload a thousandfold. */
const REFUSED_FUNCTIONS = new Set(['matches', 'join']);
/** These look at a null or missing operand themselves, so it does not make them a miss. */
const LOOKING = new Set(['==', '!=', 'in', '&&', '||', '?:', '.?', '[?]']);

/** One for all: an environment of its own for each set of names costs 15 ms each. */
const environment = createEnvironment();

/** Compiles `source`, which may use the base variables and `names`; `pointer` is where it stands. */
export function compileExpression(source: string, pointer: string, names: readonly string[]): ExpressionResult {
  const bytes = Buffer.byteLength(source);
  if (bytes > MAPPING_LIMITS.expressionBytesMax) {
    const detail = `an expression has at most ${MAPPING_LIMITS.expressionBytesMax} bytes, this has ${bytes}`;
    return refusal('expression-too-long', detail);
  }
  let parsed: ReturnType<Environment['parse']>;
  try {
    parsed = environment.parse(source);
  } catch (error) {
    return refusal('expression-syntax', `expected a CEL expression: ${celDetail(error)}`);
  }
  const use = new Use(names);
  use.visit(parsed.ast, new Set(), false);
  if (use.refused !== undefined) return refusal(use.refused.code, use.refused.detail);
  const check = parsed.check();
  if (!check.valid) return refusal('expression-type', celDetail(check.error));

  const place: Place = { pointer, expression: source };
  const path = findPath(parsed.ast);
  const evaluate = path === undefined ? compileCel(parsed, use, place) : compilePath(path, place);
  return {
    ok: true,
    expression: { source, type: check.type ?? 'dyn', evaluate, ...(path === undefined ? {} : { path }) },
  };
}

function refusal(code: string, detail: string): ExpressionResult {
  return { ok: false, code, detail };
}

function createEnvironment(): Environment {
  // Unlisted names pass here and are refused by `Use`, which knows the loops around an expression.
  const environment = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });
  environment.registerVariable('receivedAt', 'google.protobuf.Timestamp');
  const mixed: ReadonlyArray<[string, (left: number, right: number) => number]> = [
    ['+', (left, right) => left + right],
    ['-', (left, right) => left - right],
    ['*', (left, right) => left * right],
    ['/', (left, right) => left / right],
    ['%', (left, right) => left % right],
  ];
  for (const [sign, apply] of mixed) {
    const handler = (left: number | bigint, right: number | bigint) => apply(Number(left), Number(right));
    environment.registerOperator(`double ${sign} int: double`, handler);
    environment.registerOperator(`int ${sign} double: double`, handler);
    if (sign === '%') environment.registerOperator('double % double: double', handler);
  }
  return environment;
}

/** What an expression reads and does, read off its syntax tree. */
class Use {
  /** Longest paths into variables of the scope. */
  readonly paths: Path[] = [];
  /** Every path must have a value for the expression to have one. */
  strict = true;
  refused: { code: string; detail: string } | undefined;
  readonly #known: ReadonlySet<string>;

  constructor(names: readonly string[]) {
    this.#known = new Set([...BASE_VARIABLES, ...names]);
  }

  visit(node: ASTNode, hidden: ReadonlySet<string>, inMacro: boolean): void {
    if (LOOKING.has(node.op)) this.strict = false;
    const path = findPath(node, hidden);
    if (path !== undefined) this.#visitPath(path);
    else if (node.op === 'call' || node.op === 'rcall') this.#visitCall(node, hidden, inMacro);
    else for (const child of children(node.args)) this.visit(child, hidden, inMacro);
  }

  #visitPath(path: Path): void {
    if (this.#known.has(path.root)) this.paths.push(path);
    else if (!TYPE_NAMES.includes(path.root) || path.steps.length > 0) {
      const detail = `there is no ${path.root} here; known: ${[...this.#known].join(', ')}`;
      this.refused ??= { code: 'expression-variable', detail };
    }
  }

  #visitCall(node: ASTNode & { op: 'call' | 'rcall' }, hidden: ReadonlySet<string>, inMacro: boolean): void {
    const name = node.args[0];
    const isMacro = node.op === 'rcall' && MACROS.has(name);
    if (REFUSED_FUNCTIONS.has(name)) this.#refuse(`${name}() is not offered: its cost has no bound`);
    if (isMacro && inMacro && name !== 'bind')
      this.#refuse(`${name}() inside another comprehension is not offered: its cost is not linear`);
    if (isMacro || name === 'has' || name === 'dyn' || name === 'type') this.strict = false;
    if (isMacro && node.op === 'rcall') {
      if (name !== 'bind') this.visit(node.args[1], hidden, inMacro);
      const [bound, ...rest] = node.args[2];
      const inner = new Set(hidden);
      if (bound?.op === 'id') inner.add(bound.args);
      for (const argument of rest) this.visit(argument, inner, name === 'bind' ? inMacro : true);
      return;
    }
    for (const child of children(node.args)) this.visit(child, hidden, inMacro);
  }

  #refuse(detail: string): void {
    this.refused ??= { code: 'expression-refused', detail };
  }
}

function* children(args: unknown): Generator<ASTNode> {
  if (Array.isArray(args)) {
    for (const entry of args) yield* children(entry);
  } else if (typeof args === 'object' && args !== null && 'op' in args && 'args' in args) {
    yield args as ASTNode;
  }
}

function compileCel(run: (scope: Scope) => unknown, use: Use, place: Place): (scope: Scope) => unknown {
  const inputs = use.paths.map((path) => compilePath(path, place));
  const isMiss = (scope: Scope) => inputs.some((read) => (read(scope) ?? null) === null);
  return (scope) => {
    // Looking first is far cheaper than the exception a missing operand would be.
    if (use.strict && isMiss(scope)) return undefined;
    let value: unknown;
    try {
      value = run(scope);
    } catch (error) {
      // Reading the inputs once more throws where a step of theirs is the trouble: that says it better.
      isMiss(scope);
      return missOrMisfit(error as EvaluationError, place);
    }
    return typeof value === 'bigint' ? Number(value) : isUint(value) ? Number(value.valueOf()) : value;
  };
}

/** Undefined when the expression failed for want of an input; throws otherwise. */
function missOrMisfit(error: EvaluationError, place: Place): undefined {
  if (error.code === 'no_such_key' || error.code === 'index_out_of_bounds') return undefined;
  // cel-js puts types into its sentences, never values: "no such overload: dyn<null> * int".
  if (/\bnull\b/.test(celDetail(error))) return undefined;
  const code = /overload|_type$|operand|range$/.test(error.code ?? '') ? 'wrong-type' : 'expression-failed';
  throw new Misfit(code, place, 'an expression that could not be computed', shorten(celDetail(error)));
}

/** cel-js has a class for uint, which it does not export; nothing that JSON.parse makes has a prototype like it. */
function isUint(value: unknown): value is { valueOf(): bigint } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.getPrototypeOf(value) !== Object.prototype && typeof value.valueOf() === 'bigint';
}

function celDetail(error: unknown): string {
  const { summary, message } = error as { summary?: string; message?: string };
  return summary ?? message ?? 'the expression failed';
}
