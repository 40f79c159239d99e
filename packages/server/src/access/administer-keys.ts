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
import { changeKey, revokeKey } from './key-store.ts';
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
  readonly issueKey: (
    trx: Kysely<Schema>,
    order: {
      readonly organizationId: string;
      readonly audience: Audience;
      readonly partnerId: string;
      readonly name: string;
      readonly scopes: readonly string[];
      readonly allowedIps: readonly string[];
      readonly allowedPlantIds: readonly string[] | null;
      readonly expiresAt: Date | null;
      readonly requireSignature: boolean;
      readonly createdBy: string;
    },
  ) => Promise<{
    readonly id: string;
    readonly plaintext: string;
    readonly prefix: string;
    readonly signingKey: string;
  }>;
  /** Whether a product of this name is installed. */
  readonly isProduct: (name: string) => boolean;
  /** Called after a key was changed or revoked: resolves when this node knows. */
  readonly onChanged: () => Promise<void>;
}

export function createApiKeys(parts: ApiKeysParts): ApiKeys {
  const { database, clock } = parts;

  async function get(db: Kysely<Schema>, organization: KeyOwner, id: string, lock = false): Promise<ApiKey> {
    if (!isUuid(id))
      throw new Fault('invalid-uuid', 'Invalid API key UUID', {
        errors: [{ pointer: '/path/id', code: 'format', detail: 'is not a UUID' }],
      });
    const key = await store.findKey(db, organization.id, id, clock.nowMs(), lock);
    if (key === undefined) throw new Fault('api-key-not-found', 'API key not found');
    return key;
  }

  /** Ids as they are stored; a plant that is not there and one of another organization are the same finding. */
  async function readPlants(
    organization: KeyOwner,
    audience: Audience,
    asked: readonly string[] | null | undefined,
    findings: FieldError[],
  ) {
    if (asked === null || asked === undefined) return asked;
    const ids = [...new Set(asked.map((id) => id.toLowerCase()))];
    // The operator's partner keys send for the plants of every organization.
    const isForAll = organization.kind === 'operator' && audience === 'partner';
    const found = isForAll
      ? await store.findPlantIds(database.system, null, ids)
      : await database.within(organization.id, (db) => store.findPlantIds(db, organization.id, ids), 'read');
    asked.forEach((id, place) => {
      if (!found.has(id.toLowerCase()))
        findings.push({
          pointer: `/allowedPlantIds/${place}`,
          code: 'unknown-plant',
          detail: 'is not a plant of the organization',
        });
    });
    return ids;
  }

  return {
    list(organization, { page = 1, limit = API_KEY_PAGE_LIMIT_DEFAULT }) {
      return database.within(
        organization.id,
        async (db) => {
          const total = await store.countKeys(db, organization.id);
          const totalPages = Math.ceil(total / limit);
          const slice = { offset: (page - 1) * limit, take: limit };
          const data = page > totalPages ? [] : await store.listKeys(db, organization.id, slice, clock.nowMs());
          return { data, meta: { limit, page, total, totalPages } };
        },
        'read',
      );
    },
    get: (organization, id) => database.within(organization.id, (db) => get(db, organization, id), 'read'),
    async create(by, organization, order, origin) {
      const findings: FieldError[] = [];
      const { scopes, audience } = readScopes(order.scopes, parts.isProduct, findings);
      const allowedIps = readAllowedIps(order.allowedIps ?? [], order.allowAnyAddress === true, findings);
      const expiresAt = readExpiry(order.expiresAt ?? null, clock.nowMs(), findings);
      const allowedPlantIds = (await readPlants(organization, audience, order.allowedPlantIds, findings)) ?? null;
      refuseFindings(findings);
      const { name, partnerId, requireSignature = false } = order;
      const restrictions = { scopes, allowedIps, allowedPlantIds, requireSignature };
      return database.within(organization.id, async (trx) => {
        const issued = await parts.issueKey(trx, {
          organizationId: organization.id,
          audience,
          partnerId,
          name,
          ...restrictions,
          expiresAt,
          createdBy: by.personId,
        });
        const apiKey = await get(trx, organization, issued.id);
        await recordAudit(trx, {
          ...origin,
          organizationId: organization.id,
          action: 'api-key.created',
          target: { kind: 'api-key', id: issued.id },
          details: { name, partnerId, audience, ...restrictions, expiresAt, keyPrefix: issued.prefix },
          at: new Date(clock.nowMs()),
        });
        return { apiKey, key: issued.plaintext, signingKey: issued.signingKey };
      });
    },
    async change(organization, id, change, origin) {
      const audience = (await database.within(organization.id, (db) => get(db, organization, id), 'read')).audience;
      const findings: FieldError[] = [];
      const { name, requireSignature } = change;
      const allowedIps =
        change.allowedIps && readAllowedIps(change.allowedIps, change.allowAnyAddress === true, findings);
      const expiresAt =
        change.expiresAt === undefined ? undefined : readExpiry(change.expiresAt, clock.nowMs(), findings);
      const allowedPlantIds = await readPlants(organization, audience, change.allowedPlantIds, findings);
      refuseFindings(findings);
      const changes = { name, allowedIps, allowedPlantIds, expiresAt, requireSignature };
      const changed = await database.within(organization.id, async (trx) => {
        const before = await get(trx, organization, id, true);
        if (before.revokedAt !== null)
          throw new Fault('api-key-revoked', 'A revoked key cannot be changed. Make a new one.');
        const at = new Date(clock.nowMs());
        await changeKey(trx, organization.id, before.id, changes, at);
        const after = await get(trx, organization, id);
        const target = { kind: 'api-key', id: before.id };
        await recordAudit(trx, {
          ...origin,
          organizationId: organization.id,
          action: 'api-key.changed',
          target,
          details: changes,
          at,
        });
        return after;
      });
      await parts.onChanged();
      return changed;
    },
    async revoke(organization, id, origin) {
      const isNews = await database.within(organization.id, async (trx) => {
        const { revokedAt, ...key } = await get(trx, organization, id, true);
        if (revokedAt !== null) return false;
        const at = new Date(clock.nowMs());
        await revokeKey(trx, organization.id, key.id, at);
        const target = { kind: 'api-key', id: key.id };
        const details = { name: key.name, partnerId: key.partnerId, keyPrefix: key.keyPrefix };
        await recordAudit(trx, {
          ...origin,
          organizationId: organization.id,
          action: 'api-key.revoked',
          target,
          details,
          at,
        });
        return true;
      });
      await parts.onChanged();
      return isNews;
    },
  };
}
