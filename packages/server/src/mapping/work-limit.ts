import { MAPPING_LIMITS } from './document.ts';
import type { Expression } from './expression.ts';
import { EVERY, type Read } from './expression-use.ts';
import { Misfit, type Place } from './misfit.ts';
import { compilePath, type Path, type Scope } from './path.ts';

/**
 * Keeps the work of a payload linear. An expression inside a loop may visit a list outside of that loop, such as a filter
 * over the whole payload for every element. That would take quadratic time. So the elements of such lists are counted, and
 * beyond `outerElementsMax` in one payload the expression is rejected. An expression that depends on no loop is computed
 * once.
 */
export interface Work {
  outerElements: number;
  readonly known: Map<object, unknown>;
}

/** The scope's key for `Work`. A mapping cannot use it as a name: names begin with a letter. */
const WORK = '#work';

/** Sets the counts of `scope` to zero. Call it once for each payload. */
export function beginWork(scope: Scope): void {
  scope[WORK] = { outerElements: 0, known: new Map() } satisfies Work;
}

/** Counts elements of an outer list. Throws `Misfit` beyond `outerElementsMax` in one payload. */
export function countOuter(elements: number, scope: Scope, place: Place): void {
  const work = scope[WORK] as Work | undefined;
  if (work === undefined) return;
  work.outerElements += elements;
  if (work.outerElements <= MAPPING_LIMITS.outerElementsMax) return;
  const detail = `expressions inside loops may visit at most ${MAPPING_LIMITS.outerElementsMax} elements of lists outside of their loop in one payload`;
  throw new Misfit('too-much-work', place, 'more', detail);
}

/**
 * Wraps `expression` so that its work is limited. `outer` are the lists it visits that do not depend on the innermost
 * loop. If it depends on no loop at all, its value is computed once for each payload.
 */
export function boundWork(
  expression: Expression,
  outer: readonly Read[],
  dependsOnLoops: boolean,
  place: Place,
): Expression {
  if (!dependsOnLoops) return { ...expression, evaluate: (scope) => once(expression, scope) };
  const lists = outer.map((read) => compilePath({ root: read.root, steps: beforeEvery(read) }, place));
  return {
    ...expression,
    evaluate(scope) {
      for (const list of lists) {
        const found = list(scope);
        if (Array.isArray(found)) countOuter(found.length, scope, place);
      }
      return expression.evaluate(scope);
    },
  };
}

function once(expression: Expression, scope: Scope): unknown {
  const known = (scope[WORK] as Work | undefined)?.known;
  if (known?.has(expression)) return known.get(expression);
  const value = expression.evaluate(scope);
  known?.set(expression, value);
  return value;
}

/** The path up to the first list. Lists inside its elements are not counted themselves. */
function beforeEvery({ steps }: Read): Path['steps'] {
  const end = steps.indexOf(EVERY);
  return (end === -1 ? steps : steps.slice(0, end)) as Path['steps'];
}
