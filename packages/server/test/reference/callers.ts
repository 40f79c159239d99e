import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { issueKey } from '../../src/access/issue-key.ts';
import type { Audience } from '../../src/access/principal.ts';
import { type CallOptions, openTestApp, type TestApp } from '../app.ts';
import { addPerson, personToken, send, signIn } from '../people.ts';
import type { Operation } from './operations.ts';

/** A server with one of everything, and for each operation of the document a path that leads somewhere and a caller. */
export interface Callers extends TestApp {
  /** The path with the names of what there is. */
  fill(path: string): string;
  /** A credential that is let in. */
  caller(one: Operation): Promise<CallOptions>;
  /** A credential that is good, and not for this operation. */
  stranger(one: Operation): Promise<CallOptions>;
  /** The token of a key of the right audience that has none of the scopes. */
  lacking(one: Operation): Promise<CallOptions>;
  /** The session of an admin of the operator. */
  readonly adminToken: string;
}

const needs = ({ operation }: Operation, scheme: string) => operation.security.find((one) => scheme in one)?.[scheme];
const audienceOf = (one: Operation): Audience | undefined =>
  needs(one, 'customerToken') ? 'customer' : needs(one, 'partnerToken') || needs(one, 'apiKey') ? 'partner' : undefined;

export async function openCallers(): Promise<Callers> {
  // Each operation is called many times; nobody is refused here for their number.
  const world = await openTestApp({ flags: { 'limits.mode': 'report' } });
  const { registry, customerId, operatorId } = world;
  const admin = await addPerson(world, operatorId, 'ADMIN');
  const adminToken = await signIn(world, admin);
  const viewerToken = await personToken(world, customerId, 'VIEWER');
  const fleet = (await registry.createFleet(customerId, { name: 'Fleet' })).id;
  const trailer = (await registry.createTrailer(customerId, { vin: '1UYVS2533P7204518', name: 'Trailer' })).id;
  const deviceOrder = { assetId: trailer, product: 'traccar', externalId: 'x', kind: 'gateway' };
  const device = (await registry.createDevice(customerId, deviceOrder)).id;
  const unitOrder = { vin: '1UYVS2535R3118640', name: 'Unit', serialNumber: 'S' };
  const unit = (await registry.createDeliverSafeUnit(customerId, unitOrder)).id;
  const plants = await send(world, 'POST', '/organizations/customer/plants', { name: 'Plant' }, adminToken);
  const plant = plants.json.id as string;
  const named: Record<string, string> = { vin: '1UYVS2533P7204518', organization: 'customer', user: admin.id };
  Object.assign(named, { fleet, trailer, device, plant, plantId: plant, plan: 'standard', product: 'traccar' });
  const ids: Record<string, string> = { fleets: fleet, trailers: trailer, devices: device, plants: plant };

  async function key(audience: Audience, scopes: readonly string[]): Promise<string> {
    const organizationId = audience === 'partner' ? operatorId : customerId;
    // A key has one scope at least; this one opens nothing over REST.
    const own = [...scopes, audience === 'partner' ? 'product:deliversafe' : 'livefeed:connect'];
    const order = { organizationId, audience, partnerId: 'p', name: 'key', scopes: own, createdBy: null };
    const parts = { secrets: world.app.secrets, clock: systemClock, ids: systemIds };
    return (await issueKey(world.app.backends.database.owner, parts, order)).plaintext;
  }
  async function token(audience: Audience, scopes: readonly string[]): Promise<CallOptions> {
    const headers = { 'x-api-key': await key(audience, scopes) };
    return { token: (await world.call('POST', `/api/v1/${audience}s/authenticate`, { headers })).json.accessToken };
  }
  const isExchange = (one: Operation) => one.path.endsWith('/authenticate');
  const scopesOf = (one: Operation) => needs(one, 'customerToken') ?? needs(one, 'partnerToken') ?? [];

  return {
    ...world,
    adminToken,
    fill: (path) =>
      path.replaceAll(/([^/]+)\/\{([^}]+)\}/g, (_, before: string, name: string) => {
        // There a fleet's id gives a page, a trailer's one trailer.
        if (path === '/api/v1/trailers/{id}') return `${before}/${fleet}`;
        const value = name === 'id' ? (ids[before] ?? unit) : named[name];
        return `${before}/${value}`;
      }),
    async caller(one) {
      const audience = one.path.includes('/customers/') ? 'customer' : audienceOf(one);
      if (isExchange(one)) return { headers: { 'x-api-key': await key(audience!, ['telemetry:write']) } };
      if (needs(one, 'sessionToken')) return { token: adminToken };
      return audience === undefined ? {} : token(audience, scopesOf(one));
    },
    stranger: async (one) =>
      audienceOf(one) === undefined ? token('partner', ['telemetry:write']) : { token: viewerToken },
    lacking: (one) => token(audienceOf(one)!, []),
  };
}
