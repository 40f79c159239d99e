import { createNetworks } from '@gladhand/base/network.ts';
import type { FieldError } from '@gladhand/contract/errors.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readAllowedIps, readExpiry, readScopes } from './api-key-order.ts';
import { SCOPES } from './principal.ts';

const INSTALLED = ['traccar', 'flespi'];
const isProduct = (name: string) => INSTALLED.includes(name);
const asked = fc.array(
  fc.oneof(
    fc.constantFrom(...SCOPES, 'product:traccar', 'product:flespi', 'product:other', 'admin', 'constructor'),
    fc.string(),
  ),
  { minLength: 1, maxLength: 6 },
);

test('whatever scopes are asked for: taken are only known ones, never reading beside writing, one installed product with writing and none without', () => {
  fc.assert(
    fc.property(asked, (scopes) => {
      const findings: FieldError[] = [];
      const read = readScopes(scopes, isProduct, findings);
      const writes = scopes.includes('telemetry:write');
      const products = new Set(scopes.filter((scope) => scope.startsWith('product:')));
      const isRight =
        [...products].every((scope) => isProduct(scope.slice(8))) &&
        scopes.every((scope) => products.has(scope) || (SCOPES as readonly string[]).includes(scope)) &&
        (writes
          ? products.size === 1 && scopes.every((scope) => scope === 'telemetry:write' || products.has(scope))
          : products.size === 0);
      expect(findings.length === 0).toBe(isRight);
      // Never more than was asked for.
      expect(new Set(read.scopes)).toEqual(new Set(scopes));
      expect(read.audience).toBe(writes ? 'partner' : 'customer');
      for (const { pointer } of findings) expect(pointer).toMatch(/^\/scopes(\/\d+)?$/);
    }),
    { numRuns: 5_000 },
  );
});

const octet = fc.nat(255);
const network = fc
  .tuple(octet, octet, octet, octet, fc.nat(40))
  .map(([one, two, three, four, prefix]) => `${one}.${two}.${three}.${four}/${prefix}`);

test('no list of networks lets in an address that none of its entries names, and every refused entry is pointed at', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(network, fc.constantFrom('0.0.0.0/0', '::/0', '10.0.0.0/8', 'x')), { maxLength: 5 }),
      fc.boolean(),
      octet,
      octet,
      (list, isAnyAllowed, one, two) => {
        const findings: FieldError[] = [];
        const taken = readAllowedIps(list, isAnyAllowed, findings);
        expect(taken.length + findings.length).toBeLessThanOrEqual(list.length);
        expect(
          new Set(list.filter((_, place) => !findings.some(({ pointer }) => pointer === `/allowedIps/${place}`))),
        ).toEqual(new Set(taken));
        if (!isAnyAllowed) expect(taken.some((cidr) => cidr.endsWith('/0'))).toBe(false);
        const address = `${one}.${two}.3.4`;
        const named = taken.some((cidr) => createNetworks([cidr]).has(address));
        expect(createNetworks(taken).has(address)).toBe(named);
      },
    ),
  );
});

test('an expiry is in the future or refused', () => {
  const nowMs = Date.UTC(2026, 10, 20);
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date(Date.UTC(9999, 0)), noInvalidDate: true }), (at) => {
      const findings: FieldError[] = [];
      const read = readExpiry(at.toISOString(), nowMs, findings);
      expect(findings.length === 0).toBe(at.getTime() > nowMs);
      expect(read?.getTime()).toBe(at.getTime());
    }),
  );
  for (const text of ['2026-11-20T00:00:00Z', '2026-11-20T00:59:59+01:00']) {
    const findings: FieldError[] = [];
    readExpiry(text, nowMs, findings);
    expect(findings.map(({ code }) => code)).toEqual(['past-expiry']);
  }
});
