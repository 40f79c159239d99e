import { ageInstallation, YEAR } from '../rig/age.ts';
import { atMost, type Report, say } from '../rig/report.ts';
import type { Scratch } from '../rig/scratch.ts';
import { type Seed, seedInstallation } from '../rig/seed.ts';
import { authenticate, createSite, type Site, startServer } from '../rig/server-process.ts';
import { formatTable, round } from '../rig/table.ts';

/**
 * Pages of an installation in use for a year beside one in use for two weeks: as many records in the newest weeks, and
 * 56 weeks more of them. A page that reads more the older the store is shows here as a ratio well above 1.
 */
export interface PagesBenchOptions {
  /** Each page is asked for so many times, one after the other. */
  readonly times: number;
}

/** So few that two weeks of each fill a page. */
const TRAILERS = 20;
const YOUNG = { ...YEAR, weeks: 2, days: 2 };
const RATIO_MAX = 2;
const TAKE = 500;

interface Asked {
  readonly name: string;
  path(seed: Seed, cursor: string): string;
}

const dayBefore = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();

const PAGES: readonly Asked[] = [
  {
    name: 'GPS of one trailer, its newest',
    path: ({ vins }) => `/trailers/telemetry/gps/${vins[0]}?take=${TAKE}&order=desc`,
  },
  {
    name: 'GPS of one trailer, a day ago',
    path: ({ vins }) => `/trailers/telemetry/gps/${vins[0]}?take=${TAKE}&from=${dayBefore(1)}&order=asc`,
  },
  { name: 'latest values of 20 trailers', path: () => '/telemetry/latest?take=50' },
  { name: 'feed from its beginning', path: () => `/telemetry/feed?take=${TAKE}` },
  { name: 'feed, a group that few records have', path: () => `/telemetry/feed?take=${TAKE}&signals=coupling` },
  { name: 'feed at its end', path: (_, cursor) => `/telemetry/feed?take=${TAKE}&next=${encodeURIComponent(cursor)}` },
];

export async function benchPages(scratch: Scratch, { times }: PagesBenchOptions): Promise<Report> {
  const young = await measure(scratch, YOUNG, times);
  const old = await measure(scratch, YEAR, times);
  const rows = PAGES.map(({ name }, place) => {
    const [one, other] = [young[place]!, old[place]!];
    return { name, young: one, old: other, ratio: other / one };
  });
  const table = formatTable([
    ['page, median ms', 'two weeks', 'a year', 'ratio'],
    ...rows.map((row) => [row.name, round(row.young, 1), round(row.old, 1), round(row.ratio, 2)]),
  ]);
  return {
    name: 'pages',
    text: `${table}\n\n${YEAR.weeks} weeks of ${YEAR.recordsPerWeek} records and ${YEAR.days} days of ${YEAR.envelopesPerDay} envelopes, beside ${YOUNG.weeks} weeks and ${YOUNG.days} days.`,
    figures: Object.fromEntries(rows.map((row) => [row.name, round(row.ratio, 2)])),
    goals: rows.map((row) => atMost(`${row.name}: a year / two weeks`, round(row.ratio, 2), RATIO_MAX)),
  };
}

async function measure(scratch: Scratch, age: typeof YEAR, times: number): Promise<number[]> {
  say(`an installation with ${age.weeks} weeks of records`);
  const site = await createSite(scratch);
  const seed = await seedInstallation(site.dataDirectory, { trailers: TRAILERS, products: ['traccar'] });
  await ageInstallation(site.dataDirectory, age);
  const server = startServer(scratch, site);
  await server.ready();
  const token = await authenticate(site, 'customer', seed.customerKey);
  const cursor = await walkToEnd(site, token);
  const medians: number[] = [];
  for (const { path } of PAGES) medians.push(await medianMs(() => get(site, token, path(seed, cursor)), times));
  await server.stop();
  return medians;
}

async function get(site: Site, token: string, path: string): Promise<any> {
  const answer = await fetch(`http://127.0.0.1:${site.httpPort}/api/v1${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const body = await answer.text();
  if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${body}`);
  return JSON.parse(body);
}

/** The cursor of somebody who has read everything. */
async function walkToEnd(site: Site, token: string): Promise<string> {
  for (let next = ''; ; ) {
    const page = await get(site, token, `/telemetry/feed?take=${TAKE}${next}`);
    if (page.caughtUp) return page.next;
    next = `&next=${encodeURIComponent(page.next)}`;
  }
}

async function medianMs(ask: () => Promise<unknown>, times: number): Promise<number> {
  const all: number[] = [];
  for (let n = 0; n < times; n += 1) {
    const beganMs = performance.now();
    await ask();
    all.push(performance.now() - beganMs);
  }
  return all.sort((one, other) => one - other)[times >> 1]!;
}
