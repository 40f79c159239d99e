import type { FieldError } from '@gladhand/contract/errors.ts';
import { compileExpression, type Expression } from './expression.ts';
import { OUTSIDE_PAYLOAD, type Read } from './expression-use.ts';
import type { Place } from './misfit.ts';
import { boundWork } from './work.ts';

/** One compilation: the errors found so far, and what its expressions read. */
export class Compilation {
  readonly errors: FieldError[] = [];
  /** An expression reads `receivedAt`, so the same bytes at another time may give other records. */
  readsArrival = false;
  /** Names of the record being compiled that no payload has a part in: a loop over `[1, 2, 3]`. */
  readonly #constants = new Set<string>();
  /** Names that depend on an element of any loop, and of the innermost one. */
  #loops = new Set<string>();
  #inner = new Set<string>();

  refuse(pointer: string, code: string, detail: string): undefined {
    this.errors.push({ pointer, code, detail });
    return undefined;
  }

  /** Compiles `source` with `names` in scope; `types` are the CEL types that will do (`dyn` always does). */
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

  /** From here on, `name` is the innermost loop. */
  enterLoop(name: string | undefined): void {
    this.#loops = name === undefined ? new Set() : this.#loops.add(name);
    this.#inner = new Set(name === undefined ? [] : [name]);
  }

  /** Whether it depends on no element of the innermost loop, and so is the same list for each of them. */
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

  /** What an expression, and others beside it, read of the payload: the VIN of the path and `receivedAt` are none of it. */
  readsOfPayload(expression: Expression, more: readonly Read[] = []): Read[] {
    return [...expression.reads, ...more].filter(
      ({ root }) => !OUTSIDE_PAYLOAD.has(root) && !this.#constants.has(root),
    );
  }

  /** Remembers whether a name that is bound to `expression` has anything of the payload. */
  bind(name: string, expression: Expression): void {
    if (this.readsOfPayload(expression).length > 0) this.#constants.delete(name);
    else this.#constants.add(name);
    for (const names of [this.#loops, this.#inner]) if (this.#reads(expression, names)) names.add(name);
  }

  /** Whether `name` may be bound by a loop where `names` are bound already. */
  name(name: string, pointer: string, names: readonly string[]): boolean {
    if (RESERVED.has(name) || names.includes(name)) {
      this.refuse(pointer, 'name-taken', `${name} already means something here: choose another name`);
      return false;
    }
    return true;
  }
}

/** Our own variables and the words CEL keeps for itself. */
const RESERVED = new Set(
  `payload vin pathAsset receivedAt true false null in as break const continue else for function if import let loop package
   namespace return var void while int uint double bool string bytes list map type dyn has size timestamp duration cel`.split(
    /\s+/,
  ),
);
