import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { vi } from 'vitest';
import type { ServerProcess } from './server-process.ts';

/** `.gladhand/demo.json` of a server that has said its welcome, once the first trailer's data can be read. */
export async function readDemo(server: ServerProcess): Promise<any> {
  await server.waitFor(/Ctrl-C/);
  const demo = JSON.parse(readFileSync(join(server.directory, '.gladhand', 'demo.json'), 'utf8'));
  const call = async (method: string, path: string, headers: Record<string, string>) =>
    (await (await fetch(`${demo.http}/api/v1${path}`, { method, headers })).json()) as any;
  const { accessToken } = await call('POST', '/customers/authenticate', { 'x-api-key': demo.customer.key });
  const path = `/trailers/telemetry/gps/${demo.customer.trailers[0].vin}`;
  // People need longer than this to type a command; a machine that runs other tests may need it to map the first records.
  await vi.waitUntil(
    async () => (await call('GET', path, { authorization: `Bearer ${accessToken}` })).data.length > 0,
    { timeout: 30_000, interval: 50 },
  );
  return demo;
}

/** What nobody may see: the demo's keys and password, and the beginning of every access token. */
export function secretsOf(demo: any): string[] {
  const keys = demo.partners.map((partner: { key: string }) => partner.key);
  return [demo.operator.password, demo.customer.key, ...keys, 'eyJhbGciOi'];
}
