import type { FieldError } from '@gladhand/contract/errors.ts';
import { compileExpression, type Expression } from './expression.ts';

/** One compilation: the errors found so far. */
export class Build {
  readonly errors: FieldError[] = [];

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
    const { type } = result.expression;
    const general = type.replace(/<.*/, '');
    if (types !== undefined && type !== 'dyn' && !types.includes(general)) {
      return this.refuse(pointer, 'expression-type', `expected ${types.join(' or ')}, this expression gives ${type}`);
    }
    return result.expression;
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
  `payload vin receivedAt true false null in as break const continue else for function if import let loop package
   namespace return var void while int uint double bool string bytes list map type dyn has size timestamp duration cel`.split(
    /\s+/,
  ),
);
