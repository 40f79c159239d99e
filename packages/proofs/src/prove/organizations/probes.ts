import { type Caller, isAdmitted } from './callers.ts';
import type { House } from './furnish.ts';
import { freshVin, freshWord, nonexistentLike } from './names.ts';
import { KINDS, type Kind, type Operation } from './operations.ts';
import type { Draft } from './own-request.ts';
import { traccarBody } from './send-readings.ts';

/**
 * Every route x every caller x every place where a request can name something, with what belongs to somebody else in
 * that place: ids of the right kind and of every other kind, VINs, serial numbers, slugs, cursors, and properties that
 * no schema has. Each probe has a twin that names what does not exist.
 */
export interface Probe {
  readonly operation: Operation;
  readonly caller: Caller;
  readonly house: House;
  readonly victim: Victim;
  readonly variation: Variation;
}

/** Whose things are named: another organization, or what a restricted key may not see of its own. */
export interface Victim {
  readonly name: string;
  /** Null: the caller's own organization. */
  readonly organizationId: string | null;
  readonly values: Readonly<Partial<Record<Kind, readonly string[]>>>;
  readonly cursors: readonly string[];
  readonly repeated: House['repeated'] | null;
  readonly claimable: string[];
  readonly organization: Pick<House, 'id' | 'slug' | 'own'> | null;
}

/** One place and what is put there. */
export interface Variation {
  readonly slot: string;
  /** May be other ones each time it is read. Empty: the request is the caller's own, and only what it shows is looked at. */
  readonly values: readonly string[];
  readonly twinValues: readonly string[];
  readonly put: (draft: Draft, values: readonly string[]) => Draft;
  /** What is named is of the kind that the place is for. */
  readonly isApt: boolean;
  /** A name that counts for the whole installation: that it is taken may be told, whose it is may not. */
  readonly isUniqueName: boolean;
}

const UNIQUE_NAMES = ['email', 'slug', 'id'];
const VIN_SLOT = 'body vin';
/** They end the credential they are called with, so for who may call them they are proved with credentials of their own. */
export const SELF_ENDING = [
  'post /api/v1/auth/sign-out',
  'put /api/v1/auth/password',
  'put /api/v1/partners/rotate',
  'put /api/v1/customers/rotate',
];
/** Nobody's role matters there, and each try at a password costs some 40 ms. */
const CALLERS_OF_PUBLIC_ROUTES = ['nobody', 'session ADMIN', 'customer full'];

export function victimOf(house: House): Victim {
  const { id, slug, values, cursors, repeated, claimable, own } = house;
  return { name: slug, organizationId: id, values, cursors, repeated, claimable, organization: { id, slug, own } };
}

export function hiddenVictim(house: House): Victim {
  const values = {
    plant: [house.hidden.plant],
    device: [house.hidden.device],
    record: house.hidden.records.slice(0, 3),
  };
  return {
    name: `${house.slug}, hidden plant`,
    organizationId: null,
    values,
    cursors: [],
    repeated: null,
    claimable: [],
    organization: null,
  };
}

/**
 * At most `count` probes, the routes in turn, and of each route first those where a caller who is let in names
 * something of the right kind. `random` draws among them.
 */
export function planProbes(
  operations: readonly Operation[],
  houses: readonly House[],
  count: number,
  random: () => number,
): Probe[] {
  const planned: { probe: Probe; turn: number }[] = [];
  for (const operation of operations) {
    const own: { probe: Probe; weight: number }[] = [];
    for (const house of houses) {
      const others = houses.filter((one) => one !== house).map(victimOf);
      for (const victim of [...others, hiddenVictim(house)]) {
        const variations = variationsOf(operation, victim);
        for (const caller of house.callers) {
          if (!isProbed(operation, caller, house, victim)) continue;
          const isLetIn = isAdmitted(operation, caller);
          for (const variation of isLetIn ? withUsedUp(operation, victim, variations) : variations) {
            const weight = isLetIn && variation.isApt ? random() : 0.5 + 4 * random();
            own.push({ probe: { operation, caller, house, victim, variation }, weight });
          }
        }
      }
    }
    own.sort((one, other) => one.weight - other.weight);
    own.slice(0, count).forEach(({ probe }, turn) => void planned.push({ probe, turn }));
  }
  planned.sort((one, other) => one.turn - other.turn);
  return planned.slice(0, count).map(({ probe }) => probe);
}

/** What a caller who is let in makes its own by naming it has to be another one each time. */
function withUsedUp(operation: Operation, victim: Victim, variations: readonly Variation[]): Variation[] {
  const repetition = operation.isIntake && victim.repeated !== null ? [repetitionOf(victim.repeated)] : [];
  return [...variations.map((one) => (one.slot === VIN_SLOT ? claimOf(victim.claimable, one) : one)), ...repetition];
}

function isProbed(operation: Operation, caller: Caller, house: House, victim: Victim): boolean {
  if (victim.organizationId === null && !caller.isRestricted) return false;
  if (operation.isPublic) return CALLERS_OF_PUBLIC_ROUTES.includes(caller.name) && victim.organizationId !== null;
  const isAllowed = isAdmitted(operation, caller);
  if (isAllowed && SELF_ENDING.includes(operation.id)) return false;
  if (house.slug !== 'operator' || victim.organizationId === null) return true;
  // An admin of the operator is above every organization, and its partners send for the assets of all.
  return caller.name !== 'session ADMIN' && caller.name !== 'cookie ADMIN' && !(isAllowed && operation.isIntake);
}

function variationsOf(operation: Operation, victim: Victim): Variation[] {
  const variations: Variation[] = [];
  const add = (slot: string, values: readonly string[], put: Variation['put'], more: Partial<Variation> = {}) => {
    const twinValues = more.twinValues ?? values.map(nonexistentLike);
    variations.push({ isApt: false, isUniqueName: false, ...more, slot, values, twinValues, put });
  };
  const inPath =
    (...names: string[]): Variation['put'] =>
    (draft, values) => ({
      ...draft,
      path: { ...draft.path, ...Object.fromEntries(names.map((name, place) => [name, values[place]!])) },
    });
  const inQuery =
    (name: string): Variation['put'] =>
    (draft, values) => ({ ...draft, query: { ...draft.query, [name]: values[0]! } });
  const inBody =
    (name: string, isList: boolean): Variation['put'] =>
    (draft, values) => ({
      ...draft,
      body: { ...(draft.body as object), [name]: isList ? values : values[0] },
    });

  const paths = Object.entries(operation.pathKinds);
  for (const [name, kind] of paths) {
    for (const { value, isApt } of candidates(kind, victim)) add(`path ${name}`, [value], inPath(name), { isApt });
  }
  const [first, second] = paths;
  if (first !== undefined && second !== undefined) {
    for (const owner of victim.values[first[1]] ?? []) {
      for (const value of victim.values[second[1]] ?? []) {
        add(`path ${first[0]} and ${second[0]}`, [owner, value], inPath(first[0], second[0]), { isApt: true });
      }
    }
  }
  for (const [name, kind] of Object.entries(operation.queryKinds)) {
    for (const { value, isApt } of candidates(kind, victim)) add(`query ${name}`, [value], inQuery(name), { isApt });
  }
  if (operation.takesCursor) {
    for (const cursor of victim.cursors) add('cursor', [cursor], inQuery('next'), { isApt: true });
  }
  for (const [name, { kind, isList }] of Object.entries(operation.body ?? {})) {
    if (kind === null) continue;
    const isUniqueName = UNIQUE_NAMES.includes(name);
    for (const { value, isApt } of candidates(kind, victim)) {
      if (isApt || !isUniqueName) add(`body ${name}`, [value], inBody(name, isList), { isApt, isUniqueName });
    }
  }
  if (victim.organization !== null) addSmuggled(operation, victim.organization, add);
  if (operation.isIntake && victim.repeated !== null) addPayload(victim.repeated, add);
  if (variations.every(({ isApt }) => !isApt)) add('nothing', [], (draft) => draft, { isApt: true });
  return variations;
}

type Add = (slot: string, values: readonly string[], put: Variation['put'], more?: Partial<Variation>) => void;

/** What no schema has: an organization, an owner or an author that the request names for itself. */
function addSmuggled(operation: Operation, { id, slug, own }: Pick<House, 'id' | 'slug' | 'own'>, add: Add): void {
  const into =
    (part: 'query' | 'headers', name: string): Variation['put'] =>
    (draft, values) => ({
      ...draft,
      [part]: { ...draft[part], [name]: values[0]! },
    });
  const [name, kind] = Object.entries(operation.pathKinds).at(-1) ?? [];
  if (name !== undefined && kind !== undefined) {
    // Its thing and its organization together.
    const both: Variation['put'] = (draft, values) => ({
      ...draft,
      path: { ...draft.path, [name]: values[0]! },
      query: { ...draft.query, organizationId: values[1]! },
    });
    add(`smuggled query organizationId with path ${name}`, [own[kind], id], both, { isApt: true });
  }
  // What a caller deletes of its own is missing in the probes after it.
  if (operation.method === 'DELETE') return;
  add('smuggled query organizationId', [id], into('query', 'organizationId'));
  add('smuggled query organization', [slug], into('query', 'organization'));
  add('smuggled header x-organization-id', [id], into('headers', 'x-organization-id'));
  if (operation.body === null) return;
  const smuggled = { organizationId: id, organization: slug, createdBy: own.user, partner: slug, keyId: own.key };
  for (const [property, value] of Object.entries(smuggled)) {
    const put: Variation['put'] = (draft, values) => ({
      ...draft,
      body: { ...(draft.body as object), [property]: values[0] },
    });
    add(`smuggled body ${property}`, [value], put, { isApt: property === 'organizationId' });
  }
}

/** A payload that names the other's device. */
function addPayload(repeated: House['repeated'], add: Add): void {
  const put: Variation['put'] = (draft, values) => ({ ...draft, body: values[0]! });
  add('body device', [repeated.body], put, { isApt: true, twinValues: [traccarBody(freshWord())] });
}

/** Registering the other's VIN answers as registering one that nobody has. */
function claimOf(claimable: string[], variation: Variation): Variation {
  return {
    ...variation,
    get values() {
      return claimable.splice(0, 1);
    },
    get twinValues() {
      return [freshVin()];
    },
    put: (draft, values) => (values.length === 0 ? draft : variation.put(draft, values)),
  };
}

/** The other's Idempotency-Key with its very bytes; another one each time, because the second use is a use of one's own. */
function repetitionOf({ vin, body, idempotencyKeys }: House['repeated']): Variation {
  return {
    slot: 'header idempotency-key',
    get values() {
      return idempotencyKeys.splice(0, 1);
    },
    get twinValues() {
      return [freshWord()];
    },
    put: (draft, [key]) => {
      const path = 'vin' in draft.path ? { vin } : draft.path;
      return key === undefined ? draft : { ...draft, path, headers: { 'idempotency-key': key }, body };
    },
    isApt: true,
    isUniqueName: false,
  };
}

/** All values of the right kind, in both cases where case means nothing; of every other kind one. */
function candidates(kind: Kind, victim: Victim): { value: string; isApt: boolean }[] {
  const apt = victim.values[kind] ?? [];
  const turned = apt
    .filter((value) => /^[0-9a-f-]{36}$|^[A-Z0-9]{17}$/.test(value))
    .map((value) => (/[a-z]/.test(value) ? value.toUpperCase() : value.toLowerCase()));
  const others = KINDS.filter((one) => one !== kind).flatMap((one) => (victim.values[one] ?? []).slice(0, 1));
  return [
    ...[...apt, ...turned.slice(0, 2)].map((value) => ({ value, isApt: true })),
    ...others.filter((value) => !apt.includes(value)).map((value) => ({ value, isApt: false })),
  ];
}
