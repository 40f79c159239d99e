import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { renderMarkdown } from './markdown.ts';

/**
 * What can be read at /docs: the guides of the repository, and the files that they link to. Promise: a guide is shown as
 * it stands beside this version's source, every link in it leads to a page or file that is served, and no other file of
 * the machine can be reached: a path is looked up in this library and never on disk. Assumes the repository's folders
 * around the server. Everything is read and rendered once, when somebody asks first, which costs a start nothing; a guide
 * that links to nothing makes every page fail, which a test notices.
 */
export interface Library {
  readonly guides: readonly Guide[];
  /** Path in the repository -> what is served there. */
  readonly files: ReadonlyMap<string, LibraryFile>;
}

export interface Guide {
  /** `partner-guide`: the file's name, and the page's. */
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly html: string;
}

export type LibraryFile =
  | { readonly kind: 'page'; readonly title: string; readonly html: string }
  | { readonly kind: 'text'; readonly text: string };

export interface Shelf {
  readonly title: string;
  /** Name of the guide -> what a reader finds in it. */
  readonly guides: Readonly<Record<string, string>>;
}

/** Every guide of docs/, by who reads it. */
export const SHELVES: readonly Shelf[] = [
  {
    title: 'For partners, who send',
    guides: {
      'partner-guide': 'authentication, sending, retries, receipts, what a body may not be',
      signing: 'signed intake: what is signed, worked examples, refusals',
    },
  },
  {
    title: 'For customers, who read',
    guides: {
      'customer-guide': 'pages, time paging, the feed, the latest values, what a record says',
      livefeed: 'records as they become readable, over gRPC: the proto, and clients in TypeScript, Python and grpcurl',
    },
  },
  {
    title: 'For both',
    guides: {
      errors: 'every error code and its status, which never change',
      limits: 'what answers say of limits, how to back off, how operators set and announce them',
      'api-keys': 'keys, what restricts them, rotation',
    },
  },
  {
    title: 'For operators, who run it',
    guides: {
      administration: 'organizations, people, what they own, the audit log',
      products: 'writing a product: the mapping document, units, what is checked',
      operating: 'data folder, PostgreSQL of your own, health, metrics, retention, limits of one machine',
      configuration: 'every setting, its default and its reason',
      benchmarks: 'what was measured, and how to repeat it',
    },
  },
];

export const REPOSITORY = join(import.meta.dirname, '../../../..');

const GUIDES = SHELVES.flatMap(({ guides }) => Object.entries(guides));
const GUIDE_OF = new Map(GUIDES.map(([name]) => [`docs/${name}.md`, name]));

export function guideUrl(name: string): string {
  return `/docs/guides/${name}`;
}

/** Folder of the repository -> where its files are served; the first that fits. */
export const FILE_URLS: readonly (readonly [folder: string, url: string])[] = [
  ['packages/contract/proto/', '/docs/proto/'],
  ['examples/', '/docs/examples/'],
  ['', '/docs/files/'],
];
export function fileUrl(path: string): string {
  const [folder, url] = FILE_URLS.find(([start]) => path.startsWith(start))!;
  return url + path.slice(folder.length);
}

export function readLibrary(repository: string): Library {
  const files = new Map<string, LibraryFile>();

  function render(path: string): { title: string; html: string } {
    return renderMarkdown(read(path), {
      resolveLink: (target) => resolveLink(posix.join(posix.dirname(path), target), path),
      findText: (target) => {
        const file = files.get(posix.join(posix.dirname(path), target));
        return file?.kind === 'text' ? file.text : undefined;
      },
    });
  }
  const read = (path: string) => readFileSync(join(repository, path), 'utf8');

  /** Where a file of the repository is served; it is from now on. */
  function resolveLink(path: string, from: string): string {
    const guide = GUIDE_OF.get(path);
    if (guide !== undefined) return guideUrl(guide);
    if (!files.has(path)) addFile(path, from);
    return fileUrl(path);
  }
  function addFile(path: string, from: string): void {
    const file = join(repository, path);
    if (path.startsWith('..') || !existsSync(file) || !statSync(file).isFile())
      throw new Error(`${from} links to ${path}, which is no file of the repository`);
    if (!path.endsWith('.md')) {
      files.set(path, { kind: 'text', text: read(path) });
      return;
    }
    // Known before it is rendered: two documents may link to each other.
    files.set(path, { kind: 'page', title: path, html: '' });
    files.set(path, { kind: 'page', ...render(path) });
  }

  const guides = GUIDES.map(([name, about]) => ({ name, about, ...render(`docs/${name}.md`) }));
  return { guides, files };
}
