import { type Caller, isAdmitted } from './callers.ts';
import type { SampleOrganization } from './create-organization.ts';
import { freshVin, freshWord, nonexistentLike } from './names.ts';
import { KINDS, type Kind, type Operation } from './operations.ts';
import type { Draft } from './own-request.ts';
import { traccarBody } from './send-readings.ts';

/**
 * A request with a value of another organization in one place. Probes cover every route, every caller, and every place that
 * can name something. The values are ids of the right kind and of all other kinds, VINs, serial numbers, slugs, cursors, and
 * properties that no schema has. Each probe has a twin: the same request with a value that does not exist.
 */
export interface Probe {
  readonly operation: Operation;
  readonly caller: Caller;
  readonly sample: SampleOrganization;
  readonly victim: Victim;
  readonly variation: Variation;
}

/** The owner of the values: another organization, or the part of its own that a restricted key may not see. */
export interface Victim {
  readonly name: string;
  /** Null if it is the caller's own organization. */
  readonly organizationId: string | null;
  readonly values: Readonly<Partial<Record<Kind, readonly string[]>>>;
  readonly cursors: readonly string[];
  readonly repeated: SampleOrganization['repeated'] | null;
  readonly claimable: string[];
  readonly organization: Pick<SampleOrganization, 'id' | 'slug' | 'own'> | null;
}

/** One place in a request, and the values to put there. */
export interface Variation {
  readonly slot: string;
  /**
   * The values. A getter may return other values each time. If it is empty, the request is the caller's own, and the probe
   * only checks that the answer shows no value of another organization.
   */
  readonly values: readonly string[];
  readonly twinValues: readonly string[];
  readonly put: (draft: Draft, values: readonly string[]) => Draft;
  /** True if the value has the kind that the place expects. */
  readonly isApt: boolean;
  /** True if the name is unique in the whole installation. The answer may show that it is taken, but not by which owner. */
  readonly isUniqueName: boolean;
}

const UNIQUE_NAMES = ['email', 'slug', 'id'];
const VIN_SLOT = 'body vin';
/** Routes that end the credential of the call. Callers who may call them use a separate credential for each probe. */
export const SELF_ENDING = [
  'post /api/v1/auth/sign-out',
  'put /api/v1/auth/password',
  'put /api/v1/partners/rotate',
  'put /api/v1/customers/rotate',
];
/** Roles do not matter on public routes, and each password check takes about 40 ms, so a few callers are enough. */
const CALLERS_OF_PUBLIC_ROUTES = ['nobody', 'session ADMIN', 'customer full'];

export function victimOf(sample: SampleOrganization): Victim {
  const { id, slug, values, cursors, repeated, claimable, own } = sample;
  return { name: slug, organizationId: id, values, cursors, repeated, claimable, organization: { id, slug, own } };
}

export function hiddenVictim(sample: SampleOrganization): Victim {
  const values = {
    plant: [sample.hidden.plant],
    device: [sample.hidden.device],
    record: sample.hidden.records.slice(0, 3),
  };
  return {
    name: `${sample.slug}, hidden plant`,
    organizationId: null,
    values,
    cursors: [],
    repeated: null,
    claimable: [],
    organization: null,
  };
}

/**
 * Plans at most `count` probes, taking routes in turn. For each route, probes with an admitted caller and a value of the
 * right kind come first. `random` selects among them.
 */
export function planProbes(
  operations: readonly Operation[],
  samples: readonly SampleOrganization[],
  count: number,
  random: () => number,
): Probe[] {
  const planned: { probe: Probe; turn: number }[] = [];
  for (const operation of operations) {
    const own: { probe: Probe; weight: number }[] = [];
    for (const sample of samples) {
      const others = samples.filter((one) => one !== sample).map(victimOf);
      for (const victim of [...others, hiddenVictim(sample)]) {
        const variations = variationsOf(operation, victim);
        for (const caller of sample.callers) {
          if (!isProbed(operation, caller, sample, victim)) continue;
          const isLetIn = isAdmitted(operation, caller);
          for (const variation of isLetIn ? withUsedUp(operation, victim, variations) : variations) {
            const weight = isLetIn && variation.isApt ? random() : 0.5 + 4 * random();
            own.push({ probe: { operation, caller, sample, victim, variation }, weight });
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

/** Adds values that a successful probe uses up: an admitted caller then owns them, so each probe needs a new one. */
function withUsedUp(operation: Operation, victim: Victim, variations: readonly Variation[]): Variation[] {
  const repetition = operation.isIntake && victim.repeated !== null ? [repetitionOf(victim.repeated)] : [];
  return [...variations.map((one) => (one.slot === VIN_SLOT ? claimOf(victim.claimable, one) : one)), ...repetition];
}

function isProbed(operation: Operation, caller: Caller, sample: SampleOrganization, victim: Victim): boolean {
  if (victim.organizationId === null && !caller.isRestricted) return false;
  if (operation.isPublic) return CALLERS_OF_PUBLIC_ROUTES.includes(caller.name) && victim.organizationId !== null;
  const isAllowed = isAdmitted(operation, caller);
  if (isAllowed && SELF_ENDING.includes(operation.id)) return false;
  if (sample.slug !== 'operator' || victim.organizationId === null) return true;
  // An admin of the operator may manage every organization, and its partners may send for all assets.
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

/** Adds parameters and properties that no schema has, such as an organization, an owner or an author. */
function addSmuggled(
  operation: Operation,
  { id, slug, own }: Pick<SampleOrganization, 'id' | 'slug' | 'own'>,
  add: Add,
): void {
  const into =
    (part: 'query' | 'headers', name: string): Variation['put'] =>
    (draft, values) => ({
      ...draft,
      [part]: { ...draft[part], [name]: values[0]! },
    });
  const [name, kind] = Object.entries(operation.pathKinds).at(-1) ?? [];
  if (name !== undefined && kind !== undefined) {
    // The other organization's value and its organization id together.
    const both: Variation['put'] = (draft, values) => ({
      ...draft,
      path: { ...draft.path, [name]: values[0]! },
      query: { ...draft.query, organizationId: values[1]! },
    });
    add(`smuggled query organizationId with path ${name}`, [own[kind], id], both, { isApt: true });
  }
  // No probes here: a caller would delete its own data, which later probes need.
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

/** Adds a payload that names a device of the other organization. */
function addPayload(repeated: SampleOrganization['repeated'], add: Add): void {
  const put: Variation['put'] = (draft, values) => ({ ...draft, body: values[0]! });
  add('body device', [repeated.body], put, { isApt: true, twinValues: [traccarBody(freshWord())] });
}

/** Registering a VIN of the other organization must give the same answer as registering a VIN that is not registered. */
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

/**
 * Sends the other organization's payload with its Idempotency-Key. Each probe takes another key, because after the first
 * use the caller has used the key itself.
 */
function repetitionOf({ vin, body, idempotencyKeys }: SampleOrganization['repeated']): Variation {
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

/** All values of the right kind, in upper and lower case if case does not matter, and one value of every other kind. */
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
