import { globSync, readFileSync } from 'node:fs';
import { dirname, join, posix, resolve } from 'node:path';
import { parseAst } from 'vitest/node';

/** The source as the architecture tests see it: files, what they import, and the few things in them that are rationed. */
export interface SourceFile {
  /** From `packages/`, with forward slashes: `server/src/intake/accept.ts`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  readonly uses: readonly Use[];
  readonly writes: readonly Write[];
  /** File names in strings that are no imports: programs that are started, modules that are loaded by path. */
  readonly mentions: readonly string[];
  /** Tests and what only tests need: they may look into everything. */
  readonly isTest: boolean;
}

export interface Import {
  /** `path` of the imported file, or a package name. */
  readonly to: string;
  readonly isPackage: boolean;
  readonly isTypeOnly: boolean;
  readonly line: number;
  readonly names: readonly string[];
}

export interface Use {
  /** `Date.now`, `new Date()`, `setTimeout()`, ``sql`` ``, `.selectFrom()`, `export default`, `export *`. */
  readonly name: string;
  readonly line: number;
}

/** A statement that writes a table, by the query builder or in SQL. */
export interface Write {
  readonly table: string;
  readonly line: number;
}

export const ROOT = resolve(import.meta.dirname, '../../../..');
const PACKAGES = join(ROOT, 'packages');

export function readSources(): SourceFile[] {
  const paths = globSync('*/{src,test,bench}/**/*.ts', { cwd: PACKAGES }).map((path) => path.replaceAll('\\', '/'));
  return paths
    .filter((path) => !path.includes('/gen/'))
    .sort()
    .map(readSource);
}

function readSource(path: string): SourceFile {
  const text = readFileSync(join(PACKAGES, path), 'utf8');
  const isTest = !path.includes('/src/') || /(\.test|\/conformance)\.ts$/.test(path);
  const lineOf = (offset: number) => text.slice(0, offset).split('\n').length;
  const imports: Import[] = [];
  const uses: Use[] = [];
  const writes: Write[] = [];
  const mentions: string[] = [];
  walk(parseAst(text, { lang: 'ts', astType: 'ts' }) as unknown as Node, (node) => {
    const found = importOf(node);
    if (found !== undefined) imports.push({ ...found, ...target(path, found.specifier), line: lineOf(node.start) });
    if (node.type === 'Literal' && String(node.value).endsWith('.ts')) mentions.push(posix.basename(node.value));
    const name = useOf(node);
    if (name !== undefined) uses.push({ name, line: lineOf(node.start) });
    for (const { table, start } of writesOf(node)) writes.push({ table, line: lineOf(start) });
  });
  return { path, text, imports, uses, writes, mentions, isTest };
}

function target(from: string, specifier: string): { to: string; isPackage: boolean } {
  if (specifier.startsWith('.')) return { to: posix.join(dirname(from), specifier), isPackage: false };
  const own = /^@gladhand\/([a-z-]+)\/(.+)$/.exec(specifier);
  if (own !== null) return { to: `${own[1]}/src/${own[2]}`, isPackage: false };
  return { to: specifier, isPackage: true };
}

/** As much of ESTree as is looked at here. */
interface Node {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: any;
}

function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const [field, child] of Object.entries(node)) {
    if (field === 'source') continue;
    for (const one of Array.isArray(child) ? child : [child]) {
      if (typeof one === 'object' && one !== null && typeof one.type === 'string') walk(one, visit);
    }
  }
}

interface FoundImport {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
  readonly names: readonly string[];
}

function importOf(node: Node): FoundImport | undefined {
  if (
    node.type === 'ImportDeclaration' ||
    node.type === 'ExportNamedDeclaration' ||
    node.type === 'ExportAllDeclaration'
  ) {
    if (!node.source) return undefined;
    const specifiers: Node[] = node['specifiers'] ?? [];
    const areTypes =
      specifiers.length > 0 && specifiers.every((one) => (one['importKind'] ?? one['exportKind']) === 'type');
    return {
      specifier: node.source.value,
      isTypeOnly: (node['importKind'] ?? node['exportKind']) === 'type' || areTypes,
      names: specifiers.map((one) => one['imported']?.name ?? one['local']?.name),
    };
  }
  if (node.type === 'ImportExpression' && typeof node.source.value === 'string') {
    return { specifier: node.source.value, isTypeOnly: false, names: [] };
  }
  return undefined;
}

const SINGLE_USES: Readonly<Record<string, string>> = {
  ExportDefaultDeclaration: 'export default',
  ExportAllDeclaration: 'export *',
};

function useOf(node: Node): string | undefined {
  switch (node.type) {
    case 'NewExpression':
      return node.callee.name === 'Date' && node.arguments.length === 0 ? 'new Date()' : undefined;
    case 'TaggedTemplateExpression':
      return node.tag.name === 'sql' || node.tag.object?.name === 'sql' ? 'sql``' : undefined;
    case 'CallExpression':
      if (node.callee.type === 'Identifier') return `${node.callee.name}()`;
      if (node.callee.object?.name === 'sql') return 'sql``';
      return node.callee.property?.name === undefined ? undefined : `.${node.callee.property.name}()`;
    case 'MemberExpression':
      return node.object.type === 'Identifier' && !node.computed
        ? `${node.object.name}.${node.property.name}`
        : undefined;
    default:
      return SINGLE_USES[node.type];
  }
}

const WRITING_CALLS = /^(insertInto|updateTable|deleteFrom|mergeInto)$/;
/** `update x set` but not `do update set`, and not `for update of x`. */
const WRITING_SQL =
  /\b(?:(?:insert\s+into|delete\s+from|merge\s+into)\s+(?:only\s+)?([a-z_]+)|update\s+(?:only\s+)?([a-z_]+)(?:\s+(?:as\s+)?[a-z_]+)?\s+set\b)/gi;

function writesOf(node: Node): { table: string; start: number }[] {
  if (node.type === 'CallExpression' && WRITING_CALLS.test(node.callee.property?.name ?? '')) {
    const [table] = node.arguments as [Node?];
    // A name that is not written here cannot be told; whoever hands it in is asked to write it out.
    const name = table?.type === 'Literal' ? String(table.value).split(' ')[0]! : '?';
    return [{ table: name, start: node.callee.property.start }];
  }
  if (node.type !== 'TaggedTemplateExpression' || useOf(node) !== 'sql``') return [];
  const quasis = node.quasi.quasis as Node[];
  return quasis.flatMap((quasi) => {
    const found = [...String(quasi.value.raw).matchAll(WRITING_SQL)];
    return found.map((match) => ({ table: (match[1] ?? match[2])!, start: quasi.start + match.index }));
  });
}
