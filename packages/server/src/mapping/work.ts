import { MAPPING_LIMITS } from './document.ts';
import type { Expression } from './expression.ts';
import { EVERY, type Read } from './expression-use.ts';
import { Misfit, type Place } from './misfit.ts';
import { compilePath, type Path, type Scope } from './path.ts';

/**
 * What keeps the work of a payload linear. An expression inside a loop that goes through a list outside of it (a filter
 * over the whole payload for every element) would take the square of the payload's size. Such lists are counted, and
 * beyond `outerElementsMax` of one payload the expression is refused. One that depends on no loop is computed once.
 */
export interface Work {
  outerElements: number;
  readonly known: Map<object, unknown>;
}

/** No name of a mapping: names begin with a letter. */
const WORK = '#work';

export function beginWork(scope: Scope): void {
  scope[WORK] = { outerElements: 0, known: new Map() } satisfies Work;
}

/** Throws `Misfit` when the payload's share of such work is used up. */
export function countOuter(elements: number, scope: Scope, place: Place): void {
  const work = scope[WORK] as Work | undefined;
  if (work === undefined) return;
  work.outerElements += elements;
  if (work.outerElements <= MAPPING_LIMITS.outerElementsMax) return;
  const detail = `inside a loop, lists outside of it may be gone through for ${MAPPING_LIMITS.outerElementsMax} elements of one payload`;
  throw new Misfit('too-much-work', place, 'more', detail);
}

/** `expression`, counted: `outer` are the lists it goes through that the innermost loop has no part in. */
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

/** A list within the elements of another is no longer than what holds it, and is counted by that. */
function beforeEvery({ steps }: Read): Path['steps'] {
  const end = steps.indexOf(EVERY);
  return (end === -1 ? steps : steps.slice(0, end)) as Path['steps'];
}
