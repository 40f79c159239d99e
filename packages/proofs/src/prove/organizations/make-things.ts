import { randomInt } from 'node:crypto';
import { type Caller, deadCaller, sessionCallers } from './callers.ts';
import { freshVin } from './names.ts';
import { type OrganizationMaker, PASSWORD, signIn } from './organization-maker.ts';

/** The fleets, vehicles, plants, devices and users of an organization. */
export type Things = Awaited<ReturnType<typeof makeThings>>;

export async function makeThings({ make, named, marker }: OrganizationMaker) {
  const fleets = [await make('fleets', { name: named('North') }), await make('fleets', { name: named('South') })];
  const fleetId = fleets[0].id;
  const trailers = [];
  for (let n = 0; n < 3; n++)
    trailers.push(await make('trailers', { vin: freshVin(), name: named('Trailer'), fleetId }));
  const units = [];
  for (let n = 0; n < 2; n++) {
    const serialNumber = `serial-${n}-${marker}`;
    units.push(await make('deliversafe', { vin: freshVin(), name: named('Unit'), fleetId, serialNumber }));
  }
  const plants = [await make('plants', { name: named('Plant') }), await make('plants', { name: named('Hidden') })];
  const assets = [...trailers, ...units, ...plants];
  const devices = [];
  for (const [n, asset] of assets.entries()) {
    const externalId = String(100_000_000_000_000 + randomInt(2 ** 40) + n);
    devices.push(await make('devices', { assetId: asset.id, product: 'traccar', externalId, kind: 'gateway' }));
  }
  return { fleets, trailers, units, plants, assets, devices };
}

export type People = Awaited<ReturnType<typeof makePeople>>;

export async function makePeople({ around: { api }, make, named, marker }: OrganizationMaker) {
  const people = await Promise.all(
    ['VIEWER', 'OPERATOR', 'ADMIN'].map(async (role) => {
      const email = `${role.toLowerCase()}-${marker}@example.com`;
      const user = await make('users', { email, name: named('Person'), role, password: PASSWORD });
      return { user, callers: sessionCallers(role, await signIn(api, email)) };
    }),
  );
  const users = people.map(({ user }) => user);
  const spare = await make('users', { email: `spare-${marker}@example.com`, name: named('Spare'), role: 'VIEWER' });
  const ended = await signIn(api, users[2].email);
  await api.call('POST', '/auth/sign-out', { token: ended });
  const callers: Caller[] = [
    ...people.flatMap((person) => person.callers),
    deadCaller('ended session', ended),
    deadCaller('nobody'),
    deadCaller('forged token', `${ended.slice(0, -4)}AAAA`),
  ];
  return { users, spare, callers };
}
