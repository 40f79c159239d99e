import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { readLibrary, SHELVES } from '../../src/docs/library.ts';
import { openTestApp } from '../app.ts';
import { ROOT } from '../architecture/source-tree.ts';

/** What is served under / and /docs, as a crawler and a cache see it. */
const HREF = /\b(?:href|src)="([^"]+)"/g;

interface Page {
  readonly html: string;
  readonly links: readonly string[];
}

/** Every page that can be reached from / by links of our own. */
async function crawl(base: string): Promise<{ pages: Map<string, Page>; broken: string[]; outside: string[] }> {
  const pages = new Map<string, Page>();
  const broken: string[] = [];
  const outside: string[] = [];
  const waiting = ['/'];
  const seen = new Set(waiting);
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const answer = await fetch(base + path, { headers: { accept: 'text/html' } });
    const text = await answer.text();
    if (answer.status !== 200) broken.push(`${path}: ${answer.status}`);
    // The API reference draws itself.
    if (!answer.headers.get('content-type')?.startsWith('text/html') || path.startsWith('/docs/api')) continue;
    const links = [...text.matchAll(HREF)].map(([, href]) => new URL(href!, base + path));
    outside.push(...links.filter(({ origin }) => origin !== base).map(({ href }) => `${path}: ${href}`));
    const own = links.filter(({ origin }) => origin === base);
    pages.set(path, { html: text, links: own.map(({ pathname, hash }) => pathname + hash) });
    for (const { pathname } of own) {
      if (seen.has(pathname)) continue;
      seen.add(pathname);
      waiting.push(pathname);
    }
  }
  return { pages, broken, outside };
}

test('every link of every page leads to something that is there, its place on the page included', async () => {
  const { base } = await openTestApp();
  const { pages, broken, outside } = await crawl(base);
  expect(broken).toEqual([]);
  const lost = [...pages].flatMap(([from, { links }]) =>
    links
      .filter((link) => link.includes('#'))
      .filter((link) => {
        const [path, anchor] = link.split('#') as [string, string];
        return pages.has(path) && !pages.get(path)!.html.includes(`id="${anchor}"`);
      })
      .map((link) => `${from}: ${link}`),
  );
  expect(lost).toEqual([]);
  for (const { guides } of SHELVES)
    for (const name of Object.keys(guides)) expect([...pages.keys()]).toContain(`/docs/guides/${name}`);
  // Outside is only what a guide names to its reader, never what a page is made of.
  expect(outside.filter((line) => !/^\/docs\/(guides|files)\//.test(line))).toEqual([]);
});

test('every guide of the repository is shown, with its text', async () => {
  const shown = SHELVES.flatMap(({ guides }) => Object.keys(guides));
  const there = globSync('docs/*.md', { cwd: ROOT }).map((path) => basename(path, '.md'));
  expect([...shown].sort()).toEqual(there.sort());
  const { guides } = readLibrary(ROOT);
  for (const { name, title, html } of guides) {
    const text = readFileSync(join(ROOT, 'docs', `${name}.md`), 'utf8');
    expect(text, name).toContain(`# ${title}\n`);
    for (const [, heading] of text.matchAll(/^## (\w[\w ,]*)$/gm)) expect(html, name).toContain(heading);
  }
});

test('every proto and every example is there to download, byte by byte', async () => {
  const { base } = await openTestApp();
  for (const [folder, url] of [
    ['packages/contract/proto', '/docs/proto'],
    ['examples', '/docs/examples'],
  ] as const) {
    const paths = globSync('**/*.*', { cwd: join(ROOT, folder) });
    expect(paths.length).toBeGreaterThan(3);
    for (const path of paths) {
      const answer = await fetch(`${base}${url}/${path}`);
      expect([path, answer.status, answer.headers.get('content-type')]).toEqual([
        path,
        200,
        'text/plain; charset=utf-8',
      ]);
      expect(Buffer.from(await answer.arrayBuffer())).toEqual(readFileSync(join(ROOT, folder, path)));
    }
  }
});

test('no other file can be reached, however its path is written', async () => {
  const { base, call } = await openTestApp();
  for (const path of [
    '/docs/files/package.json',
    '/docs/files/packages/server/config.default.toml',
    '/docs/files/packages/server/src/main.ts',
    '/docs/files/examples/livefeed.mjs',
    '/docs/files/..%2f..%2fetc%2fpasswd',
    '/docs/proto/..%2f..%2f..%2fpackage.json',
    '/docs/examples/%2fetc%2fpasswd',
    '/docs/guides/..%2f..%2fREADME',
    '/docs/assets/..%2froutes.ts',
    '/docs/assets/constructor',
    '/docs/guides/0001-position-order',
  ]) {
    const answer = await call('GET', path);
    expect([path, answer.status, answer.json?.code]).toEqual([path, 404, 'not-found']);
  }
  expect((await fetch(`${base}/docs/guides/errors`, { method: 'POST' })).status).toBe(405);
});

test('pages say what they are, are kept and asked about again, and a HEAD says the same without them', async () => {
  const { base } = await openTestApp();
  const pages = ['/', '/docs', '/docs/product', '/docs/guides/errors', '/docs/api/', '/docs/api/js/scalar.js'];
  const rest = ['/docs/assets/style.css', '/docs/assets/product.js', '/docs/examples/livefeed.py', '/openapi.json'];
  for (const path of [...pages, ...rest]) {
    const got = await fetch(base + path);
    const body = await got.text();
    const etag = got.headers.get('etag')!;
    expect([path, got.status, got.headers.get('cache-control')]).toEqual([path, 200, 'no-cache']);
    expect(got.headers.get('x-content-type-options'), path).toBe('nosniff');
    expect(got.headers.get('content-security-policy'), path).toContain("default-src 'none'");
    expect(got.headers.has('x-request-id'), path).toBe(true);
    const again = await fetch(base + path, { headers: { 'if-none-match': etag } });
    expect([path, again.status, await again.text(), again.headers.get('etag')]).toEqual([path, 304, '', etag]);
    const head = await fetch(base + path, { method: 'HEAD' });
    expect([path, head.status, await head.text()]).toEqual([path, 200, '']);
    for (const name of ['etag', 'content-type', 'cache-control', 'content-security-policy'])
      expect(head.headers.get(name), `${path} ${name}`).toBe(got.headers.get(name));
    expect(Number(head.headers.get('content-length')), path).toBe(Buffer.byteLength(body));
  }
  // Our own pages do without scripts and styles in line; the reference cannot.
  expect((await fetch(`${base}/docs`)).headers.get('content-security-policy')).not.toContain('unsafe-inline');
});

test('/ shows a browser a page and a program where to go, and all of it is there', async () => {
  const { base, app } = await openTestApp();
  const page = await fetch(`${base}/`, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const html = await page.text();
  const plain = await fetch(`${base}/`);
  expect(plain.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect([page, plain].map(({ headers }) => headers.get('vary'))).toEqual(['accept', 'accept']);
  const start = (await plain.json()) as any;
  expect(start).toMatchObject({ name: 'Gladhand', livefeed: { port: app.grpcPort } });
  expect(html).toContain(`gRPC, port ${app.grpcPort}`);
  const paths = [start.docs, start.reference, start.openapi, start.health, start.livefeed.docs];
  for (const path of [...paths, ...Object.values<string>(start.guides)]) {
    expect((await fetch(base + path)).status, path).toBe(200);
    expect(html).toContain(`href="${path}"`);
  }
});
