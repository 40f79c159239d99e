import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** A real OpenID Connect provider on this machine, at which somebody is always signed in. */
export interface LocalProvider {
  readonly issuer: string;
  /** Where it may send browsers back to; from then on it answers. */
  allow(redirectUri: string): Promise<void>;
  /** Who is at the browser, and what the provider says of them. */
  person: { email: string; isVerified: boolean };
}

export const CLIENT = { clientId: 'gladhand', clientSecret: 'the secret of the client' };

interface Provider {
  callback(): (request: IncomingMessage, response: ServerResponse) => void;
  interactionFinished(request: IncomingMessage, response: ServerResponse, result: unknown): Promise<void>;
}

export async function openLocalProvider(): Promise<LocalProvider> {
  let handle: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) =>
    response.writeHead(503).end();
  const server = createServer((request, response) => handle(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const local: LocalProvider = {
    issuer,
    person: { email: 'nobody@example.com', isVerified: true },
    async allow(redirectUri) {
      // By a name the compiler does not follow: the package brings no types.
      const name: string = 'oidc-provider';
      const { default: Provider } = (await import(name)) as {
        default: new (issuer: string, options: unknown) => Provider;
      };
      const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
      const provider = new Provider(issuer, {
        clients: [{ client_id: CLIENT.clientId, client_secret: CLIENT.clientSecret, redirect_uris: [redirectUri] }],
        claims: { openid: ['sub'], email: ['email', 'email_verified'] },
        cookies: { keys: ['a key of the test'] },
        jwks: { keys: [{ ...key, use: 'sig', kid: 'test', alg: 'RS256' }] },
        pkce: { required: () => true },
        features: { devInteractions: { enabled: false } },
        interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
        ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 60, IdToken: 60, Interaction: 60, Session: 60 },
        findAccount: (_context: unknown, id: string) => ({
          accountId: id,
          claims: async () => ({ sub: id, email: local.person.email, email_verified: local.person.isVerified }),
        }),
        async loadExistingGrant({ oidc }: any) {
          const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
          grant.addOIDCScope('openid email');
          await grant.save();
          return grant;
        },
      });
      const callback = provider.callback();
      handle = (request, response) => {
        if (request.url?.startsWith('/interaction/') !== true) return callback(request, response);
        void provider.interactionFinished(request, response, { login: { accountId: 'somebody' } });
      };
    },
  };
  return local;
}

/** A browser that follows redirects and keeps cookies by host; it stops where `until` says. */
export function createBrowser() {
  const jars = new Map<string, Map<string, string>>();
  const jarOf = (url: URL) => jars.get(url.host) ?? jars.set(url.host, new Map()).get(url.host)!;
  return {
    cookie: (base: string, name: string) => jarOf(new URL(base)).get(name),
    async follow(
      start: string,
      until: (url: URL) => boolean = () => false,
    ): Promise<{ url: URL; response: Response | null }> {
      let url = new URL(start);
      for (let hops = 0; hops < 10; hops += 1) {
        if (until(url)) return { url, response: null };
        const jar = jarOf(url);
        const response = await fetch(url, {
          redirect: 'manual',
          headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
        });
        for (const line of response.headers.getSetCookie()) {
          const [pair = ''] = line.split(';');
          const [name = '', value = ''] = pair.split(/=(.*)/s);
          if (value === '' || /max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.delete(name);
          else jar.set(name, value);
        }
        const location = response.headers.get('location');
        if (location === null) return { url, response };
        await response.body?.cancel();
        url = new URL(location, url);
      }
      throw new Error('redirects go round in a circle');
    },
  };
}
