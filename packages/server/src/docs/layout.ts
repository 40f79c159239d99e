import { escapeHtml } from './markdown.ts';

/** The frame around every page of documentation: plain HTML, one stylesheet, no script unless a page names one. */
export interface PageParts {
  readonly title: string;
  /** Path of the page, which is marked in the navigation. */
  readonly path: string;
  /** HTML. */
  readonly body: string;
  /** Paths of scripts of our own. */
  readonly scripts?: readonly string[];
}

export const REFERENCE_PATH = '/docs/api/';
export const STYLE_PATH = '/docs/assets/style.css';

const NAVIGATION: readonly (readonly [path: string, text: string])[] = [
  ['/docs', 'Documentation'],
  [REFERENCE_PATH, 'API reference'],
  ['/docs/guides/livefeed', 'LiveFeed'],
  ['/docs/product', 'Your product'],
];

export function layOut({ title, path, body, scripts = [] }: PageParts): string {
  const links = NAVIGATION.map(([to, text]) => {
    const current = to === path ? ' aria-current="page"' : '';
    return `<a href="${to}"${current}>${text}</a>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="${STYLE_PATH}">
${scripts.map((script) => `<script src="${script}" defer></script>`).join('\n')}
</head>
<body>
<header><a class="name" href="/">Gladhand</a><nav>${links.join('')}</nav></header>
<main>
${body}
</main>
</body>
</html>
`;
}
