import { type ASTNode, Environment, type EvaluationError } from '@marcbachmann/cel-js';
import { MAPPING_LIMITS } from './document.ts';
import { ExpressionUse, type Read } from './expression-use.ts';
import { readInstant } from './instant.ts';
import { Misfit, type Place, shorten } from './misfit.ts';
import { pruneNullBranches, wrapNullBranches } from './null-branches.ts';
import { type CompileKey, compilePath, findPath, type Path, type Scope } from './path.ts';

/**
 * CEL, compiled once. Promise: an expression either compiles and then never does more than linear work in the size of
 * the payload, or is refused with a reason. At run time a missing or null input makes the expression a miss
 * (undefined); an input of the wrong type throws `Misfit`. Numbers of JSON are doubles; beside standard CEL a double
 * and an int may be mixed in arithmetic, % works on doubles (a payload does not tell 3 from 3.0), a branch of `?:` may be
 * null, and `epochSeconds(text)` reads an ISO 8601 instant.
 */
export interface Expression {
  readonly source: string;
  /** What CEL says the result is: `dyn` when it depends on the payload. */
  readonly type: string;
  /** Set when the expression only walks into a variable. */
  readonly path?: Path;
  /** Without a value in each place it reads there is no result. */
  readonly strict: boolean;
  /** Every place it reads. */
  readonly reads: readonly Read[];
  /** Lists that it goes through. */
  readonly walked: readonly Read[];
  /** The value (bigint and uint as number), null, or undefined for a miss. Throws `Misfit`. */
  evaluate(scope: Scope): unknown;
}

export type ExpressionResult =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly code: string; readonly detail: string };

type Parsed = ReturnType<Environment['parse']>;

/** One for all: an environment of its own for each set of names costs 15 ms each. */
const environment = createEnvironment();

/** Compiles `source`, which may use the base variables and `names`; `pointer` is where it stands. */
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

/** The type of an expression some branches of which are null, as the other branches have it. */
function typeWithoutNull(source: string): string | undefined {
  const parsed = environment.parse(source);
  const root = pruneNullBranches(parsed.ast);
  if (root === parsed.ast) return parsed.check().type;
  return environment.parse(textOf(source, root)).check().type;
}

/** A node's own text. Nodes do not keep their parentheses, and do not need them outside of others. */
function textOf(source: string, node: ASTNode): string {
  return source.slice(node.start, node.end);
}

function createEnvironment(): Environment {
  // Unlisted names pass here and are refused by `ExpressionUse`, which knows the loops around an expression.
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
