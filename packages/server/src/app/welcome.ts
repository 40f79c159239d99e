import { join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import type { App } from './build.ts';
import type { DemoCredentials } from './demo.ts';

/**
 * The text for the user once the server is ready. Its commands are complete and can be pasted. They contain no secret and
 * pass no secret as a program argument.
 */
export function welcome(parts: {
  config: Config;
  app: App;
  seconds: string;
  demo: DemoCredentials | undefined;
  notices: readonly string[];
  isColored: boolean;
}): string {
  const { config, app, demo } = parts;
  const bold = (text: string) => (parts.isColored ? `\x1b[1m${text}\x1b[22m` : text);
  const { ownPort, host } = config.authentication;
  const separate = ownPort ? (demo?.authentication ?? `http://${host}:${app.authenticationPort}`) : undefined;
  const base = demo?.http ?? `http://${config.http.host}:${app.httpPort}`;
  const grpc = demo?.grpc ?? `${config.grpc.host}:${app.grpcPort}`;
  return [
    '',
    `  ${bold('Gladhand')} is ready after ${parts.seconds} s`,
    ...(separate === undefined ? [] : [`  Authentication ${separate}`]),
    `  REST ${base}   docs ${base}/docs   LiveFeed (gRPC) ${grpc}`,
    ...parts.notices.flatMap((notice) => ['', ...notice.split('\n').map((line) => `  ${line}`)]),
    ...(demo === undefined
      ? []
      : demoLines(join(resolve(config.data.directory), 'demo.json'), demo, separate ?? demo.http, bold)),
    '',
  ].join('\n');
}

function demoLines(
  file: string,
  demo: DemoCredentials,
  authentication: string,
  bold: (text: string) => string,
): string[] {
  const place = Math.max(
    0,
    demo.partners.findIndex(({ product }) => product === 'deliversafe'),
  );
  const vin = demo.partners[place]!.vins[0]!;
  const api = `${demo.http}/api/v1`;
  const report = {
    at: '$(date -u +%Y-%m-%dT%H:%M:%SZ)',
    position: { latitude: 39.7684, longitude: -86.1581, speedKph: 42 },
  };
  const payload = JSON.stringify(JSON.stringify({ unit: { serial: 'DS-0001' }, reports: [report] }));
  const trade = (audience: string, key: string) => [
    `  export GLADHAND_API_KEY=$(node -p "require('${file}').${key}")`,
    `  TOKEN=$(printf 'X-API-KEY: %s' "$GLADHAND_API_KEY" | curl -s -X POST -H @- ${authentication}/api/v1/${audience}/authenticate | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')`,
  ];
  const call = (rest: string) => `  printf 'Authorization: Bearer %s' "$TOKEN" | curl -H @- ${rest}`;
  return [
    '',
    `  A demo fleet is driving. Keys, VINs and ids: ${file}`,
    '',
    `  ${bold('Send as a partner:')}`,
    ...trade('partners', `partners[${place}].key`),
    call(`-H "Content-Type: application/json" -d ${payload} "${api}/telemetry/intake/${vin}"`),
    '',
    `  ${bold('Read it as the customer:')}`,
    ...trade('customers', 'customer.key'),
    call(`"${api}/deliversafe/telemetry/${vin}?take=3&order=desc"`),
    call(`"${api}/fleets"`),
    `  node examples/livefeed.mjs --at ${demo.grpc} --rest ${authentication}   ${bold('(follows the feed live)')}`,
    '',
    `  ${bold('Stop:')} Ctrl-C`,
  ];
}
