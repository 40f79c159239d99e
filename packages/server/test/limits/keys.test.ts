import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { RetryInfoSchema } from '@gladhand/contract/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '@gladhand/contract/gen/google/rpc/status_pb.ts';
import { Client, status as Code, credentials, Metadata } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { CUSTOMER_SCOPES } from '../app.ts';
import { createSubscription, subscribe } from '../live-feed.ts';
import { describeLimited, type LimitedWorld } from './limited-world.ts';

/** Keys are traded and rotated seldom; whoever tries more often errs or guesses. */
const POLICY = '"streams";q=2;qu="concurrent-requests"';
const forged = (at: number) => `gladhand_${String(at).padStart(12, '0')}_nonsense`;

describeLimited('keys', (open) => {
  test('a key may be traded ten times in five minutes, and another key is not touched by that', async () => {
    const world = await open();
    await world.beginWindow(300);
    const [key, other] = [
      await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES),
      await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES),
    ];
    const trade = (apiKey: string) =>
      world.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': apiKey } });
    for (let left = 9; left >= 0; left -= 1) {
      const { status, headers } = await trade(key);
      expect([status, headers.get('ratelimit-policy')]).toEqual([200, '"authenticate";q=10;w=300']);
      expect(headers.get('ratelimit')).toMatch(new RegExp(`^"authenticate";r=${left};t=\\d+$`));
    }
    const refused = await trade(key);
    expect([refused.status, refused.json.code, refused.json.limit.name]).toEqual([429, 'rate-limited', 'authenticate']);
    expect((await trade(other)).status).toBe(200);
    await world.pass(300);
    expect((await trade(key)).status).toBe(200);
  });

  test('an address that failed thirty times is refused, whatever it sends, and success counts for nothing', async () => {
    const world = await open({ 'http.trustedProxies': ['127.0.0.1'] });
    await world.beginWindow(300);
    const trade = (apiKey: string, from: string) =>
      world.call('POST', '/api/v1/customers/authenticate', {
        headers: { 'x-api-key': apiKey, 'x-forwarded-for': from },
      });
    for (let at = 0; at < 25; at += 1) {
      const key = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
      expect((await trade(key, '2001:db8:1:2::1')).status).toBe(200);
    }
    for (let at = 0; at < 30; at += 1) expect((await trade(forged(at), `2001:db8:1:2::${at + 1}`)).status).toBe(401);
    const refused = await trade(forged(99), '2001:db8:1:2:ffff::1');
    expect([refused.status, refused.json.code]).toEqual([429, 'too-many-attempts']);
    expect(refused.json.limit).toEqual({ name: 'authenticate-failures', policy: '"authenticate-failures";q=30;w=300' });
    const key = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
    expect((await trade(key, '2001:db8:1:2::1')).status).toBe(429);
    expect((await trade(key, '2001:db8:1:3::1')).status).toBe(200);
  });

  test('a key may be rotated three times an hour', async () => {
    const world = await open();
    await world.beginWindow(3_600);
    let key = await world.issueKey(world.customerId, 'customer', CUSTOMER_SCOPES);
    const rotate = async () => {
      const { json } = await world.call('POST', '/api/v1/customers/authenticate', { headers: { 'x-api-key': key } });
      return world.call('PUT', '/api/v1/customers/rotate', { token: json.accessToken });
    };
    for (const left of [2, 1, 0]) {
      const { status, headers, json } = await rotate();
      expect([status, headers.get('ratelimit-policy')]).toEqual([200, '"rotate";q=3;w=3600']);
      expect(headers.get('ratelimit')).toMatch(new RegExp(`^"rotate";r=${left};t=\\d+$`));
      key = json.key;
    }
    const refused = await rotate();
    expect([refused.status, refused.json.code, refused.json.limit.name]).toEqual([429, 'rate-limited', 'rotate']);
  });

  test('a stream beyond those of the plan is refused with RESOURCE_EXHAUSTED and RetryInfo, and a place comes free', async () => {
    const world = await open();
    await world.setPlan({ streamsMax: 2 });
    const token = await world.token(world.customerId, 'customer', CUSTOMER_SCOPES);
    const rival = await world.token(world.rivalId, 'customer', CUSTOMER_SCOPES);
    const streams = [openStream(world, token), openStream(world, token)];
    for (const stream of streams) await stream.begun();
    const headers = await Promise.all(streams.map(({ headers: sent }) => sent));
    expect(headers.map((sent) => sent.get('ratelimit-policy'))).toEqual(Array(2).fill([POLICY]));
    expect(headers.map((sent) => sent.get('ratelimit')[0]).sort()).toEqual(['"streams";r=0', '"streams";r=1']);
    const refused = await openStream(world, token).ended;
    expect(refused).toMatchObject({ code: Code.RESOURCE_EXHAUSTED, errorCode: 'too-many-streams' });
    expect(refused.metadata.get('retry-after').map(Number)[0]).toBeGreaterThanOrEqual(1);
    expect(refused.metadata.get('ratelimit-policy')).toEqual([POLICY]);
    expect(refused.metadata.get('ratelimit')).toEqual(['"streams";r=0']);
    const status = fromBinary(StatusSchema, refused.metadata.get('grpc-status-details-bin')[0] as Buffer);
    const retry = status.details
      .map((detail) => anyUnpack(detail, RetryInfoSchema))
      .find((detail) => detail !== undefined);
    expect(Number(retry?.retryDelay?.seconds)).toBeGreaterThanOrEqual(1);
    await openStream(world, rival).begun();
    streams[0]!.stream.cancel();
    await expect
      .poll(async () => {
        const next = openStream(world, token);
        return Promise.race([next.begun().then(() => 'open'), next.ended.then(({ errorCode }) => errorCode)]);
      })
      .toBe('open');
  });
});

function openStream(world: LimitedWorld, token: string) {
  const client = new Client(`127.0.0.1:${world.app.grpcPort}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  onTestFinished(() => client.close());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return createSubscription(subscribe(client, {}, metadata));
}
