import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { App } from './build.ts';
import type { DemoCredentials } from './demo.ts';

/** What a person sees once the server is ready; the lines are complete and can be pasted as they are. */
export function welcome(parts: {
  config: Config;
  app: App;
  seconds: string;
  demo: DemoCredentials | undefined;
  isColored: boolean;
}): string {
  const { config, app, demo } = parts;
  const bold = (text: string) => (parts.isColored ? `\x1b[1m${text}\x1b[22m` : text);
  const { ownPort, host } = config.authentication;
  const separate = ownPort ? (demo?.authentication ?? `http://${host}:${app.authenticationPort}`) : undefined;
  const base = demo?.http ?? `http://${config.http.host}:${app.httpPort}`;
  const lines = [
    '',
    `  ${bold('Gladhand')} is ready after ${parts.seconds} s`,
    ...(separate === undefined ? [] : [`  Authentication ${separate}`]),
    `  REST ${base}   docs ${base}/docs   LiveFeed (gRPC) ${demo?.grpc ?? `${config.grpc.host}:${app.grpcPort}`}`,
  ];
  if (demo === undefined) return [...lines, ''].join('\n');
  const partner = demo.partners.find(({ product }) => product === 'deliversafe') ?? demo.partners[0]!;
  const trailer = demo.customer.trailers[0]!;
  const vin = partner.vins[0]!;
  const report = {
    at: '$(date -u +%Y-%m-%dT%H:%M:%SZ)',
    position: { latitude: 39.7684, longitude: -86.1581, speedKph: 42 },
  };
  const payload = { unit: { serial: 'DS-0001' }, reports: [report] };
  const quoted = JSON.stringify(JSON.stringify(payload));
  const token = (audience: string, key: string) =>
    `TOKEN=$(curl -s -X POST -H "X-API-KEY: ${key}" ${separate ?? base}/api/v1/${audience}/authenticate | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')`;
  return [
    ...lines,
    '',
    `  A demo fleet is driving. Keys, VINs and ids: ${join(config.data.directory, 'demo.json')}`,
    '',
    `  ${bold('Read as the customer:')}`,
    `  ${token('customers', demo.customer.key)}`,
    `  curl -H "Authorization: Bearer $TOKEN" "${base}/api/v1/fleets"`,
    `  curl -H "Authorization: Bearer $TOKEN" "${base}/api/v1/trailers/telemetry/gps/${trailer.vin}?take=3&order=desc"`,
    `  node_modules/.bin/node examples/livefeed.ts $TOKEN --at ${demo.grpc}   ${bold('(follows it live)')}`,
    '',
    `  ${bold('Send as a partner:')}`,
    `  ${token('partners', partner.key)}`,
    `  curl -X POST -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d ${quoted} "${base}/api/v1/telemetry/intake/${vin}"`,
    '',
    `  ${bold('Stop:')} Ctrl-C`,
    '',
  ].join('\n');
}
