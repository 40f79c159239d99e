import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, openChild } from '../rig/child.ts';
import { type Report, say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { formatTable, median, round } from '../rig/table.ts';
import type { AuthLoadOrder, AuthLoadResult } from './auth-load.ts';
import type { AuthServerQuestion } from './auth-server.ts';

/**
 * Measures the cost of authentication:
 * - a route behind a scope, against the same public route and a bare `node:http` server;
 * - tokens that the server sees for the first time, against tokens in its cache;
 * - the exchange of a key for a token.
 *
 * Rounds alternate and ratios are taken within a round, so that other load on the machine affects all cases alike. CPU time
 * is that of the server process, without PostgreSQL.
 */
export interface AuthBenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
}

const WARM_UP_SECONDS = 2;
const KEYS = 100;
/** Each is sent once, so the server verifies it. All other tokens fit into the cache of verified tokens. */
const NEW_TOKENS_PER_ROUND = 3_000;

interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly errors: number;
}

const CONTENDERS = {
  bare: 'bare node:http',
  public: 'our public route',
  guarded: 'the same behind a scope, token in the cache',
  first: 'the same, token not in the cache',
  exchange: 'exchange of a key for a token',
} as const;
type Contender = keyof typeof CONTENDERS;

export async function benchAuth(scratch: Scratch, options: AuthBenchOptions): Promise<Report> {
  say('preparing a data folder');
  const server = openChild(scratch, join(import.meta.dirname, 'auth-server.ts'));
  const bareServer = openChild(scratch, join(import.meta.dirname, 'auth-server.ts'));
  const load = openChild(scratch, join(import.meta.dirname, 'auth-load.ts'));
  const ask = <Answer>(child: Child, question: AuthServerQuestion) => child.ask<Answer>(question);
  const bare = await ask<{ pid: number; port: number }>(bareServer, { kind: 'bare' });
  const dataDirectory = await scratch.folder();
  const ours = await ask<{ pid: number; port: number; keys: string[] }>(server, {
    kind: 'open',
    dataDirectory,
    keys: KEYS,
  });
  const known = (await ask<string[]>(server, { kind: 'tokens', count: KEYS })).map((token) => get('/guarded', token));

  const requestsOf: Record<Contender, () => Promise<string[]> | string[]> = {
    bare: () => [get('/')],
    public: () => [get('/public')],
    guarded: () => known,
    first: async () =>
      (await ask<string[]>(server, { kind: 'tokens', count: NEW_TOKENS_PER_ROUND })).map((token) =>
        get('/guarded', token),
      ),
    exchange: () => ours.keys.map(exchange),
  };
  const measure = async (name: Contender, seconds: number): Promise<Measured> => {
    const { pid, port } = name === 'bare' ? bare : ours;
    const requests = await requestsOf[name]();
    const order: AuthLoadOrder = {
      port,
      requests,
      connections: options.connections,
      seconds,
      onceEach: name === 'first',
    };
    const beforeMs = await readCpuMs(pid);
    const { answered, seconds: took, errors } = await load.ask<AuthLoadResult>(order);
    return { perSecond: answered / took, cpuUs: ((await readCpuMs(pid)) - beforeMs) * (1000 / answered), errors };
  };

  const names = Object.keys(CONTENDERS) as Contender[];
  say(`warming up, ${WARM_UP_SECONDS} s each`);
  for (const name of names) await measure(name, WARM_UP_SECONDS);
  const results = Object.fromEntries(names.map((name) => [name, [] as Measured[]])) as Record<Contender, Measured[]>;
  for (let number = 1; number <= options.rounds; number++) {
    for (const name of names) results[name].push(await measure(name, options.seconds));
    say(
      `round ${number} of ${options.rounds}: ${names.map((name) => `${name} ${round(results[name].at(-1)!.perSecond)}/s`).join(', ')}`,
    );
  }
  return toReport(results, options);
}

function toReport(results: Record<Contender, Measured[]>, options: AuthBenchOptions): Report {
  const names = Object.keys(CONTENDERS) as Contender[];
  const perSecond = (name: Contender) => round(median(results[name].map((one) => one.perSecond)));
  const cpuUs = (name: Contender) => round(median(results[name].map((one) => one.cpuUs)), 1);
  const ratio = (one: Contender, other: Contender) =>
    round(median(results[one].map((measured, place) => measured.perSecond / results[other][place]!.perSecond)), 2);
  const more = (one: Contender, other: Contender) =>
    round(median(results[one].map((measured, place) => measured.cpuUs - results[other][place]!.cpuUs)), 1);
  const errors = names.flatMap((name) => results[name]).reduce((sum, one) => sum + one.errors, 0);
  const table = formatTable([
    ['', 'requests/s', 'of bare', 'CPU us/request'],
    ...names.map((name) => [CONTENDERS[name], perSecond(name), ratio(name, 'bare'), cpuUs(name)]),
  ]);
  const [guardUs, firstUs] = [more('guarded', 'public'), more('first', 'guarded')];
  const note = `${options.rounds} rounds of ${options.seconds} s, ${options.connections} connections, ${KEYS} keys, ${NEW_TOKENS_PER_ROUND} new tokens a round; medians of the rounds.
Being recognized costs ${guardUs} us of CPU when the token is known and ${firstUs} us more when it is seen for the first time.`;
  return {
    name: 'auth',
    text: `${table}\n\n${note}`,
    figures: {
      barePerSecond: perSecond('bare'),
      publicPerSecond: perSecond('public'),
      guardedPerSecond: perSecond('guarded'),
      firstPerSecond: perSecond('first'),
      exchangePerSecond: perSecond('exchange'),
      guardedToBare: ratio('guarded', 'bare'),
      guardedToPublic: ratio('guarded', 'public'),
      exchangeToBare: ratio('exchange', 'bare'),
      guardUs,
      firstUs,
      exchangeUs: cpuUs('exchange'),
      bareUs: cpuUs('bare'),
      publicUs: cpuUs('public'),
      errors,
      rounds: options.rounds,
    },
    goals: [{ name: 'errors', figure: errors, goal: '0', isMet: errors === 0 }],
  };
}

/** User and system CPU time of a process so far, in ms. `/proc` counts in units of 10 ms. */
async function readCpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function get(path: string, token?: string): string {
  const authorization = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`;
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${authorization}\r\n`;
}

function exchange(key: string): string {
  return `POST /api/v1/customers/authenticate HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-KEY: ${key}\r\nContent-Length: 0\r\n\r\n`;
}
