import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '@gladhand/base/fault.ts';
import type { FastifyReply } from 'fastify';
import { cachedPages } from '../edge/cached-pages.ts';
import type { Http } from '../edge/http.ts';
import { pagePolicy } from '../edge/page-policy.ts';
import { layOut } from './layout.ts';
import { FILE_URLS, fileUrl, guideUrl, type Library, REPOSITORY, readLibrary } from './library.ts';
import { describeStart, indexPage, productPage, startPage } from './pages.ts';

export interface DocsDoorParts {
  readonly version: string;
  /** Where LiveFeed listens; null: nowhere yet. */
  readonly livefeedPort: () => number | null;
}

const POLICY = pagePolicy({ allowsInline: false });
const PAGE = { config: { access: 'public' }, schema: { hide: true } } as const;
const HTML = 'text/html; charset=utf-8';
const TEXT = 'text/plain; charset=utf-8';
const ASSETS: Readonly<Record<string, string>> = {
  'style.css': 'text/css; charset=utf-8',
  'moved.js': 'text/javascript; charset=utf-8',
  'product.js': 'text/javascript; charset=utf-8',
};

/**
 * The door to documentation: `/` and everything under /docs but the API reference. Everybody may read it, so nothing of
 * a partner's stands in it: a product is fetched by its page, with the partner's own key (decision 0012).
 */
export async function registerDocsRoutes(http: Http, parts: DocsDoorParts): Promise<void> {
  await http.register(async (pages) => {
    await pages.register(cachedPages);
    pages.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', POLICY);
    });
    let read: Library | undefined;
    const library = () => (read ??= readLibrary(REPOSITORY));
    const assets = new Map(
      Object.keys(ASSETS).map((name) => [name, readFileSync(join(import.meta.dirname, 'assets', name), 'utf8')]),
    );

    pages.get('/', PAGE, (request, reply) => {
      const start = describeStart(parts.version, parts.livefeedPort());
      reply.header('vary', 'accept');
      // Browsers name HTML, programs do not.
      if (request.headers.accept?.includes('text/html')) return send(reply, HTML, startPage(start));
      return send(reply, 'application/json; charset=utf-8', `${JSON.stringify(start, null, 2)}\n`);
    });
    pages.get('/docs', PAGE, (_request, reply) => send(reply, HTML, indexPage(library())));
    pages.get('/docs/product', PAGE, (_request, reply) => send(reply, HTML, productPage()));
    pages.get<{ Params: { guide: string } }>('/docs/guides/:guide', PAGE, ({ params }, reply) => {
      const guide = library().guides.find(({ name }) => name === params.guide);
      if (guide === undefined) throw nothingHere();
      return send(reply, HTML, layOut({ title: guide.title, path: guideUrl(guide.name), body: guide.html }));
    });
    for (const [folder, url] of FILE_URLS) {
      pages.get<{ Params: { '*': string } }>(`${url}*`, PAGE, ({ params }, reply) => {
        const path = folder + params['*'];
        const file = library().files.get(path);
        if (file === undefined || fileUrl(path) !== url + params['*']) throw nothingHere();
        if (file.kind === 'text') return send(reply, TEXT, file.text);
        return send(reply, HTML, layOut({ title: file.title, path: fileUrl(path), body: file.html }));
      });
    }
    pages.get<{ Params: { asset: string } }>('/docs/assets/:asset', PAGE, ({ params }, reply) => {
      const text = assets.get(params.asset);
      if (text === undefined) throw nothingHere();
      return send(reply, ASSETS[params.asset]!, text);
    });
  });
}

function send(reply: FastifyReply, type: string, text: string): FastifyReply {
  return reply.type(type).send(text);
}

function nothingHere(): Fault {
  return new Fault('not-found', 'There is no such page. /docs lists all of them.');
}
