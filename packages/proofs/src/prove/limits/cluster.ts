import { readFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { hasInstalledPostgres, type InstalledPostgres, openInstalledPostgres } from '../../rig/installed-postgres.ts';
import {
  hasInstalledRedis,
  type InstalledRedis,
  openInstalledRedis,
  REDIS_PROGRAM,
} from '../../rig/installed-redis.ts';
import type { Scratch } from '../../rig/scratch.ts';
import { authenticate, createSite, type ServerProcess, type Site, startServer } from '../../rig/server-process.ts';
import { createInstallation, type Installation, type InstallationOrder } from './installation.ts';

/** Server processes as an operator runs them: one with everything embedded, or several on PostgreSQL and Redis. */
export interface Cluster {
  readonly nodes: readonly Node[];
  readonly ports: readonly number[];
  readonly installation: Installation;
  readonly redis: InstalledRedis | undefined;
  /** Returns a new access token for a partner, or for a customer with its first key. */
  tokenOf(who: { readonly partner: string } | { readonly customer: string }): Promise<string>;
  /** Calls the API as the operator, with JSON in and out. Throws unless the answer is 2xx. */
  administer(method: string, path: string, body?: unknown, node?: number): Promise<unknown>;
  stop(): Promise<void>;
}

export interface Node {
  readonly site: Site;
  readonly server: ServerProcess;
}

/**
 * Starts a cluster. With one node, it has the embedded PostgreSQL and limits in memory. `additional` are configuration
 * variables for each node.
 */
export async function openCluster(
  scratch: Scratch,
  nodeCount: number,
  order: InstallationOrder,
  additional: Readonly<Record<string, string>> = {},
): Promise<Cluster> {
  const isShared = nodeCount > 1;
  const stops: (() => Promise<void>)[] = [];
  const closing = (close: () => Promise<void>) => {
    const callOff = scratch.defer(close);
    stops.push(async () => {
      callOff();
      await close();
    });
  };
  let [postgres, redis]: [InstalledPostgres | undefined, InstalledRedis | undefined] = [undefined, undefined];
  if (isShared) {
    if (!hasInstalledRedis) throw new Error(`needs ${REDIS_PROGRAM}; on Debian: apt-get install redis-server`);
    if (!hasInstalledPostgres) throw new Error('needs PostgreSQL 15; on Debian: apt-get install postgresql');
    postgres = await openInstalledPostgres();
    closing(postgres.close);
    redis = await openInstalledRedis();
    closing(redis.close);
    raisePriority(redis.pid);
  }
  const sites: Site[] = [];
  for (let node = 0; node < nodeCount; node += 1) sites.push(await createSite(scratch));
  const installation = await createInstallation(sites[0]!.dataDirectory, postgres?.url ?? '', order);
  const environment = {
    GLADHAND_ACCESS_SECRET: installation.secret,
    GLADHAND_LIMITS_MODE: 'enforce',
    // Trusted, so that each request can name its own client address: limits by address are not tested here.
    GLADHAND_HTTP_TRUSTED_PROXIES: '127.0.0.1',
    ...(isShared && { GLADHAND_DATABASE_URL: postgres!.url, GLADHAND_LIMITS_REDIS_URL: redis!.url }),
    ...additional,
  };
  const nodes: Node[] = [];
  for (const site of sites) {
    const placed = { ...site, environment };
    const server = startServer(scratch, placed);
    // One after the other, because the first node migrates the database.
    await server.ready();
    nodes.push({ site: placed, server });
  }
  let session: string | undefined;
  return {
    nodes,
    ports: nodes.map(({ site }) => site.httpPort),
    installation,
    redis,
    tokenOf(who) {
      const site = nodes[0]!.site;
      return 'partner' in who
        ? authenticate(site, 'partner', installation.partnerKeys[who.partner]!)
        : authenticate(site, 'customer', installation.customers[who.customer]!.keys[0]!);
    },
    async administer(method, path, body, node = 0) {
      const call = async (token: string | undefined, verb: string, to: string, content: unknown) => {
        const answer = await fetch(`http://127.0.0.1:${nodes[node]!.site.httpPort}/api/v1${to}`, {
          method: verb,
          headers: {
            ...(token !== undefined && { authorization: `Bearer ${token}` }),
            ...(content !== undefined && { 'content-type': 'application/json' }),
          },
          ...(content !== undefined && { body: JSON.stringify(content) }),
        });
        const text = await answer.text();
        if (!answer.ok) throw new Error(`${verb} ${to}: ${answer.status} ${text}`);
        return text === '' ? null : JSON.parse(text);
      };
      session ??= (await call(undefined, 'POST', '/auth/sign-in', installation.operator)).accessToken as string;
      return call(session, method, path, body);
    },
    async stop() {
      for (const { server } of nodes) await server.stop();
      for (const stop of stops.reverse()) await stop();
    },
  };
}

/** Raises a process's CPU priority if we are root. In production Redis has its own machine; here it shares the CPU. */
export function raisePriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_HIGH);
  } catch {
    // Not root: more decisions may be made without Redis.
  }
}

/** Resident memory of a process, now and at its peak, in MiB (proc(5)). */
export function memoryOf(pid: number): { readonly nowMiB: number; readonly peakMiB: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024;
  return { nowMiB: read('VmRSS'), peakMiB: read('VmHWM') };
}
