import type { Clock } from '@gladhand/base/clock.ts';
import { type Ids, isUuid } from '@gladhand/base/ids.ts';
import { type Listed, listById, type Walk } from '@gladhand/base/page.ts';
import type { Origin } from '../access/principal.ts';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import { found } from './not-found.ts';
import type { Connection } from './stored-row.ts';

/** What people do with the things of one kind that an organization has registered. */
export interface Collection<Item, New, Change> {
  list(organizationId: string, walk: Walk): Promise<Listed<Item>>;
  get(organizationId: string, id: string): Promise<Item>;
  create(organizationId: string, order: New, origin: Origin): Promise<Item>;
  change(organizationId: string, id: string, change: Change, origin: Origin): Promise<Item>;
  /** Takes it out of service; doing so again changes nothing. */
  retire(organizationId: string, id: string, origin: Origin): Promise<void>;
}

/** How one kind of thing is read and written inside a transaction of its organization. */
export interface Table<Item, New, Change> {
  /** As messages call it. */
  readonly noun: string;
  /** As the audit log calls it. */
  readonly kind: string;
  /** Payloads may be waiting for one that is registered. */
  readonly claims: boolean;
  list(own: Connection, organizationId: string, slice: Walk): Promise<Item[]>;
  find(own: Connection, organizationId: string, id: string): Promise<Item | undefined>;
  insert(own: Connection, organizationId: string, order: New, entry: Entry): Promise<Item>;
  update(own: Connection, organizationId: string, id: string, change: Change, at: Date): Promise<Item | undefined>;
}

/** The columns that every new row begins with. */
export interface Entry {
  readonly id: string;
  readonly organization_id: string;
  readonly created_at: Date;
  readonly updated_at: Date;
}

export type Thing = { readonly id: string; readonly isActive: boolean };

export interface CollectionParts {
  readonly database: Pick<Database, 'within'>;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Called after an asset was registered for which payloads may be waiting. */
  readonly onRegistered: () => void;
}

export function createCollection<Item extends Thing, New extends object, Change extends { isActive?: boolean }>(
  { database, clock, ids, onRegistered }: CollectionParts,
  table: Table<Item, New, Change>,
): Collection<Item, New, Change> {
  const find = async (own: Connection, organizationId: string, id: string) =>
    found(table.noun, isUuid(id) ? await table.find(own, organizationId, id.toLowerCase()) : undefined);
  const get = (organizationId: string, id: string) =>
    database.within(organizationId, (own) => find(own, organizationId, id), 'read');

  const change = (organizationId: string, id: string, values: Change, origin: Origin) => {
    const at = new Date(clock.nowMs());
    return database.within(organizationId, async (own) => {
      const before = await find(own, organizationId, id);
      const after = found(table.noun, await table.update(own, organizationId, before.id, values, at));
      const verb = before.isActive && !after.isActive ? 'deactivated' : 'changed';
      await recordAudit(own, { ...origin, organizationId, ...eventOf(table.kind, verb, id, values), at });
      return after;
    });
  };

  return {
    list: (organizationId, walk) =>
      listById(walk, (slice) =>
        database.within(organizationId, (own) => table.list(own, organizationId, slice), 'read'),
      ),
    get,
    async create(organizationId, order, origin) {
      const at = new Date(clock.nowMs());
      const item = await database.within(organizationId, async (own) => {
        const entry = { id: ids.uuid(), organization_id: organizationId, created_at: at, updated_at: at };
        const made = await table.insert(own, organizationId, order, entry);
        await recordAudit(own, { ...origin, organizationId, ...eventOf(table.kind, 'registered', made.id, order), at });
        return made;
      });
      if (table.claims) onRegistered();
      return item;
    },
    change,
    async retire(organizationId, id, origin) {
      const before = await get(organizationId, id);
      if (before.isActive) await change(organizationId, id, { isActive: false } as Change, origin);
    },
  };
}

function eventOf(kind: string, verb: string, id: string, details: object) {
  return { action: `${kind}.${verb}`, target: { kind, id }, details: { ...details } };
}
