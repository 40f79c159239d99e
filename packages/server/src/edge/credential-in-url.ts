import { Fault } from '@gladhand/base/fault.ts';

/**
 * A key or a token in a URL is refused before anything else, on every path: URLs end up in logs, in histories and with
 * whoever is linked to. It is told by the parameter's name, and by its value whatever the name is.
 */
const NAMES = [
  'key',
  'apikey',
  'xapikey',
  'token',
  'accesstoken',
  'bearer',
  'bearertoken',
  'authorization',
  'jwt',
  'session',
  'sessiontoken',
  'gladhandsession',
];
/** What an identity provider sends back to the callback may look like a token, and is meant for one use. */
const OF_PROVIDERS = ['code', 'state'];
/** A key, a session, or a JWT (RFC 7519: its header is a JSON object, which reads `eyJ` in base64url). */
const VALUE = /^(bearer\s+)?(gladhand_[\w]{12,}|eyJ[\w-]+\.[\w-]+\.[\w-]*)/i;

export function refuseCredentialInUrl(target: string): void {
  const start = target.indexOf('?');
  if (start === -1) return;
  for (const [name, value] of new URLSearchParams(target.slice(start))) {
    const isCredential = VALUE.test(value) && !OF_PROVIDERS.includes(name);
    if (!isCredential && !NAMES.includes(name.toLowerCase().replace(/[^a-z]/g, ''))) continue;
    const shown = VALUE.test(name) ? '' : ` \`${name.slice(0, 50)}\``;
    throw new Fault(
      'credential-in-url',
      `Send credentials in headers, never as a query parameter${shown}: URLs end up in logs. Consider this credential exposed and rotate it.`,
    );
  }
}
