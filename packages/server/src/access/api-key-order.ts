import { Fault } from '@gladhand/base/fault.ts';
import { readNetwork } from '@gladhand/base/network.ts';
import type { FieldError } from '@gladhand/contract/errors.ts';
import { type Audience, SCOPES } from './principal.ts';

/** What a key may be ordered with, read from what was asked for. Every finding has a pointer into the body. */

const PRODUCT = 'product:';
const WRITE = 'telemetry:write';

export interface ReadScopes {
  readonly scopes: readonly string[];
  readonly audience: Audience;
}

/** Each scope once, in the order they were asked for. `telemetry:write` makes it a partner's key, anything else a customer's. */
export function readScopes(
  asked: readonly string[],
  isProduct: (name: string) => boolean,
  findings: FieldError[],
): ReadScopes {
  const scopes = [...new Set(asked)];
  const writes = scopes.includes(WRITE);
  const products = scopes.filter((scope) => scope.startsWith(PRODUCT));
  const find = (scope: string, code: string, detail: string) =>
    findings.push({ pointer: `/scopes/${asked.indexOf(scope)}`, code, detail });
  for (const scope of scopes) {
    if (scope.startsWith(PRODUCT)) {
      if (!isProduct(scope.slice(PRODUCT.length)))
        find(scope, 'unknown-product', 'names a product that is not installed here');
      else if (!writes) find(scope, 'product-without-write', `goes with ${WRITE} only`);
    } else if (!(SCOPES as readonly string[]).includes(scope)) {
      find(scope, 'unknown-scope', `is not one of ${SCOPES.join(', ')}, product:<name>`);
    } else if (writes && scope !== WRITE) {
      find(scope, 'mixed-scopes', `reads, which a key with ${WRITE} may not; make two keys`);
    }
  }
  if (writes && products.length !== 1) {
    findings.push({
      pointer: '/scopes',
      code: 'one-product',
      detail: `needs exactly one product:<name> beside ${WRITE}`,
    });
  }
  return { scopes, audience: writes ? 'partner' : 'customer' };
}

/** Networks in their one form, each once. Those of every address are taken only when that is said in so many words. */
export function readAllowedIps(
  asked: readonly string[],
  isAnyAllowed: boolean,
  findings: FieldError[],
): readonly string[] {
  const networks = new Set<string>();
  asked.forEach((text, place) => {
    const pointer = `/allowedIps/${place}`;
    const read = readNetwork(text);
    if (!read.ok) findings.push({ pointer, code: 'invalid-network', detail: read.detail });
    else if (read.isEverything && !isAnyAllowed) {
      findings.push({
        pointer,
        code: 'any-address',
        detail: 'is every address; leave allowedIps out, or say `allowAnyAddress: true` if that is meant',
      });
    } else networks.add(read.cidr);
  });
  return [...networks];
}

const LAST_INSTANT_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

export function readExpiry(asked: string | null, nowMs: number, findings: FieldError[]): Date | null {
  if (asked === null) return null;
  const ms = Date.parse(asked.toUpperCase());
  const find = (code: string, detail: string) => findings.push({ pointer: '/expiresAt', code, detail });
  if (Number.isNaN(ms)) find('format', 'is not an instant that exists');
  else if (ms <= nowMs) find('past-expiry', 'is not in the future');
  else if (ms > LAST_INSTANT_MS)
    find('too-late', 'is after the year 9999; leave it out for a key that does not expire');
  return new Date(ms);
}

export function refuseFindings(findings: readonly FieldError[]): void {
  const first = findings[0];
  if (first === undefined) return;
  throw new Fault('validation-failed', `The body is not acceptable: ${first.pointer} ${first.detail}.`, {
    errors: findings.slice(0, 20),
  });
}
