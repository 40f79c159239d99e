import { Fault } from '@gladhand/base/fault.ts';
import { ACTION_PATTERN } from '@gladhand/contract/audit.ts';
import { LINE_PATTERN } from '@gladhand/contract/display-name.ts';
import type { FieldError } from '@gladhand/contract/errors.ts';
import { DAY_PATTERN } from '@gladhand/contract/limits.ts';
import { SLUG_PATTERN } from '@gladhand/contract/organizations.ts';
import { WORD_PATTERN } from '@gladhand/contract/registration.ts';
import type { ErrorObject } from 'ajv/dist/2020.js';
import { INSTANT_PATTERN } from './paging.ts';

/**
 * What a schema found, as answers say it: one entry per finding, with a pointer into the body, or into `/query`,
 * `/path` or `/headers`. Each detail reads on from its pointer and says what to send instead.
 */
export type ValidationFinding = Pick<
  ErrorObject,
  'keyword' | 'instancePath' | 'schemaPath' | 'params' | 'message' | 'parentSchema'
>;

const FINDINGS_MAX = 20;

const PARTS = {
  body: { name: 'body', root: '' },
  querystring: { name: 'query', root: '/query' },
  params: { name: 'path', root: '/path' },
  headers: { name: 'headers', root: '/headers' },
} as const;
export type ValidatedPart = keyof typeof PARTS;

export function validationFault(findings: readonly ValidationFinding[], part: ValidatedPart): Fault {
  const { name, root } = PARTS[part];
  const errors = fieldErrors(findings, root).slice(0, FINDINGS_MAX);
  const first = errors[0];
  const place = first && (first.pointer === '' ? 'it' : first.pointer);
  const why = first === undefined ? '' : `: ${place} ${first.detail}`;
  return new Fault('validation-failed', `The ${name} does not match its schema${why}.`, { errors });
}

function fieldErrors(findings: readonly ValidationFinding[], root: string): FieldError[] {
  const unions = findings.filter(({ keyword }) => keyword === 'anyOf');
  const errors = findings.flatMap((finding): FieldError[] => {
    // The branches of a union say it better, but for the one that is null.
    const union = unions.find(({ schemaPath }) => finding.schemaPath.startsWith(`${schemaPath}/`));
    const isNullBranch = union !== undefined && finding.keyword === 'type' && finding.params['type'] === 'null';
    if (isNullBranch || unions.includes(finding)) return [];
    const pointer = pointerOf(finding, root);
    const orNull = union && hasNull(union) && pointer === pointerOf(union, root) ? ', or null' : '';
    return [{ pointer, code: finding.keyword, detail: describe(finding) + orNull }];
  });
  // Of another type, it is nothing else that is asked for either.
  const mistyped = new Set(errors.filter(({ code }) => code === 'type').map(({ pointer }) => pointer));
  return errors.filter(({ code, pointer }) => code === 'type' || !mistyped.has(pointer));
}

function hasNull({ parentSchema }: ValidationFinding): boolean {
  const branches = (parentSchema?.['anyOf'] ?? []) as { type?: string }[];
  return branches.some(({ type }) => type === 'null');
}

function pointerOf({ instancePath, params }: ValidationFinding, root: string): string {
  const child: unknown = params['missingProperty'] ?? params['additionalProperty'];
  if (child === undefined) return root + instancePath;
  return `${root}${instancePath}/${String(child).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a JSON object',
  null: 'null',
};

const FORMATS: Readonly<Record<string, string>> = {
  'date-time': 'an instant with a zone (RFC 3339), such as 2026-11-20T14:02:58Z',
  uuid: 'a UUID, such as 019aae2f-6a2c-7c1e-9d3a-5f1b2c3d4e5f',
  email: 'an email address, such as dispatch@example.com',
};

const PATTERNS: Readonly<Record<string, string>> = {
  [LINE_PATTERN]: 'one line of text, not only spaces, without control characters',
  [SLUG_PATTERN]: 'a name of a-z, 0-9 and -, 63 characters at most, that begins and ends with a letter or a digit',
  [WORD_PATTERN]: 'a name of a-z, 0-9 and -, 64 characters at most, that begins and ends with a letter or a digit',
  [ACTION_PATTERN]: 'the name of an action, such as user.created',
  [DAY_PATTERN]: 'a day, such as 2026-11-20',
  [INSTANT_PATTERN]: `${FORMATS['date-time']} (in a URL a \`+\` is written %2B)`,
};

/** Each keyword that a schema of ours uses. */
const DETAILS: Readonly<Record<string, (params: Record<string, unknown>) => string>> = {
  required: () => 'is missing; send it',
  additionalProperties: () => 'is not known here; check its spelling, or leave it out',
  type: ({ type }) =>
    `must be ${[type]
      .flat()
      .map((name) => TYPES[String(name)])
      .join(' or ')}`,
  enum: ({ allowedValues }) =>
    `must be one of ${(allowedValues as unknown[]).map((one) => JSON.stringify(one)).join(', ')}`,
  const: ({ allowedValue }) => `must be ${JSON.stringify(allowedValue)}`,
  minLength: ({ limit }) => `must have ${count(limit, 'character')} or more`,
  maxLength: ({ limit }) => `must have ${count(limit, 'character')} or less`,
  minItems: ({ limit }) => `must have ${count(limit, 'entry', 'entries')} or more`,
  maxItems: ({ limit }) => `must have ${count(limit, 'entry', 'entries')} or less`,
  minProperties: ({ limit }) => `must have ${count(limit, 'property', 'properties')} or more`,
  minimum: ({ limit }) => `must be ${limit} or more`,
  maximum: ({ limit }) => `must be ${limit} or less`,
  pattern: ({ pattern }) => `must be ${PATTERNS[String(pattern)] ?? `as the pattern ${pattern} says`}`,
  format: ({ format }) => `must be ${FORMATS[String(format)] ?? `of the format ${format}`}`,
};

function describe({ keyword, params, message }: ValidationFinding): string {
  return DETAILS[keyword]?.(params) ?? `${message ?? `does not meet \`${keyword}\``}; see its schema at /docs`;
}

function count(limit: unknown, one: string, many = `${one}s`): string {
  return `${limit} ${limit === 1 ? one : many}`;
}
