import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import { openChild } from '../rig/child.ts';
import { createRandom } from '../rig/random.ts';
import { type Report, say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { waitFor } from '../rig/wait.ts';
import { createMarker, furnish, type House } from './organizations/furnish.ts';
import { type HttpClient, openHttpClient } from './organizations/http-client.ts';
import type { Secrets } from './organizations/judge.ts';
import { proveLive } from './organizations/live.ts';
import { type Api, createApi } from './organizations/office.ts';
import { readOperations } from './organizations/operations.ts';
import { type Outcome, type Pass, toReport, type World } from './organizations/outcome.ts';
import { type PayloadOutcome, provePayloads } from './organizations/payloads.ts';
import { type Probe, planProbes, type Victim } from './organizations/probes.ts';
import { findLost, reachAll } from './organizations/reach.ts';
import { createFindings, type Findings, noteLeak, runProbes } from './organizations/run-probes.ts';
import type { OpenedServer, ServerQuestion } from './organizations/server.ts';

/**
 * Organizations are kept apart. Every route of the OpenAPI document and the stream are asked by every sort of caller
 * of one organization for what belongs to another: nothing of it may be shown or changed, and the answer may not
 * depend on whether it exists. Three times: as the server is shipped; with its own conditions switched off, so that
 * row-level security stands alone; and with both walls down, where the proof must find leaks or is worth nothing.
 */
export interface OrganizationsProofOptions {
  /** Probes in each of the first two passes. */
  readonly probes: number;
  readonly seed?: number;
  /** Empty: an embedded PostgreSQL of the proof's own. */
  readonly databaseUrl?: string;
  /** The module that, imported before the server, makes a build without the first wall. */
  readonly withoutFirstWall?: string;
}

const PASSES: readonly Pass[] = [
  { name: 'as shipped', hasFirstWall: true, hasSecondWall: true },
  { name: 'row-level security alone', hasFirstWall: false, hasSecondWall: true },
  { name: 'both walls down', hasFirstWall: false, hasSecondWall: false },
];
/** Enough to see leaks everywhere once nothing holds them back. */
const CONTROL_PROBES_MAX = 3_000;
/** Opening a stream costs as much as several requests. */
const LIVE_SHARE = 0.03;
const LIVE_PROBES_MAX = 1_500;
/** As often as the partners of other organizations can try one, over three passes. */
const REPEATS_MAX = 36;
const CONNECTIONS = 24;
const WITHOUT_FIRST_WALL = join(import.meta.dirname, 'organizations/without-first-wall.ts');
const ROOT_EMAIL = 'root@example.com';

export async function proveOrganizations(scratch: Scratch, options: OrganizationsProofOptions): Promise<Report> {
  const seed = options.seed ?? randomInt(2 ** 31);
  const dataDirectory = await scratch.folder();
  let world: World | undefined;
  let probes: Probe[] = [];
  const outcomes: Outcome[] = [];
  for (const pass of PASSES) {
    say(`${pass.name}: starting the server`);
    const server = openServer(scratch, pass.hasFirstWall ? null : (options.withoutFirstWall ?? WITHOUT_FIRST_WALL));
    const { httpPort, grpcPort } = await server.ask<OpenedServer>({
      kind: 'open',
      dataDirectory,
      databaseUrl: options.databaseUrl ?? '',
    });
    const http = openHttpClient(httpPort, CONNECTIONS);
    const api = createApi(http);
    if (world === undefined) {
      world = await createWorld(server, http, api, Math.min(REPEATS_MAX, Math.ceil(options.probes / 50)));
      probes = planProbes(world.operations, world.houses, options.probes, createRandom(seed));
      say(`${probes.length} probes are planned`);
    }
    if (!pass.hasSecondWall) await server.ask({ kind: 'drop-second-wall' });
    const chosen = pass.hasSecondWall ? probes : probes.slice(0, CONTROL_PROBES_MAX);
    const liveMax = liveProbes(options.probes);
    // Mapping knows no walls: once is enough.
    const payloadsMax = outcomes.length === 0 ? options.probes : 0;
    outcomes.push(
      await runPass({
        payloadsMax,
        pass,
        world,
        server,
        http,
        api,
        grpcPort,
        probes: chosen,
        liveMax,
        random: createRandom(seed),
      }),
    );
    http.close();
    await server.ask({ kind: 'close' });
    server.close();
  }
  return toReport(world!, outcomes, seed);
}

function liveProbes(count: number): number {
  return Math.min(LIVE_PROBES_MAX, Math.ceil(count * LIVE_SHARE));
}

interface Server {
  ask<Answer>(question: ServerQuestion): Promise<Answer>;
  close(): void;
}

function openServer(scratch: Scratch, imported: string | null): Server {
  const file = join(import.meta.dirname, 'organizations', 'server.ts');
  const child = openChild(scratch, file, imported === null ? [] : ['--import', imported]);
  return { ask: <Answer>(question: ServerQuestion) => child.ask<Answer>(question), close: child.close };
}

async function createWorld(server: Server, http: HttpClient, api: Api, repeats: number): Promise<World> {
  const { operations, unknown } = readOperations(await server.ask({ kind: 'document' }));
  const password = randomBytes(20).toString('hex');
  const operator = await server.ask<{ id: string; slug: string }>({
    kind: 'first-admin',
    email: ROOT_EMAIL,
    name: 'Root',
    password,
  });
  const root = (await api.call('POST', '/auth/sign-in', { body: { email: ROOT_EMAIL, password } }))
    .accessToken as string;
  const furnishOne = async (which: string): Promise<House> => {
    const marker = createMarker();
    const organization =
      which === 'operator'
        ? operator
        : await api.call('POST', '/organizations', {
            token: root,
            body: { slug: `${which}-${marker}`, name: `Organization ${marker}` },
          });
    await api.call('PATCH', `/organizations/${organization.id}`, {
      token: root,
      body: { name: `Organization ${marker}` },
    });
    const expireKey = async (keyId: string) => void (await server.ask({ kind: 'expire-key', keyId }));
    return furnish(
      { api, http, operations, root, repeats, expireKey },
      { id: organization.id, slug: organization.slug, marker },
    );
  };
  say('furnishing three organizations');
  const houses = await Promise.all(['one', 'two', 'operator'].map(furnishOne));
  const values = new Map<string, string[]>();
  for (const { id } of houses) values.set(id, await server.ask({ kind: 'values', organizationId: id }));
  const known = new Map<string, Secrets>();
  const secretsOf = (house: House, victim: Victim): Secrets => {
    const name = `${house.id} ${victim.name}`;
    const found = known.get(name) ?? createSecrets(house, victim, houses, values);
    known.set(name, found);
    return found;
  };
  return { operations, unknown, houses, root, secretsOf };
}

/** All that the victim's rows held when it was furnished and the caller's did not. */
function createSecrets(
  house: House,
  victim: Victim,
  houses: readonly House[],
  values: ReadonlyMap<string, string[]>,
): Secrets {
  if (victim.organizationId === null) {
    return { values: new Set([house.hidden.plant, house.hidden.device, ...house.hidden.records]), markers: [] };
  }
  // A VIN that others register too is no secret any more; the name and the id of its trailer are.
  const claimable = houses.flatMap((one) => one.claimable);
  const own = new Set([...(values.get(house.id) ?? []), ...claimable]);
  const theirs = (values.get(victim.organizationId) ?? []).filter((value) => !own.has(value));
  const { marker } = houses.find(({ id }) => id === victim.organizationId)!;
  return { values: new Set(theirs), markers: [marker] };
}

interface PassParts {
  readonly pass: Pass;
  readonly world: World;
  readonly server: Server;
  readonly http: HttpClient;
  readonly api: Api;
  readonly grpcPort: number;
  readonly probes: readonly Probe[];
  readonly liveMax: number;
  readonly payloadsMax: number;
  readonly random: () => number;
}

async function runPass({
  pass,
  world,
  server,
  http,
  api,
  grpcPort,
  probes,
  liveMax,
  payloadsMax,
  random,
}: PassParts): Promise<Outcome> {
  const beganMs = performance.now();
  const { operations, houses, secretsOf, root } = world;
  const findings = createFindings();
  for (const house of houses) {
    const own = probes.filter((probe) => probe.house === house);
    say(`${pass.name}: ${own.length} probes by the callers of ${house.slug}`);
    await keepingRows({ server, http, findings }, house, houses, () =>
      runProbes(http, own, (probe) => secretsOf(probe.house, probe.victim), findings),
    );
  }
  // Whoever's credential a leak has ended cannot subscribe any more: with the walls down only HTTP is asked.
  const live = pass.hasSecondWall
    ? await proveLive({ port: grpcPort, api, houses, secretsOf, findings, probesMax: liveMax, random })
    : { streams: 0, records: 0 };
  let unreached: readonly string[] = [];
  if (pass.hasFirstWall) {
    const [house, other] = houses as [House, House];
    await drain(http);
    await keepingRows({ server, http, findings }, house, [house, other], async () => {
      unreached = await reachAll({ api, http, operations, root, findings }, house, other);
    });
  }
  let payloads: PayloadOutcome | null = null;
  if (payloadsMax > 0) {
    const keeping = (house: House, work: () => Promise<void>) =>
      keepingRows({ server, http, findings }, house, houses.slice(0, 2), work);
    payloads = await provePayloads({ api, http, root, houses, findings, random, keepingRows: keeping }, payloadsMax);
  }
  const lostCallers = (await Promise.all(houses.map((house) => findLost({ http, operations }, house)))).flat();
  return { pass, findings, unreached, lostCallers, payloads, ...live, seconds: (performance.now() - beganMs) / 1000 };
}

/** Runs `work` of `house`; whatever row of another organization is different afterwards is a leak. */
async function keepingRows(
  { server, http, findings }: { server: Server; http: HttpClient; findings: Findings },
  house: House,
  houses: readonly House[],
  work: () => Promise<void>,
): Promise<void> {
  const others = houses.filter((one) => one !== house);
  const read = () =>
    Promise.all(others.map(({ id }) => server.ask<Record<string, string>>({ kind: 'digests', organizationId: id })));
  const before = await read();
  await work();
  await drain(http);
  const after = await read();
  for (const [place, other] of others.entries()) {
    const changed = Object.keys(after[place]!).filter((table) => after[place]![table] !== before[place]![table]);
    if (changed.length > 0)
      noteLeak(findings, 'changed', `callers of ${house.slug} changed rows of ${other.slug}: ${changed.join(', ')}`);
    const acts = await server.ask<number>({
      kind: 'acts-of-others',
      organizationId: other.id,
      callerOrganizationId: house.id,
    });
    if (acts > 0)
      noteLeak(findings, 'changed', `${acts} acts of callers of ${house.slug} in the audit log of ${other.slug}`);
  }
}

/** Waits until what was sent is mapped, so that it is known where it went. */
function drain(http: HttpClient): Promise<true> {
  return waitFor(
    'the backlog to drain',
    async () => {
      const { body } = await http.send({ method: 'GET', path: '/metrics', headers: {} });
      return /^gladhand_intake_backlog_envelopes 0$/m.test(body) || undefined;
    },
    { everyMs: 50 },
  );
}
