import { createTraccarWriter, flespiPayload } from '../../rig/partner-request.ts';

/** An intake request as bytes. */
export function intakeRequest(product: 'traccar' | 'flespi', token: string, vin: string, sequence = 1): Buffer {
  const atMs = Date.now() - 60 * 60 * 1000;
  if (product === 'traccar')
    return Buffer.from(createTraccarWriter({ token, startedAtMs: atMs }).write(vin, sequence, atMs));
  return postRequest(
    `/api/v1/telemetry/intake/${vin}`,
    { authorization: `Bearer ${token}` },
    JSON.stringify(flespiPayload(vin, sequence, 1, atMs)),
  );
}

/** An authentication request as bytes. `client` gives it its own address, because failures are counted by address. */
export function authenticateRequest(key: string, client: number): Buffer {
  const headers = { 'x-api-key': key, 'x-forwarded-for': `198.51.100.${client % 256}` };
  return postRequest('/api/v1/customers/authenticate', headers, '');
}

export function postRequest(path: string, headers: Readonly<Record<string, string>>, body: string | Buffer): Buffer {
  const content = Buffer.from(body);
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    ...(content.length > 0 ? ['Content-Type: application/json'] : []),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${content.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), content]);
}
