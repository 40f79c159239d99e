import { type Caller, deadCaller, keyCaller, tokenCaller } from './callers.ts';
import { CUSTOMER_SCOPES, type OrganizationMaker } from './organization-maker.ts';

const PARTNER_SCOPES = ['telemetry:write', 'product:traccar'];

export type Keys = Awaited<ReturnType<typeof makeKeys>>;

/** Creates keys of every kind: each scope alone, restricted to one plant, expired, revoked. */
export async function makeKeys(
  { around, base, make, named, marker }: OrganizationMaker,
  plants: readonly { id: string }[],
) {
  const { api, root } = around;
  const ids: string[] = [];
  const issue = async (scopes: readonly string[], more: object = {}, partnerId = `partner-${marker}`) => {
    const made = await make('api-keys', { name: named('Key'), partnerId, scopes, ...more });
    ids.push(made.apiKey.id);
    const audience: 'partner' | 'customer' = made.apiKey.audience;
    const key: string = made.key;
    const token = (await api.call('POST', `/${audience}s/authenticate`, { headers: { 'x-api-key': key } }))
      .accessToken as string;
    return { id: made.apiKey.id as string, key, token };
  };
  const onlyPlant = { allowedPlantIds: [plants[0]!.id] };
  const partner = await issue(PARTNER_SCOPES);
  const customer = await issue(CUSTOMER_SCOPES);
  const second = ['telemetry:write', 'product:flespi'];
  const [flespi, partnerOfPlant, customerOfPlant, expired, revoked, ...single] = await Promise.all([
    issue(second, {}, `second-${marker}`),
    issue(PARTNER_SCOPES, onlyPlant),
    issue(CUSTOMER_SCOPES, onlyPlant),
    issue(CUSTOMER_SCOPES),
    issue(CUSTOMER_SCOPES),
    ...CUSTOMER_SCOPES.map((scope) => issue([scope])),
  ]);
  await around.expireKey(expired.id);
  await api.call('DELETE', `${base}/api-keys/${revoked.id}`, { token: root });
  const spare = await make('api-keys', { name: named('Spare'), partnerId: 'spare', scopes: ['fleets:read'] });
  const callers: Caller[] = [
    tokenCaller('partner', 'traccar', partner.token, PARTNER_SCOPES),
    tokenCaller('partner', 'flespi', flespi.token, second),
    tokenCaller('partner', 'one plant', partnerOfPlant.token, PARTNER_SCOPES, true),
    tokenCaller('customer', 'full', customer.token, CUSTOMER_SCOPES),
    tokenCaller('customer', 'one plant', customerOfPlant.token, CUSTOMER_SCOPES, true),
    keyCaller('of a partner', partner.key, PARTNER_SCOPES),
    keyCaller('of a customer', customer.key, CUSTOMER_SCOPES),
    keyCaller('of one plant', customerOfPlant.key, CUSTOMER_SCOPES, true),
    ...single.map(({ token }, place) =>
      tokenCaller('customer', CUSTOMER_SCOPES[place]!, token, [CUSTOMER_SCOPES[place]!]),
    ),
    deadCaller('expired key', expired.token),
    deadCaller('revoked key', revoked.token),
  ];
  const spareId: string = spare.apiKey.id;
  return {
    ids: [...ids, spareId],
    spareId,
    callers,
    partner: partner.key,
    customer: customer.key,
    partnerToken: partner.token,
  };
}
