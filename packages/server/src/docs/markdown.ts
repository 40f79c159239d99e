import { Marked, Renderer, type Tokens } from 'marked';
import { gfmHeadingId } from 'marked-gfm-heading-id';

/** Guides are GitHub's Markdown; here they become HTML whose links work where it is served. */
export interface MarkdownParts {
  /** Where a relative link leads, without its `#`. Throws when it leads nowhere. */
  readonly resolveLink: (target: string) => string;
  /** The text of a linked file, once it has been resolved; undefined: it is no text. */
  readonly findText: (target: string) => string | undefined;
}

export function renderMarkdown(text: string, parts: MarkdownParts): { title: string; html: string } {
  const shown = new Map<Tokens.Paragraph, string>();
  let title = '';
  const marked = new Marked(
    {
      gfm: true,
      // A paragraph is seen before the links in it, so their targets are still those of the text.
      walkTokens(token) {
        if (token.type === 'heading') title ||= (token as Tokens.Heading).text;
        if (token.type === 'paragraph') noteExample(token as Tokens.Paragraph, shown);
        if (token.type === 'link') rewriteLink(token as Tokens.Link, parts);
      },
      renderer: {
        paragraph(token) {
          const target = shown.get(token);
          const source = target === undefined ? undefined : parts.findText(target);
          if (source === undefined) return false;
          const summary = this.parser.parseInline(token.tokens);
          return `<details><summary>${summary}</summary><pre><code>${escapeHtml(source)}</code></pre></details>\n`;
        },
        table(token) {
          // Wide ones scroll by themselves, not the page with them.
          return `<div class="wide">${Renderer.prototype.table.call(this, token)}</div>\n`;
        },
      },
    },
    gfmHeadingId(),
  );
  return { html: marked.parse(text, { async: false }), title };
}

/** A link that stands alone in its paragraph shows the file as well, folded. */
function noteExample(paragraph: Tokens.Paragraph, shown: Map<Tokens.Paragraph, string>): void {
  const [only, ...more] = paragraph.tokens;
  if (only?.type === 'link' && more.length === 0 && isRelative(only['href'])) shown.set(paragraph, only['href']);
}

const isRelative = (href: string) => !/^([a-z][a-z0-9+.-]*:|#|\/)/i.test(href);

function rewriteLink(link: Tokens.Link, { resolveLink }: MarkdownParts): void {
  if (!isRelative(link.href)) return;
  const [target, ...anchor] = link.href.split('#');
  link.href = [resolveLink(target!), ...anchor].join('#');
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);
}
