import { describe, expect, test } from 'vitest';
import { ROLES, type Role } from '../../src/access/principal.ts';
import { openTestApp } from '../app.ts';
import { addPerson, comparable, PASSWORD, personToken, send, signIn } from '../people.ts';

/** People administer organizations, users and what organizations own, over the wire. */
let counter = 0;
const vin = () => `1GHD${String((counter += 1)).padStart(13, '0')}`;
const unknown = '01920000-0000-7000-8000-000000000000';

const NEW: Record<string, () => Record<string, unknown>> = {
  fleets: () => ({ name: 'F' }),
  trailers: () => ({ vin: vin(), name: 'T' }),
  deliversafe: () => ({ vin: vin(), name: 'D', serialNumber: 'S-1' }),
  plants: () => ({ name: 'P' }),
  users: () => ({ email: `user-${(counter += 1)}@example.com`, name: 'U', role: 'VIEWER' }),
};

async function openWorld() {
  const world = await openTestApp();
  const tokens = {} as Record<Role, string>;
  for (const role of ROLES) tokens[role] = await personToken(world, world.customerId, role);
  const platform = await personToken(world, world.operatorId, 'ADMIN');
  const asset = (await send(world, 'POST', '/organizations/customer/trailers', NEW.trailers!(), tokens.ADMIN)).json
    .id as string;
  const order = (path: string) =>
    path === 'devices'
      ? { assetId: asset, product: 'traccar', externalId: `x-${(counter += 1)}`, kind: 'gateway' }
      : NEW[path]!();
  return { world, tokens, platform, order };
}

const COLLECTIONS = ['fleets', 'trailers', 'devices', 'deliversafe', 'plants'] as const;

test('every role does on every route what it may, and is refused the rest with 403', async () => {
  const { world, tokens, order } = await openWorld();
  const wanted: Record<Role, Record<string, number[]>> = {
    VIEWER: { assets: [200, 200, 403, 403, 403], users: [403, 403, 403, 403, 403], rest: [200, 200, 403, 403, 403] },
    OPERATOR: { assets: [200, 200, 201, 200, 204], users: [403, 403, 403, 403, 403], rest: [200, 200, 403, 403, 403] },
    ADMIN: { assets: [200, 200, 201, 200, 204], users: [200, 200, 201, 200, 204], rest: [200, 200, 403, 200, 200] },
  };
  for (const role of ROLES) {
    const as = (method: string, path: string, body?: unknown) => send(world, method, path, body, tokens[role]);
    for (const path of [...COLLECTIONS, 'users']) {
      const all = `/organizations/customer/${path}`;
      const { json } = await send(world, 'POST', all, order(path), tokens.ADMIN);
      const answers = [
        await as('GET', all),
        await as('GET', `${all}/${json.id}`),
        await as('POST', all, order(path)),
        await as('PATCH', `${all}/${json.id}`, path === 'devices' ? { kind: 'tracker' } : { name: 'Changed' }),
        await as('DELETE', `${all}/${json.id}`),
      ];
      expect([role, path, answers.map(({ status }) => status)]).toEqual([
        role,
        path,
        wanted[role][path === 'users' ? 'users' : 'assets'],
      ]);
    }
    const rest = [
      await as('GET', '/organizations'),
      await as('GET', '/organizations/customer'),
      await as('POST', '/organizations', { slug: `made-by-${role.toLowerCase()}`, name: 'M' }),
      await as('PATCH', '/organizations/customer', { name: 'Customer' }),
      await as('GET', '/organizations/customer/audit'),
    ];
    expect([role, rest.map(({ status }) => status)]).toEqual([role, wanted[role].rest]);
  }
});

test('another organization and one that does not exist are one answer, on every route, for every role', async () => {
  const { world, tokens, platform, order } = await openWorld();
  for (const path of [...COLLECTIONS, 'users', 'audit']) {
    const foreignId =
      path === 'devices' || path === 'audit'
        ? unknown
        : (await send(world, 'POST', `/organizations/rival/${path}`, order(path), platform)).json.id;
    for (const [method, rest, body] of routes(path, foreignId, order)) {
      const answers = [];
      for (const organization of [
        'rival',
        world.rivalId,
        world.operatorId,
        'operator',
        'nobody',
        unknown,
        'No such%20thing!',
      ]) {
        answers.push(await send(world, method, `/organizations/${organization}/${rest}`, body, tokens.ADMIN));
      }
      // And a foreign id under the own organization, which is the same as an unknown one.
      expect(new Set(answers.map(comparable)), `${method} ${rest}`).toHaveLength(1);
      expect(answers[0]!.status, `${method} ${rest}`).toBe(404);
      if (!rest.includes('/')) continue;
      const own = await Promise.all(
        [foreignId, unknown, 'nonsense'].map((id) =>
          send(world, method, `/organizations/customer/${path}/${id}`, body, tokens.ADMIN),
        ),
      );
      expect(new Set(own.map(comparable)), `${method} ${rest}`).toHaveLength(1);
      expect(own[0]!.status).toBe(404);
    }
  }
  expect(
    (await send(world, 'GET', '/organizations', undefined, tokens.VIEWER)).json.data.map(
      ({ id }: { id: string }) => id,
    ),
  ).toEqual([world.customerId]);
  expect((await send(world, 'GET', '/organizations', undefined, platform)).json.data).toHaveLength(3);
});

function routes(path: string, id: string, order: (path: string) => unknown): [string, string, unknown?][] {
  if (path === 'audit') return [['GET', 'audit']];
  return [
    ['GET', path],
    ['POST', path, path === 'devices' ? { ...(order(path) as object) } : order(path)],
    ['GET', `${path}/${id}`],
    ['PATCH', `${path}/${id}`, path === 'devices' ? { kind: 'x' } : { name: 'X' }],
    ['DELETE', `${path}/${id}`],
  ];
}

test('a foreign fleet or asset in a body is the same as one that does not exist', async () => {
  const { world, tokens, platform } = await openWorld();
  const foreignFleet = (await send(world, 'POST', '/organizations/rival/fleets', { name: 'F' }, platform)).json.id;
  const foreignTrailer = (
    await send(world, 'POST', '/organizations/rival/trailers', { vin: vin(), name: 'T' }, platform)
  ).json.id;
  const own = (await send(world, 'POST', '/organizations/customer/trailers', { vin: vin(), name: 'T' }, tokens.ADMIN))
    .json.id;
  for (const [method, path, body] of [
    ['POST', 'trailers', (id: string) => ({ vin: vin(), name: 'T', fleetId: id })],
    ['PATCH', `trailers/${own}`, (id: string) => ({ fleetId: id })],
    ['POST', 'plants', (id: string) => ({ name: 'P', fleetId: id })],
    ['POST', 'devices', (id: string) => ({ assetId: id, product: 'traccar', externalId: 'e', kind: 'gateway' })],
  ] as const) {
    const answers = await Promise.all(
      [path === 'devices' ? foreignTrailer : foreignFleet, unknown].map((id) =>
        send(world, method, `/organizations/customer/${path}`, body(id), tokens.ADMIN),
      ),
    );
    expect(new Set(answers.map(comparable)), `${method} ${path}`).toHaveLength(1);
    expect(answers[0]!.status).toBe(404);
  }
});

describe('mass assignment', () => {
  const COLUMNS = [
    'id',
    'organizationId',
    'organization_id',
    'orgId',
    'kind',
    'vinCheck',
    'vin_check',
    'isActive',
    'is_active',
    'createdAt',
    'created_at',
    'updatedAt',
    'createdBy',
    'created_by',
    'passwordHash',
    'password_hash',
    'hasPassword',
    'digest',
    'scopes',
    'status',
    'role',
    '__proto__',
    'constructor',
  ];

  test('a property that a body does not name is refused with its place, whichever column it may be called after', async () => {
    const { world, tokens, platform, order } = await openWorld();
    for (const path of [...COLLECTIONS, 'users']) {
      const all = `/organizations/customer/${path}`;
      const made = (await send(world, 'POST', all, order(path), tokens.ADMIN)).json;
      const accepted = {
        POST: new Set<string>(
          path === 'users' ? ['role'] : path === 'devices' ? ['kind'] : path === 'plants' ? ['id'] : [],
        ),
        PATCH: new Set(
          path === 'users' ? ['isActive', 'role'] : path === 'devices' ? ['isActive', 'kind'] : ['isActive'],
        ),
      };
      for (const column of COLUMNS) {
        const extra = JSON.parse(`{"${column}": ${JSON.stringify(world.rivalId)}}`) as object;
        for (const [method, target, body] of [
          ['POST', all, order(path)],
          ['PATCH', `${all}/${made.id}`, path === 'devices' ? {} : { name: 'X' }],
        ] as const) {
          if (accepted[method].has(column)) continue;
          const raw = `{${[...Object.entries({ ...body }).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`), JSON.stringify(extra).length > 2 ? JSON.stringify(extra).slice(1, -1) : `"${column}":1`].join(',')}}`;
          const answer = await world.call(method, `/api/v1${target}`, {
            token: tokens.ADMIN,
            headers: { 'content-type': 'application/json' },
            body: raw,
          });
          expect([method, path, column, answer.status]).toEqual([method, path, column, 400]);
        }
      }
      expect((await send(world, 'GET', `${all}/${made.id}`, undefined, tokens.ADMIN)).json).toEqual(made);
    }
    const kind = await send(world, 'POST', '/organizations', { slug: 'sly', name: 'S', kind: 'operator' }, platform);
    expect(kind.json).toMatchObject({
      status: 400,
      code: 'validation-failed',
      errors: [{ pointer: '/kind', code: 'additionalProperties' }],
    });
  });
});

describe('users', () => {
  const users = '/organizations/customer/users';
  async function openAdmin() {
    const opened = await openTestApp();
    const person = await addPerson(opened, opened.customerId, 'ADMIN');
    return { world: opened, admin: person, token: await signIn(opened, person) };
  }

  test('an admin makes a user who can sign in at once, and whose answer never shows a hash', async () => {
    const { world, token } = await openAdmin();
    const made = await send(
      world,
      'POST',
      users,
      { email: 'New@example.com', name: 'N', role: 'OPERATOR', password: PASSWORD },
      token,
    );
    expect(made.status, made.text).toBe(201);
    expect(made.headers.get('location')).toBe(`/api/v1/organizations/${world.customerId}/users/${made.json.id}`);
    expect(made.text).not.toMatch(/argon2|passwordHash|"password"/);
    expect((await send(world, 'POST', '/auth/sign-in', { email: 'new@example.com', password: PASSWORD })).status).toBe(
      200,
    );
    const again = await send(world, 'POST', users, { email: 'nEW@example.com', name: 'N', role: 'VIEWER' }, token);
    expect(again.json).toMatchObject({ status: 409, code: 'already-exists', errors: [{ pointer: '/email' }] });
  });

  test('nobody changes their own role, deactivates themselves, or resets their own password past the current one', async () => {
    const { world, admin, token } = await openAdmin();
    for (const change of [{ role: 'VIEWER' }, { isActive: false }, { password: 'another long password' }]) {
      const answer = await send(world, 'PATCH', `${users}/${admin.id.toUpperCase()}`, change, token);
      expect(answer.json).toMatchObject({
        status: 403,
        code: 'forbidden',
        errors: [{ pointer: `/${Object.keys(change)[0]}` }],
      });
    }
    expect((await send(world, 'DELETE', `${users}/${admin.id}`, undefined, token)).status).toBe(403);
    expect((await send(world, 'PATCH', `${users}/${admin.id}`, { name: 'Still me' }, token)).json.name).toBe(
      'Still me',
    );
  });

  test('the last admin of an organization stays, even when two admins remove each other at the same moment', async () => {
    const { world } = await openAdmin();
    const platform = await personToken(world, world.operatorId, 'ADMIN');
    const [one, two] = [await addPerson(world, world.rivalId, 'ADMIN'), await addPerson(world, world.rivalId, 'ADMIN')];
    const tokens = [await signIn(world, one), await signIn(world, two)];
    const answers = await Promise.all([
      send(world, 'PATCH', `/organizations/rival/users/${two.id}`, { role: 'VIEWER' }, tokens[0]),
      send(world, 'DELETE', `/organizations/rival/users/${one.id}`, undefined, tokens[1]),
    ]);
    const admins = (await send(world, 'GET', '/organizations/rival/users', undefined, platform)).json.data.filter(
      (user: any) => user.role === 'ADMIN' && user.isActive,
    );
    expect(admins).toHaveLength(1);
    expect(answers.filter(({ status }) => status < 300)).toHaveLength(1);
    const last = await send(world, 'DELETE', `/organizations/rival/users/${admins[0].id}`, undefined, platform);
    expect(last.json).toMatchObject({ status: 409, code: 'last-admin' });
  });

  test('a deactivated user, and one with a new password, is signed out at the next request', async () => {
    const { world, token } = await openAdmin();
    for (const [method, body] of [
      ['DELETE', undefined],
      ['PATCH', { password: 'another long password' }],
    ] as const) {
      const person = await addPerson(world, world.customerId, 'VIEWER');
      const session = await signIn(world, person);
      expect((await send(world, 'GET', '/auth/me', undefined, session)).status).toBe(200);
      expect((await send(world, method, `${users}/${person.id}`, body, token)).status).toBeLessThan(300);
      expect((await send(world, 'GET', '/auth/me', undefined, session)).status).toBe(401);
    }
  });

  test('names that cannot be stored are refused with their place, not with a failure', async () => {
    const { world, token } = await openAdmin();
    for (const name of ['', '   ', 'a\u0000b', 'a\nb', '\ud800', 'x'.repeat(201)]) {
      const answer = await send(world, 'POST', users, { email: 'odd@example.com', name, role: 'VIEWER' }, token);
      expect(answer.json).toMatchObject({ status: 400, code: 'validation-failed' });
      expect(new Set(answer.json.errors.map(({ pointer }: { pointer: string }) => pointer))).toEqual(
        new Set(['/name']),
      );
    }
  });
});

test('a list is walked without skipping or repeating, and its cursor is worth nothing elsewhere', async () => {
  const { world, tokens, platform } = await openWorld();
  const made = [];
  for (let n = 0; n < 7; n += 1)
    made.push((await send(world, 'POST', '/organizations/customer/fleets', { name: `F${n}` }, tokens.ADMIN)).json.id);
  const seen = [];
  let next: string | null = null;
  do {
    const page: any = (
      await send(
        world,
        'GET',
        `/organizations/customer/fleets?take=3${next === null ? '' : `&next=${next}`}`,
        undefined,
        tokens.VIEWER,
      )
    ).json;
    seen.push(...page.data.map(({ id }: { id: string }) => id));
    next = page.next;
    if (next !== null) {
      expect(
        (await send(world, 'GET', `/organizations/customer/plants?next=${next}`, undefined, tokens.VIEWER)).json.code,
      ).toBe('invalid-cursor');
      expect(
        (await send(world, 'GET', `/organizations/rival/fleets?next=${next}`, undefined, platform)).json.code,
      ).toBe('invalid-cursor');
    }
  } while (next !== null);
  expect(seen).toEqual(made);
});

test('what waits unclaimed is processed once its VIN or plant is registered', async () => {
  const { world, tokens } = await openWorld();
  const partner = await world.token(world.operatorId, 'partner', ['telemetry:write', 'product:traccar']);
  const newVin = '1UYVS2533P7204518';
  const plantId = '019300aa-0000-7000-8000-00000000abcd';
  const fixTime = new Date(Date.now() - 60_000).toISOString();
  const payload = JSON.stringify({
    position: {
      id: 1,
      deviceId: 4,
      protocol: 'teltonika',
      serverTime: fixTime,
      deviceTime: fixTime,
      fixTime,
      valid: true,
      latitude: 39.7,
      longitude: -86.1,
      altitude: 2,
      speed: 5,
      course: 2,
      accuracy: 0,
      attributes: {},
    },
    device: { id: 4, uniqueId: '352093081234567', name: 'U' },
  });
  for (const [path, collection, order] of [
    [newVin, 'trailers', { vin: newVin.toLowerCase(), name: 'T' }],
    [`plants/${plantId}`, 'plants', { id: plantId, name: 'P' }],
  ] as const) {
    const sent = await world.call('POST', `/api/v1/telemetry/intake/${path}`, {
      token: partner,
      body: payload,
      headers: { 'content-type': 'application/json' },
    });
    expect((await world.settled(partner, sent.json.receiptId)).status).toBe('unclaimed');
    const registered = await send(world, 'POST', `/organizations/customer/${collection}`, order, tokens.OPERATOR);
    expect(registered.status, registered.text).toBe(201);
    await expect
      .poll(
        async () =>
          (await world.call('GET', `/api/v1/telemetry/receipts/${sent.json.receiptId}`, { token: partner })).json
            .status,
        { timeout: 20_000 },
      )
      .toBe('processed');
    const again = await send(world, 'POST', `/organizations/customer/${collection}`, order, tokens.OPERATOR);
    expect(again.json).toMatchObject({ status: 409, code: 'already-exists' });
  }
  const bad = await send(
    world,
    'POST',
    '/organizations/customer/trailers',
    { vin: 'I'.repeat(17), name: 'T' },
    tokens.OPERATOR,
  );
  expect(bad.json).toMatchObject({ status: 400, code: 'invalid-vin', errors: [{ pointer: '/vin' }] });
});
