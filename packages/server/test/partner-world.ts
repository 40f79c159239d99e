import { expect } from 'vitest';
import { type Answer, CUSTOMER_SCOPES, openTestApp, type TestApp } from './app.ts';

/** A server as a partner and a customer meet it: vehicles of one's own, payloads sent, and what is read back of them. */
export interface PartnerWorld {
  readonly world: TestApp;
  /** A trailer that no other test has; gives its VIN. */
  registerTrailer(organizationId?: string): Promise<string>;
  /** Posts bytes as they are. */
  post(product: string, vin: string, body: string | Uint8Array, headers?: Record<string, string>): Promise<Answer>;
  /** Sends a payload that has to be accepted, and gives its receipt once it is mapped. */
  send(product: string, vin: string, payload: unknown, headers?: Record<string, string>): Promise<any>;
  /** What a customer reads at a path below `/api/v1`. */
  read(path: string, token?: string): Promise<any>;
  /** All records of a vehicle in the order of the feed. */
  recordsOf(vin: string, token?: string): Promise<any[]>;
  /** The latest value of each metric and its time. */
  latestOf(vin: string): Promise<Record<string, { value: unknown; observedAt: string }>>;
}

export async function openPartnerWorld(): Promise<PartnerWorld> {
  const world = await openTestApp();
  const customer = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
  const partners = new Map<string, string>();
  let last = 0;

  const partnerOf = async (product: string): Promise<string> => {
    const scopes = ['telemetry:write', `product:${product}`];
    const token = partners.get(product) ?? (await world.token(world.operatorId, 'partner', scopes, product));
    partners.set(product, token);
    return token;
  };
  const parts: PartnerWorld = {
    world,
    async registerTrailer(organizationId = world.customerId) {
      const vin = `1FC${String((last += 1)).padStart(14, '0')}`;
      await world.registry.createTrailer(organizationId, { vin, name: vin });
      return vin;
    },
    async post(product, vin, body, headers = {}) {
      return world.call('POST', `/api/v1/telemetry/intake/${vin}`, {
        token: await partnerOf(product),
        body: body as string | Uint8Array<ArrayBuffer>,
        headers: { 'content-type': 'application/json', ...headers },
      });
    },
    async send(product, vin, payload, headers) {
      const isReady = typeof payload === 'string' || payload instanceof Uint8Array;
      const answer = await parts.post(product, vin, isReady ? payload : JSON.stringify(payload), headers);
      expect(answer.status, answer.text).toBe(202);
      return world.settled(await partnerOf(product), answer.json.receiptId);
    },
    read: async (path, token = customer) => (await world.call('GET', `/api/v1${path}`, { token })).json,
    async recordsOf(vin, token) {
      const { id } = await parts.read(`/trailers/${vin}`, token);
      const found: any[] = [];
      for (let next = ''; ; ) {
        const page = await parts.read(`/telemetry/feed?take=500${next}`, token);
        found.push(...page.data.filter((record: any) => record.assetId === id));
        if (page.caughtUp) return found;
        next = `&next=${encodeURIComponent(page.next)}`;
      }
    },
    async latestOf(vin) {
      const { data } = await parts.read(`/telemetry/latest?trailer=${vin}`);
      return data[0]?.metrics ?? {};
    },
  };
  return parts;
}
