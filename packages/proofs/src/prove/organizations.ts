import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import { openChild } from '../rig/child.ts';
import { createRandom } from '../rig/random.ts';
import { type Report, say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { createMarker, createOrganization, type SampleOrganization } from './organizations/create-organization.ts';
import { drain } from './organizations/drain.ts';
import type { Secrets } from './organizations/find-leak.ts';
import { type HttpClient, openHttpClient } from './organizations/http-client.ts';
import { proveLive } from './organizations/live.ts';
import { readOperations } from './organizations/operations.ts';
import { type Api, createApi } from './organizations/organization-maker.ts';
import { type Outcome, type Pass, toReport, type World } from './organizations/outcome.ts';
import { type PayloadOutcome, provePayloads } from './organizations/payloads.ts';
import { type Probe, planProbes, type Victim } from './organizations/probes.ts';
import { findLost, reachAll } from './organizations/reach.ts';
import { createFindings, type Findings, noteLeak, runProbes } from './organizations/run-probes.ts';
import type { OpenedServer, ServerQuestion } from './organizations/server.ts';

/**
 * Proves that organizations are isolated. Every kind of caller of one organization calls every route of the OpenAPI
 * document, and the stream, for data of another organization. Nothing of it may be shown or changed, and the answer may not
 * depend on whether it exists. There are three passes:
 * 1. The server as shipped.
 * 2. Without the organization condition in its statements, so that row-level security alone isolates.
 * 3. Without both. Here the proof must find leaks. Otherwise it could not find them in the other passes either.
 */
export interface OrganizationsProofOptions {
  /** Probes in each of the first two passes. */
  readonly probes: number;
  readonly seed?: number;
  /** Empty: the proof starts its own embedded PostgreSQL. */
  readonly databaseUrl?: string;
  /** Path of the module that removes the organization condition. It is imported before the server. */
  readonly withoutOrganizationCondition?: string;
}

const PASSES: readonly Pass[] = [
  { name: 'as shipped', hasOrganizationCondition: true, hasRowSecurity: true },
  { name: 'row-level security alone', hasOrganizationCondition: false, hasRowSecurity: true },
  { name: 'without both', hasOrganizationCondition: false, hasRowSecurity: false },
];
/** Enough probes to find leaks of every kind in the third pass. */
const CONTROL_PROBES_MAX = 3_000;
/** Share of the probes that open a stream. It is small, because a stream costs as much as several requests. */
const LIVE_SHARE = 0.03;
const LIVE_PROBES_MAX = 1_500;
/** How many Idempotency-Keys and VINs the partners of other organizations may use up in three passes. */
const REPEATS_MAX = 36;
const CONNECTIONS = 24;
const WITHOUT_ORGANIZATION_CONDITION = join(import.meta.dirname, 'organizations/without-organization-condition.ts');
const ROOT_EMAIL = 'root@example.com';

export async function proveOrganizations(scratch: Scratch, options: OrganizationsProofOptions): Promise<Report> {
  const seed = options.seed ?? randomInt(2 ** 31);
  const dataDirectory = await scratch.folder();
  let world: World | undefined;
  let probes: Probe[] = [];
  const outcomes: Outcome[] = [];
  for (const pass of PASSES) {
    say(`${pass.name}: starting the server`);
    const server = openServer(
      scratch,
      pass.hasOrganizationCondition ? null : (options.withoutOrganizationCondition ?? WITHOUT_ORGANIZATION_CONDITION),
    );
    const { httpPort, grpcPort } = await server.ask<OpenedServer>({
      kind: 'open',
      dataDirectory,
      databaseUrl: options.databaseUrl ?? '',
    });
    const http = openHttpClient(httpPort, CONNECTIONS);
    const api = createApi(http);
    if (world === undefined) {
      world = await createWorld(server, http, api, Math.min(REPEATS_MAX, Math.ceil(options.probes / 50)));
      probes = planProbes(world.operations, world.samples, options.probes, createRandom(seed));
      say(`${probes.length} probes are planned`);
    }
    if (!pass.hasRowSecurity) await server.ask({ kind: 'disable-row-security' });
    const chosen = pass.hasRowSecurity ? probes : probes.slice(0, CONTROL_PROBES_MAX);
    const liveMax = liveProbes(options.probes);
    // Both protections concern reading. Mapping does not use them, so the first pass is enough.
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
  const createOne = async (which: string): Promise<SampleOrganization> => {
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
    return createOrganization(
      { api, http, operations, root, repeats, expireKey },
      { id: organization.id, slug: organization.slug, marker },
    );
  };
  say('creating three organizations with their data');
  const samples = await Promise.all(['one', 'two', 'operator'].map(createOne));
  const values = new Map<string, string[]>();
  for (const { id } of samples) values.set(id, await server.ask({ kind: 'values', organizationId: id }));
  const known = new Map<string, Secrets>();
  const secretsOf = (sample: SampleOrganization, victim: Victim): Secrets => {
    const name = `${sample.id} ${victim.name}`;
    const found = known.get(name) ?? createSecrets(sample, victim, samples, values);
    known.set(name, found);
    return found;
  };
  return { operations, unknown, samples, root, secretsOf };
}

/** Values that the victim's rows had at the start and that the caller's rows did not have. */
function createSecrets(
  sample: SampleOrganization,
  victim: Victim,
  samples: readonly SampleOrganization[],
  values: ReadonlyMap<string, string[]>,
): Secrets {
  if (victim.organizationId === null) {
    return { values: new Set([sample.hidden.plant, sample.hidden.device, ...sample.hidden.records]), markers: [] };
  }
  // A VIN that other organizations may register too is no secret. The name and id of its trailer are.
  const claimable = samples.flatMap((one) => one.claimable);
  const own = new Set([...(values.get(sample.id) ?? []), ...claimable]);
  const theirs = (values.get(victim.organizationId) ?? []).filter((value) => !own.has(value));
  const { marker } = samples.find(({ id }) => id === victim.organizationId)!;
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
  const { operations, samples, secretsOf, root } = world;
  const findings = createFindings();
  for (const sample of samples) {
    const own = probes.filter((probe) => probe.sample === sample);
    say(`${pass.name}: ${own.length} probes by the callers of ${sample.slug}`);
    await keepingRows({ server, http, findings }, sample, samples, () =>
      runProbes(http, own, (probe) => secretsOf(probe.sample, probe.victim), findings),
    );
  }
  // In the third pass a leak may end the credential of a caller, who then cannot subscribe. So only HTTP is probed there.
  const live = pass.hasRowSecurity
    ? await proveLive({ port: grpcPort, api, samples, secretsOf, findings, probesMax: liveMax, random })
    : { streams: 0, records: 0 };
  let unreached: readonly string[] = [];
  if (pass.hasOrganizationCondition) {
    const [sample, other] = samples as [SampleOrganization, SampleOrganization];
    await drain(http);
    await keepingRows({ server, http, findings }, sample, [sample, other], async () => {
      unreached = await reachAll({ api, http, operations, root, findings }, sample, other);
    });
  }
  let payloads: PayloadOutcome | null = null;
  if (payloadsMax > 0) {
    const keeping = (sample: SampleOrganization, work: () => Promise<void>) =>
      keepingRows({ server, http, findings }, sample, samples.slice(0, 2), work);
    payloads = await provePayloads({ api, http, root, samples, findings, random, keepingRows: keeping }, payloadsMax);
  }
  const lostCallers = (await Promise.all(samples.map((sample) => findLost({ http, operations }, sample)))).flat();
  return { pass, findings, unreached, lostCallers, payloads, ...live, seconds: (performance.now() - beganMs) / 1000 };
}

/** Runs `work` for one organization. If a row of another organization has changed afterwards, that is a leak. */
async function keepingRows(
  { server, http, findings }: { server: Server; http: HttpClient; findings: Findings },
  sample: SampleOrganization,
  samples: readonly SampleOrganization[],
  work: () => Promise<void>,
): Promise<void> {
  const others = samples.filter((one) => one !== sample);
  const read = () =>
    Promise.all(others.map(({ id }) => server.ask<Record<string, string>>({ kind: 'digests', organizationId: id })));
  const before = await read();
  await work();
  await drain(http);
  const after = await read();
  for (const [place, other] of others.entries()) {
    const changed = Object.keys(after[place]!).filter((table) => after[place]![table] !== before[place]![table]);
    if (changed.length > 0)
      noteLeak(findings, 'changed', `callers of ${sample.slug} changed rows of ${other.slug}: ${changed.join(', ')}`);
    const acts = await server.ask<number>({
      kind: 'acts-of-others',
      organizationId: other.id,
      callerOrganizationId: sample.id,
    });
    if (acts > 0)
      noteLeak(findings, 'changed', `${acts} acts of callers of ${sample.slug} in the audit log of ${other.slug}`);
  }
}
