import type { Clock } from '@gladhand/base/clock.ts';
import { Fault } from '@gladhand/base/fault.ts';
import { isUuid } from '@gladhand/base/ids.ts';
import {
  API_KEY_PAGE_LIMIT_DEFAULT,
  type ApiKey,
  type ApiKeyChange,
  type ApiKeyPage,
  type CreatedApiKey,
  type NewApiKey,
} from '@gladhand/contract/api-keys.ts';
import type { FieldError } from '@gladhand/contract/errors.ts';
import type { Kysely } from 'kysely';
import { recordAudit } from '../audit/chain.ts';
import type { Database } from '../database/database.ts';
import type { Schema } from '../database/schema.ts';
import * as store from './administer-keys-store.ts';
import { readAllowedIps, readExpiry, readScopes, refuseFindings } from './api-key-order.ts';
import type { IssuedKey, KeyOrder } from './issue-key.ts';
import { endKey, type KeyChange, updateKey } from './key-store.ts';
import type { Audience, Origin, Person } from './principal.ts';

/**
 * The API keys of an organization. Promise: a key never exceeds its creator's rights: it belongs to the organization
 * it was made in, and whatever restricts it there (scopes, product, plants, addresses, expiry) is one that the creator
 * could name; plaintext is answered once; a revocation or change counts at the next request here, and on other nodes
 * when they hear of it. Every act stands in the organization's audit log. Assumes the caller's role was checked at the
 * wall and that `organization` is one they reach. Fails as the database fails, having changed nothing.
 */
export interface ApiKeys {
  /** Newest first. `page` from 1. */
  list(organization: KeyOwner, asked: { page?: number | undefined; limit?: number | undefined }): Promise<ApiKeyPage>;
  /** Throws `invalid-uuid`, `api-key-not-found`. */
  get(organization: KeyOwner, id: string): Promise<ApiKey>;
  /** Throws `validation-failed` with a pointer to everything that is wrong. */
  create(by: Person, organization: KeyOwner, order: NewApiKey, origin: Origin): Promise<CreatedApiKey>;
  /** Throws `api-key-revoked` too. */
  change(organization: KeyOwner, id: string, change: ApiKeyChange, origin: Origin): Promise<ApiKey>;
  /** False: it was revoked before. */
  revoke(organization: KeyOwner, id: string, origin: Origin): Promise<boolean>;
}

export interface KeyOwner {
  readonly id: string;
  readonly kind: 'operator' | 'customer';
}

export interface ApiKeysParts {
  readonly database: Database;
  readonly clock: Clock;
  /** Makes the key in the transaction it is given. */
  readonly issueKey: (trx: Kysely<Schema>, order: KeyOrder) => Promise<IssuedKey>;
  /** Whether a product of this name is installed. */
  readonly isProduct: (name: string) => boolean;
  /** Called after a key was changed or revoked: resolves when this node knows. */
  readonly onChanged: () => Promise<void>;
}

export function createApiKeys(parts: ApiKeysParts): ApiKeys {
  const { database, clock } = parts;
  return {
    list: (organization, asked) => listKeys(parts, organization, asked),
    get: (organization, id) =>
      database.within(organization.id, (db) => getKey(db, clock, { organization, id }), 'read'),
    create: (by, organization, order, origin) => createKey(parts, by, organization, order, origin),
    async change(organization, id, change, origin) {
      const changed = await changeKey(parts, { organization, id }, change, origin);
      await parts.onChanged();
      return changed;
    },
    async revoke(organization, id, origin) {
      const isNews = await revokeKey(parts, { organization, id }, origin);
      await parts.onChanged();
      return isNews;
    },
  };
}

/** A key that is asked for, by what stands in the path. */
interface KeyName {
  readonly organization: KeyOwner;
  readonly id: string;
}

/** `lock`: kept from changing until the transaction ends. */
async function getKey(db: Kysely<Schema>, clock: Clock, { organization, id }: KeyName, lock = false): Promise<ApiKey> {
  if (!isUuid(id))
    throw new Fault('invalid-uuid', 'Invalid API key UUID', {
      errors: [{ pointer: '/path/id', code: 'format', detail: 'is not a UUID' }],
    });
  const key = await store.findKey(db, organization.id, id, clock.nowMs(), lock);
  if (key === undefined) throw new Fault('api-key-not-found', 'API key not found');
  return key;
}

function listKeys(
  { database, clock }: ApiKeysParts,
  organization: KeyOwner,
  { page = 1, limit = API_KEY_PAGE_LIMIT_DEFAULT }: { page?: number | undefined; limit?: number | undefined },
): Promise<ApiKeyPage> {
  const read = async (db: Kysely<Schema>): Promise<ApiKeyPage> => {
    const total = await store.countKeys(db, organization.id);
    const totalPages = Math.ceil(total / limit);
    const slice = { offset: (page - 1) * limit, take: limit };
    const data = page > totalPages ? [] : await store.listKeys(db, organization.id, slice, clock.nowMs());
    return { data, meta: { limit, page, total, totalPages } };
  };
  return database.within(organization.id, read, 'read');
}

async function createKey(
  parts: ApiKeysParts,
  by: Person,
  organization: KeyOwner,
  order: NewApiKey,
  origin: Origin,
): Promise<CreatedApiKey> {
  const { database, clock } = parts;
  const findings: FieldError[] = [];
  const { scopes, audience } = readScopes(order.scopes, parts.isProduct, findings);
  const allowedIps = readAllowedIps(order.allowedIps ?? [], order.allowAnyAddress === true, findings);
  const expiresAt = readExpiry(order.expiresAt ?? null, clock.nowMs(), findings);
  const plantIds = await readPlants(database, { organization, audience }, order.allowedPlantIds, findings);
  refuseFindings(findings);
  const { name, partnerId, requireSignature = false } = order;
  const allowedPlantIds = plantIds ?? null;
  const about = { name, partnerId, audience, scopes, allowedIps, allowedPlantIds, requireSignature, expiresAt };
  const organizationId = organization.id;
  return database.within(organizationId, async (trx) => {
    const issued = await parts.issueKey(trx, { ...about, organizationId, createdBy: by.personId });
    const apiKey = await getKey(trx, clock, { organization, id: issued.id });
    const target = { kind: 'api-key', id: issued.id };
    const details = { ...about, keyPrefix: issued.prefix };
    const at = new Date(clock.nowMs());
    await recordAudit(trx, { ...origin, organizationId, action: 'api-key.created', target, details, at });
    return { apiKey, key: issued.plaintext, signingKey: issued.signingKey };
  });
}

async function changeKey(
  { database, clock }: ApiKeysParts,
  named: KeyName,
  change: ApiKeyChange,
  origin: Origin,
): Promise<ApiKey> {
  const organizationId = named.organization.id;
  const { audience } = await database.within(organizationId, (db) => getKey(db, clock, named), 'read');
  const changes = await readChanges({ database, clock }, { ...named, audience }, change);
  return database.within(organizationId, async (trx) => {
    const before = await getKey(trx, clock, named, true);
    if (before.revokedAt !== null)
      throw new Fault('api-key-revoked', 'A revoked key cannot be changed. Make a new one.');
    const at = new Date(clock.nowMs());
    await updateKey(trx, organizationId, before.id, changes, at);
    const after = await getKey(trx, clock, named);
    const target = { kind: 'api-key', id: before.id };
    await recordAudit(trx, {
      ...origin,
      organizationId,
      action: 'api-key.changed',
      target,
      details: { ...changes },
      at,
    });
    return after;
  });
}

/** What is undefined stays. Throws `validation-failed` with a pointer to everything that is wrong. */
async function readChanges(
  { database, clock }: Pick<ApiKeysParts, 'database' | 'clock'>,
  of: { readonly organization: KeyOwner; readonly audience: Audience },
  change: ApiKeyChange,
): Promise<KeyChange> {
  const findings: FieldError[] = [];
  const { name, requireSignature } = change;
  const allowedIps = change.allowedIps && readAllowedIps(change.allowedIps, change.allowAnyAddress === true, findings);
  const expiresAt = change.expiresAt === undefined ? undefined : readExpiry(change.expiresAt, clock.nowMs(), findings);
  const allowedPlantIds = await readPlants(database, of, change.allowedPlantIds, findings);
  refuseFindings(findings);
  return { name, allowedIps, allowedPlantIds, expiresAt, requireSignature };
}

/** False: it was revoked before. */
function revokeKey({ database, clock }: ApiKeysParts, named: KeyName, origin: Origin): Promise<boolean> {
  const organizationId = named.organization.id;
  return database.within(organizationId, async (trx) => {
    const { id, revokedAt, name, partnerId, keyPrefix } = await getKey(trx, clock, named, true);
    if (revokedAt !== null) return false;
    const at = new Date(clock.nowMs());
    await endKey(trx, organizationId, id, at);
    const target = { kind: 'api-key', id };
    const details = { name, partnerId, keyPrefix };
    await recordAudit(trx, { ...origin, organizationId, action: 'api-key.revoked', target, details, at });
    return true;
  });
}

/** Ids as they are stored; a plant that is not there and one of another organization are the same finding. */
async function readPlants(
  database: Database,
  { organization, audience }: { readonly organization: KeyOwner; readonly audience: Audience },
  asked: readonly string[] | null | undefined,
  findings: FieldError[],
): Promise<readonly string[] | null | undefined> {
  if (asked === null || asked === undefined) return asked;
  const ids = [...new Set(asked.map((id) => id.toLowerCase()))];
  // The operator's partner keys send for the plants of every organization.
  const isForAll = organization.kind === 'operator' && audience === 'partner';
  const found = isForAll
    ? await store.findPlantIds(database.system, null, ids)
    : await database.within(organization.id, (db) => store.findPlantIds(db, organization.id, ids), 'read');
  asked.forEach((id, place) => {
    if (found.has(id.toLowerCase())) return;
    const pointer = `/allowedPlantIds/${place}`;
    findings.push({ pointer, code: 'unknown-plant', detail: 'is not a plant of the organization' });
  });
  return ids;
}
