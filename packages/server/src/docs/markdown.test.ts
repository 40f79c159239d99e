import { expect, test } from 'vitest';
import { type MarkdownParts, renderMarkdown } from './markdown.ts';

const parts: MarkdownParts = {
  resolveLink: (target) => `/at/${target}`,
  findText: (target) => (target === 'client.ts' ? 'const a = "<b>" & 1;' : undefined),
};
const render = (text: string) => renderMarkdown(text, parts);

test('relative links lead to where their files are served, all others stay', () => {
  const { html } = render(
    '[one](a.md) [place](b.md#here) [same](#there) [site](https://example.com/x) [mail](mailto:a@example.com) [root](/docs)',
  );
  expect([...html.matchAll(/href="([^"]*)"/g)].map(([, href]) => href)).toEqual([
    '/at/a.md',
    '/at/b.md#here',
    '#there',
    'https://example.com/x',
    'mailto:a@example.com',
    '/docs',
  ]);
});

test('headings can be linked to as on GitHub, and each document counts its own', () => {
  const text = '# A guide\n\n## What it `is`, in short\n\n## Twice\n\n## Twice\n';
  for (const { title, html } of [render(text), render(text)]) {
    expect(title).toBe('A guide');
    expect([...html.matchAll(/id="([^"]*)"/g)].map(([, id]) => id)).toEqual([
      'a-guide',
      'what-it-is-in-short',
      'twice',
      'twice-1',
    ]);
  }
});

test('a link that stands alone shows the file, as text', () => {
  const { html } = render('[client.ts](client.ts)\n\nSee [client.ts](client.ts).\n\n[page](page.md)\n');
  expect(html.match(/<details>/g)).toHaveLength(1);
  expect(html).toContain('<code>const a = &#34;&#60;b&#62;&#34; &#38; 1;</code>');
  expect(html.match(/href="\/at\/client\.ts"/g)).toHaveLength(2);
  expect(html).toContain('<p><a href="/at/page.md">page</a></p>');
});

test('code is shown as it is written, and wide tables scroll by themselves', () => {
  const { html } = render('```sh\ncurl "$A" <b>\n```\n\n| a |\n|---|\n| `<i>` |\n');
  expect(html).toContain('curl &quot;$A&quot; &lt;b&gt;');
  expect(html).toContain('<div class="wide"><table>');
  expect(html).toContain('<code>&lt;i&gt;</code>');
});
