import { Fault } from '@gladhand/base/fault.ts';
import type { Audience } from './principal.ts';

/** The one answer to every API key that is not good, so that it tells nothing about which keys exist. */
export function deadKey(audience?: Audience): Fault {
  const what = audience === undefined ? 'an API key' : `a ${audience} API key`;
  return new Fault(
    'invalid-api-key',
    `This is not ${what} that is valid here. Check that it was copied whole into X-API-KEY, and that it has not been revoked or expired.`,
  );
}

export function deadToken(): Fault {
  return new Fault(
    'invalid-token',
    'The API key behind this token has been revoked, has expired or was rotated. Authenticate again with a valid key.',
  );
}

export function addressNotAllowed(): Fault {
  return new Fault(
    'address-not-allowed',
    'This key may not be used from your network address. An admin of your organization can change its allowedIps.',
  );
}
