import { layOut, REFERENCE_PATH } from './layout.ts';
import { guideUrl, type Library, SHELVES } from './library.ts';
import { escapeHtml } from './markdown.ts';

/** The pages that are not a file of the repository: where to go, what there is to read, and a partner's own product. */

/** What `/` says of this installation. */
export interface Start {
  readonly name: 'Gladhand';
  readonly version: string;
  readonly docs: string;
  readonly reference: string;
  readonly openapi: string;
  readonly guides: { readonly partners: string; readonly customers: string; readonly operators: string };
  readonly health: string;
  /** Null: it does not listen here. */
  readonly livefeed: { readonly port: number; readonly docs: string } | null;
}

export function describeStart(version: string, livefeedPort: number | null): Start {
  return {
    name: 'Gladhand',
    version,
    docs: '/docs',
    reference: REFERENCE_PATH,
    openapi: '/openapi.json',
    guides: {
      partners: guideUrl('partner-guide'),
      customers: guideUrl('customer-guide'),
      operators: guideUrl('operating'),
    },
    health: '/health/ready',
    livefeed: livefeedPort === null ? null : { port: livefeedPort, docs: guideUrl('livefeed') },
  };
}

export function startPage(start: Start): string {
  const { livefeed } = start;
  const rows = [
    [start.docs, 'Documentation', 'guides, limits, errors, examples'],
    [start.guides.partners, 'Sending telemetry', 'for partners'],
    [start.guides.customers, 'Reading telemetry', 'for customers'],
    [start.guides.operators, 'Running it', 'for operators'],
    [start.reference, 'API reference', `every endpoint; the document itself is ${link(start.openapi, start.openapi)}`],
    ...(livefeed === null ? [] : [[livefeed.docs, 'LiveFeed', `gRPC, port ${livefeed.port}`]]),
    [start.health, 'Health', 'whether this server can do its work'],
  ];
  const list = rows.map(([to, text, about]) => `<dt>${link(to!, text!)}</dt><dd>${about}</dd>`);
  const body = `<h1>Gladhand ${escapeHtml(start.version)}</h1>
<p>Partners send telemetry in their own JSON, customers read one clean feed. From here:</p>
<dl>${list.join('\n')}</dl>`;
  return layOut({ title: 'Gladhand', path: '/', body });
}

const link = (to: string, text: string) => `<a href="${escapeHtml(to)}">${escapeHtml(text)}</a>`;

export function indexPage({ guides }: Library): string {
  const found = new Map(guides.map((guide) => [guide.name, guide]));
  const shelves = SHELVES.map(({ title, guides: names }) => {
    const entries = Object.entries(names).map(
      ([name, about]) => `<dt>${link(guideUrl(name), found.get(name)!.title)}</dt><dd>${escapeHtml(about)}</dd>`,
    );
    return `<h2>${title}</h2>\n<dl>${entries.join('\n')}</dl>`;
  });
  const body = `<h1>Documentation</h1>
<dl>
<dt>${link(REFERENCE_PATH, 'API reference')}</dt><dd>every endpoint with its fields and refusals; as a document: ${link('/openapi.json', 'openapi.json')}</dd>
<dt>${link('/docs/product', 'Your product')}</dt><dd>for partners: the schema, the limits and an example of what your key sends</dd>
</dl>
${shelves.join('\n')}`;
  return layOut({ title: 'Gladhand documentation', path: '/docs', body, scripts: ['/docs/assets/moved.js'] });
}

export function productPage(): string {
  const body = `<h1>Your product</h1>
<p>A <em>product</em> is what a partner's JSON is: an input schema, limits, and an example that can be sent as it is.
Each API key of a partner sends one product. To see yours, enter the key.</p>
<form>
<p><label for="key">API key, or access token</label><input id="key" type="password" autocomplete="off" spellcheck="false" required></p>
<p><label for="vin">VIN to show the example with (may be left out)</label><input id="vin" autocomplete="off" spellcheck="false" maxlength="17"></p>
<p><button>Show it</button></p>
</form>
<p class="note">The key goes to this server alone, in a header, as it does when you send. It is not stored, and is forgotten
when you leave the page. The same by program: <code>GET /api/v1/products</code> and
<code>GET /api/v1/products/{product}</code> with your access token.</p>
<noscript><p>This form needs JavaScript; the two calls above do not.</p></noscript>
<p id="problem" role="alert"></p>
<div id="product" aria-live="polite"></div>`;
  return layOut({ title: 'Your product', path: '/docs/product', body, scripts: ['/docs/assets/product.js'] });
}
