import { Fault } from '@gladhand/base/fault.ts';

/** The item. Throws the one `not-found` Fault to a name that finds nothing. */
export function found<Item>(noun: string, item: Item | undefined): Item {
  if (item === undefined) throw notFound(noun);
  return item;
}

/** Repeats nothing of the request and does not depend on whose the thing may be. */
export function notFound(noun: string): Fault {
  return new Fault('not-found', `Your organization has no such ${noun}. Check the id; lists show the ones you have.`);
}
