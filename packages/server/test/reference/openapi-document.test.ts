import { ERRORS, type ErrorCode } from '@gladhand/contract/errors.ts';
import { EXAMPLES } from '@gladhand/contract/examples.ts';
import { REQUEST_EXAMPLES } from '@gladhand/contract/request-examples.ts';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Type } from 'typebox';
import { expect, test } from 'vitest';
import { finishDocument } from '../../src/app/api-document.ts';
import { createApiContract } from '../api-contract.ts';
import { answerOf, codesOf, document, operations } from './operations.ts';

/** The OpenAPI document as a stranger's tools read it: valid, complete, with names, and true to its own examples. */

const ALL_EXAMPLES = Object.keys({ ...EXAMPLES, ...REQUEST_EXAMPLES });

test('it is valid by the schema of OpenAPI 3.1', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document) as never);
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
  expect(validator.version).toBe('3.1');
  const broken = { ...structuredClone(document), info: { title: 'without a version' } };
  expect((await new Validator().validate(broken as never)).valid).toBe(false);
});

test('every operation has a summary, a declared tag, and says what is needed to call it', () => {
  const tags = document.tags.map(({ name }) => name);
  const schemes = Object.keys(document.components.securitySchemes);
  expect(operations.length).toBeGreaterThan(20);
  for (const { at, operation } of operations) {
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

test('every operation names each refusal with its status, its codes and an example of each', () => {
  const contract = createApiContract(document);
  for (const one of operations) {
    const { at, operation } = one;
    const statuses = Object.keys(operation.responses);
    for (const status of statuses) expect(status, at).toMatch(/^[2345]\d\d$/);
    expect(statuses, at).toEqual(expect.arrayContaining(['400', '405', '408', '431', '500']));
    expect(new Set(codesOf(one).map((code) => String(ERRORS[code as ErrorCode].status))), at).toEqual(
      new Set(statuses.filter((status) => status >= '4')),
    );
    for (const status of statuses) {
      const { headers } = answerOf(one, status);
      const isAfterRequest = status !== '408' && status !== '431';
      expect('X-Request-Id' in headers, `${at} ${status}`).toBe(isAfterRequest);
    }
  }
  for (const [name, { content }] of Object.entries(document.components.responses)) {
    for (const [type, { examples }] of Object.entries<any>(content)) {
      for (const { $ref } of Object.values<any>(examples)) {
        const example = document.components.examples[$ref.split('/').at(-1)].value;
        expect(contract.checkAnswer(name, type, example), `${name} ${$ref}`).toEqual([]);
        expect(contract.checkAnswer(name, type, { ...example, code: 'made-up' }), name).not.toEqual([]);
      }
    }
  }
});

test('schemas with a name stand in it once', () => {
  const text = JSON.stringify(document);
  for (const title of Object.keys(document.components.schemas)) {
    expect(text.split(`"title":"${title}"`).length - 1, title).toBe(1);
  }
  const referred = new Set(
    [...text.matchAll(/"#\/components\/(\w+)\/([\w.-]+)"/g)].map(([, kind, name]) => `${kind}/${name}`),
  );
  for (const name of referred) {
    const [kind, title] = name.split('/') as ['schemas', string];
    expect(Object.keys(document.components[kind]), name).toContain(title);
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

test('every example is what its schema says, and every body that is sent has one', () => {
  const contract = createApiContract(document);
  for (const [title, example] of Object.entries({ ...EXAMPLES, ...REQUEST_EXAMPLES })) {
    expect(contract.checkSchema(title, example), title).toEqual([]);
    expect(document.components.schemas[title].examples, title).toEqual([example]);
  }
  expect(contract.checkSchema('Fleet', { ...EXAMPLES.Fleet, id: 1 })).not.toEqual([]);
  for (const { at, operation } of operations) {
    const title = operation.requestBody?.content['application/json']?.schema.$ref?.split('/').at(-1);
    expect(operation.requestBody === undefined || ALL_EXAMPLES.includes(title!), `${at} has no example`).toBe(true);
  }
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
  expect(contract.check({ ...seen, status: 401 }).join()).toContain('the document has no application/json');
  expect(contract.check({ ...seen, status: 404, json: EXAMPLES.Problem }).join()).toContain('name invalid-vin in the');
  const problem = new Headers({ 'content-type': 'application/problem+json', 'x-request-id': '1' });
  const refused = { ...seen, headers: problem, status: 400, json: EXAMPLES.Problem };
  expect(contract.check(refused).join()).toContain('name it in the refusals of the route');
  expect(contract.check({ ...seen, path: '/nowhere' }).join()).toContain('no such operation');
});
