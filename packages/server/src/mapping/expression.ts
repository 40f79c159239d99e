import { type ASTNode, Environment, type EvaluationError } from '@marcbachmann/cel-js';
import { MAPPING_LIMITS } from './document.ts';
import { ExpressionUse, type Read } from './expression-use.ts';
import { readInstant } from './instant.ts';
import { Misfit, type Place, shorten } from './misfit.ts';
import { pruneNullBranches, wrapNullBranches } from './null-branches.ts';
import { type CompileKey, compilePath, findPath, type Path, type Scope } from './path.ts';

/**
 * A compiled CEL expression. Its work is at most linear in the size of the payload; other expressions are refused at
 * compile time, with a reason. At run time a missing or null input makes the expression a miss (undefined). An input of
 * the wrong type throws `Misfit`.
 *
 * Numbers of JSON are doubles. Four things are added to standard CEL:
 * - Arithmetic may mix a double and an int.
 * - `%` works on doubles, because JSON does not tell 3 from 3.0.
 * - A branch of `?:` may be null.
 * - `epochSeconds(text)` reads an ISO 8601 instant.
 */
export interface Expression {
  readonly source: string;
  /** The CEL type of the result. It is `dyn` if it depends on the payload. */
  readonly type: string;
  /** Set if the expression is nothing but a path into a variable. */
  readonly path?: Path;
  /** True if every path it reads must have a value. Otherwise the result is a miss. */
  readonly strict: boolean;
  /** Every path it reads. */
  readonly reads: readonly Read[];
  /** Lists whose elements it visits. */
  readonly walked: readonly Read[];
  /** Returns the value (bigint and uint as number), null, or undefined for a miss. Throws `Misfit`. */
  evaluate(scope: Scope): unknown;
}

export type ExpressionResult =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly code: string; readonly detail: string };

type Parsed = ReturnType<Environment['parse']>;

/** Shared by all expressions: a separate environment for each set of names costs 15 ms each. */
const environment = createEnvironment();

/**
 * Compiles `source`, which may use the base variables and `names`. `pointer` is its place in the mapping document (RFC
 * 6901). Returns the expression, or a code and a sentence that says why it is refused.
 */
export function compileExpression(source: string, pointer: string, names: readonly string[]): ExpressionResult {
  const bytes = Buffer.byteLength(source);
  if (bytes > MAPPING_LIMITS.expressionBytesMax) {
    const detail = `an expression has at most ${MAPPING_LIMITS.expressionBytesMax} bytes, this has ${bytes}`;
    return refusal('expression-too-long', detail);
  }
  let parsed: Parsed;
  try {
    parsed = environment.parse(source);
  } catch (error) {
    return refusal('expression-syntax', `expected a CEL expression: ${celDetail(error)}`);
  }
  const compileKey: CompileKey = (node) => {
    const key = compileExpression(textOf(source, node), pointer, names);
    return key.ok ? key.expression : undefined;
  };
  const use = new ExpressionUse(names, compileKey);
  use.visit(parsed.ast);
  if (use.refused !== undefined) return refusal(use.refused.code, use.refused.detail);
  const place: Place = { pointer, expression: source };
  const path = findPath(parsed.ast, compileKey);
  const hasNullBranch = wrapNullBranches(parsed.ast, asDyn);
  const check = parsed.check();
  if (!check.valid) return refusal('expression-type', celDetail(check.error));

  const type = (hasNullBranch ? typeWithoutNull(source) : check.type) ?? 'dyn';
  const evaluate = path === undefined ? compileCel(parsed, use, place) : compilePath(path, place);
  const { reads, walked, strict } = use;
  return {
    ok: true,
    expression: { source, type, evaluate, strict, reads, walked, ...(path === undefined ? {} : { path }) },
  };
}

function refusal(code: string, detail: string): ExpressionResult {
  return { ok: false, code, detail };
}

function asDyn(node: ASTNode): ASTNode {
  const call = environment.parse('dyn(0)').ast as ASTNode & { op: 'call' };
  call.args[1][0] = node;
  return call;
}

/** The type of an expression with null branches: the type of its other branches. */
function typeWithoutNull(source: string): string | undefined {
  const parsed = environment.parse(source);
  const root = pruneNullBranches(parsed.ast);
  if (root === parsed.ast) return parsed.check().type;
  return environment.parse(textOf(source, root)).check().type;
}

/** The source text of a node, without parentheses around it. The text stands alone, so it needs none. */
function textOf(source: string, node: ASTNode): string {
  return source.slice(node.start, node.end);
}

function createEnvironment(): Environment {
  // cel-js accepts unknown names here. `ExpressionUse` refuses them: it knows the loops around the expression.
  const environment = new Environment({ unlistedVariablesAreDyn: true, homogeneousAggregateLiterals: false });
  environment.registerVariable('receivedAt', 'google.protobuf.Timestamp');
  environment.registerFunction('epochSeconds(dyn): dyn', (text: unknown) => {
    const instant = readInstant(text, 'iso8601');
    return 'ms' in instant ? instant.ms / 1000 : null;
  });
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

function compileCel(run: (scope: Scope) => unknown, use: ExpressionUse, place: Place): (scope: Scope) => unknown {
  const inputs = use.reads.flatMap((read) =>
    read.steps.every((step) => typeof step !== 'symbol') ? [compilePath(read as Path, place)] : [],
  );
  const isMiss = (scope: Scope) => inputs.some((read) => (read(scope) ?? null) === null);
  return (scope) => {
    // A check before evaluation is far cheaper than the exception that cel-js throws for a missing operand.
    if (use.strict && isMiss(scope)) return undefined;
    let value: unknown;
    try {
      value = run(scope);
    } catch (error) {
      // Reads the inputs again. If one of their steps is the cause, this throws a more exact `Misfit`.
      isMiss(scope);
      return missOrMisfit(error as EvaluationError, place);
    }
    return typeof value === 'bigint' ? Number(value) : isUint(value) ? Number(value.valueOf()) : value;
  };
}

/** Returns undefined if a missing input made the expression fail. Throws `Misfit` for any other cause. */
function missOrMisfit(error: EvaluationError, place: Place): undefined {
  if (error.code === 'no_such_key' || error.code === 'index_out_of_bounds') return undefined;
  // The messages of cel-js contain types, never values: "no such overload: dyn<null> * int".
  if (/\bnull\b/.test(celDetail(error))) return undefined;
  const code = /overload|_type$|operand|range$/.test(error.code ?? '') ? 'wrong-type' : 'expression-failed';
  throw new Misfit(code, place, 'an expression that could not be computed', shorten(celDetail(error)));
}

/** cel-js does not export its class for uint. A value from JSON.parse never has that prototype. */
function isUint(value: unknown): value is { valueOf(): bigint } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.getPrototypeOf(value) !== Object.prototype && typeof value.valueOf() === 'bigint';
}

function celDetail(error: unknown): string {
  const { summary, message } = error as { summary?: string; message?: string };
  return summary ?? message ?? 'the expression failed';
}
