import type { FieldError } from '@gladhand/contract/errors.ts';
import { compileExpression, type Expression } from './expression.ts';
import { OUTSIDE_PAYLOAD, type Read } from './expression-use.ts';
import type { Place } from './misfit.ts';
import { boundWork } from './work-limit.ts';

/** The state of one compilation: the errors found so far, and what the expressions read. */
export class Compilation {
  readonly errors: FieldError[] = [];
  /** True if an expression reads `receivedAt`: the same payload received later may give other records. */
  readsArrival = false;
  /** Names in the current record whose value does not depend on the payload, such as a loop over `[1, 2, 3]`. */
  readonly #constants = new Set<string>();
  /** Names whose value depends on an element of any loop. */
  #loops = new Set<string>();
  /** Names whose value depends on an element of the innermost loop. */
  #inner = new Set<string>();

  /** Adds an error. Returns undefined, so that a caller can write `return build.refuse(...)`. */
  refuse(pointer: string, code: string, detail: string): undefined {
    this.errors.push({ pointer, code, detail });
    return undefined;
  }

  /**
   * Compiles `source` with `names` in scope. `types` lists the accepted CEL result types; `dyn` is always accepted.
   * Returns undefined after adding an error at `pointer`.
   */
  expression(
    source: string,
    pointer: string,
    names: readonly string[],
    types?: readonly string[],
  ): Expression | undefined {
    const result = compileExpression(source, pointer, names);
    if (!result.ok) return this.refuse(pointer, result.code, result.detail);
    const { type, reads } = result.expression;
    if (reads.some((read) => read.root === 'receivedAt')) this.readsArrival = true;
    const general = type.replace(/<.*/, '');
    if (types !== undefined && type !== 'dyn' && !types.includes(general)) {
      return this.refuse(pointer, 'expression-type', `expected ${types.join(' or ')}, this expression gives ${type}`);
    }
    return this.#bounded(result.expression, { pointer, expression: source });
  }

  /** Makes `name` the innermost loop. Undefined leaves all loops: a new record begins. */
  enterLoop(name: string | undefined): void {
    this.#loops = name === undefined ? new Set() : this.#loops.add(name);
    this.#inner = new Set(name === undefined ? [] : [name]);
  }

  /** True if the list does not depend on the innermost loop: every element of that loop gets the same list. */
  isOuter(expression: Expression): boolean {
    return this.#inner.size > 0 && expression.reads.length > 0 && !this.#reads(expression, this.#inner);
  }

  #reads(expression: Expression, names: ReadonlySet<string>): boolean {
    return expression.reads.some(({ root }) => names.has(root));
  }

  #bounded(expression: Expression, place: Place): Expression {
    const outer = this.#inner.size === 0 ? [] : expression.walked.filter(({ root }) => !this.#inner.has(root));
    return outer.length === 0 ? expression : boundWork(expression, outer, this.#reads(expression, this.#loops), place);
  }

  /**
   * The reads of `expression`, and `more`, that depend on the payload. The VIN of the request path, `receivedAt` and
   * constants do not.
   */
  readsOfPayload(expression: Expression, more: readonly Read[] = []): Read[] {
    return [...expression.reads, ...more].filter(
      ({ root }) => !OUTSIDE_PAYLOAD.has(root) && !this.#constants.has(root),
    );
  }

  /** Records what the name bound to `expression` depends on: the payload, any loop, the innermost loop. */
  bind(name: string, expression: Expression): void {
    if (this.readsOfPayload(expression).length > 0) this.#constants.delete(name);
    else this.#constants.add(name);
    for (const names of [this.#loops, this.#inner]) if (this.#reads(expression, names)) names.add(name);
  }

  /** Whether a loop may bind `name` while `names` are bound. Adds an error at `pointer` if not. */
  name(name: string, pointer: string, names: readonly string[]): boolean {
    if (RESERVED.has(name) || names.includes(name)) {
      this.refuse(pointer, 'name-taken', `${name} is already used here: choose another name`);
      return false;
    }
    return true;
  }
}

/** The variables of every mapping, and the reserved words of CEL. */
const RESERVED = new Set(
  `payload vin pathAsset receivedAt true false null in as break const continue else for function if import let loop package
   namespace return var void while int uint double bool string bytes list map type dyn has size timestamp duration cel`.split(
    /\s+/,
  ),
);
