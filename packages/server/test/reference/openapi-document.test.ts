import { EXAMPLES } from '@gladhand/contract/examples.ts';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Type } from 'typebox';
import { expect, test } from 'vitest';
import { finishDocument } from '../../src/app/api-document.ts';
import { openApiDocument } from '../../src/app/openapi.ts';
import { type ApiDocument, createApiContract } from '../api-contract.ts';

/** The OpenAPI document as a stranger's tools read it: valid, complete, with names, and true to its own examples. */
const document = (await openApiDocument()) as ApiDocument;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ at: `${method} ${path}`, path, operation })),
);

test('it is valid by the schema of OpenAPI 3.1', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document) as never);
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
  expect(validator.version).toBe('3.1');
  const broken = { ...structuredClone(document), info: { title: 'without a version' } };
  expect((await new Validator().validate(broken as never)).valid).toBe(false);
});

test('every operation has a name of its own, a summary, a declared tag, and says what is needed to call it', () => {
  const tags = document.tags.map(({ name }) => name);
  const schemes = Object.keys(document.components.securitySchemes);
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(operations.length).toBeGreaterThan(20);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { at, operation } of operations) {
    expect(operation.operationId, at).toMatch(/^[a-z][A-Za-z0-9]+$/);
    expect(operation.summary?.length ?? 0, at).toBeGreaterThan(5);
    expect(operation.tags, at).toHaveLength(1);
    expect(tags, at).toContain(operation.tags[0]);
    expect(operation.security, at).toBeInstanceOf(Array);
    for (const requirement of operation.security) {
      for (const scheme of Object.keys(requirement)) expect(schemes, at).toContain(scheme);
    }
    for (const parameter of operation.parameters ?? [])
      expect(parameter.description ?? '', `${at} ${parameter.name}`).not.toBe('');
  }
});

test('every operation names the answers to what goes wrong, and each answer has its request id', () => {
  for (const { at, operation } of operations) {
    for (const [status, component] of [
      ['4XX', 'Refused'],
      ['5XX', 'Failed'],
    ] as const) {
      const { $ref } = operation.responses[status] ?? {};
      expect($ref, `${at} ${status}`).toMatch(new RegExp(`^#/components/responses/${component}(InEnvelope)?$`));
    }
    const good = Object.entries(operation.responses).filter(([status]) => /^[23]/.test(status));
    expect(good, at).not.toEqual([]);
    for (const [status, answer] of good) expect(answer.headers, `${at} ${status}`).toHaveProperty('X-Request-Id');
  }
});

test('schemas with a name stand in it once', () => {
  const text = JSON.stringify(document);
  for (const title of Object.keys(document.components.schemas)) {
    expect(text.split(`"title":"${title}"`).length - 1, title).toBe(1);
  }
  const referred = new Set(
    [...text.matchAll(/"#\/components\/(\w+)\/(\w+)"/g)].map(([, kind, name]) => `${kind}/${name}`),
  );
  for (const name of referred) {
    const [kind, title] = name.split('/') as ['schemas', string];
    expect(document.components[kind], name).toHaveProperty(title);
  }
});

test('two different schemas cannot share a name', () => {
  const answer = (schema: object) => ({ get: { responses: { 200: { content: { 'application/json': { schema } } } } } });
  const paths = {
    '/one': answer(Type.Object({ a: Type.String() }, { title: 'Same' })),
    '/other': answer(Type.Object({ b: Type.String() }, { title: 'Same' })),
  };
  expect(() => finishDocument({ paths, components: {} })).toThrow('two different schemas have the title Same');
});

test('every example is what its schema says, and the main bodies have one', () => {
  const contract = createApiContract(document);
  for (const [title, example] of Object.entries(EXAMPLES)) {
    expect(contract.checkSchema(title, example), title).toEqual([]);
    expect(document.components.schemas[title].examples, title).toEqual([example]);
  }
  expect(contract.checkSchema('Fleet', { ...EXAMPLES.Fleet, id: 1 })).not.toEqual([]);
});

test('an answer that the document does not have is noticed, whatever is wrong with it', () => {
  const contract = createApiContract(document);
  const headers = new Headers({ 'content-type': 'application/json; charset=utf-8', 'x-request-id': '1' });
  const page = { data: [EXAMPLES.Fleet], next: null };
  const seen = { method: 'GET', path: '/api/v1/fleets?take=1', status: 200, headers, text: 'x', json: page };
  expect(contract.check(seen)).toEqual([]);
  expect(contract.seen).toEqual(new Set(['get /api/v1/fleets']));
  expect(contract.check({ ...seen, json: { ...page, data: [{ ...EXAMPLES.Fleet, secret: 1 }] } }).join()).toContain(
    '/data/0 must NOT have additional properties',
  );
  expect(contract.check({ ...seen, status: 201 }).join()).toContain('no such status');
  expect(contract.check({ ...seen, headers: new Headers({ 'content-type': 'text/html' }) })).toHaveLength(2);
  expect(contract.check({ ...seen, status: 404 }).join()).toContain('the document has no application/json');
  expect(contract.check({ ...seen, path: '/nowhere' }).join()).toContain('no such operation');
});
