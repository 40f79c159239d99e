import { systemClock } from '@gladhand/base/clock.ts';
import { systemIds } from '@gladhand/base/ids.ts';
import { createLogger } from '@gladhand/base/log.ts';
import type { Config } from '../config.ts';
import { openApp } from './build.ts';
import { openDemo } from './demo.ts';
import { readNotices } from './start-notices.ts';
import { welcome } from './welcome.ts';

/** After this time the process ends in any case. A shutdown finishes open requests, one batch and PostgreSQL's checkpoint. */
const CLOSE_MS_MAX = 8_000;

/**
 * Runs the server until SIGINT or SIGTERM. Logs go to stdout as JSON lines. Messages for people go to stderr, so that they
 * do not mix.
 */
export async function serve(config: Config): Promise<void> {
  const startedAtMs = performance.now();
  const isWatched = process.stderr.isTTY === true;
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const log = createLogger({ level: config.log.level });
  const around = { clock: systemClock, ids: systemIds, log, onProgress: (message: string) => say(`  ${message}`) };

  const app = await openApp(config, around);
  const demo = config.demo.enabled ? await openDemo(app, config, around) : undefined;
  const notices = await readNotices(app, config, around.clock);
  for (const notice of notices) log.warn(notice);
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  log.info(
    {
      http: app.httpPort,
      ...(config.authentication.ownPort && { authentication: app.authenticationPort }),
      grpc: app.grpcPort,
      database: app.backends.database.host.place,
      durability: app.backends.database.durability,
      seconds: Number(seconds),
    },
    'ready',
  );
  say(welcome({ config, app, seconds, demo: demo?.credentials, notices, isColored: isWatched }));

  let isStopping = false;
  const stop = (signal: string) => {
    if (isStopping) process.exit(130);
    isStopping = true;
    say(`\n  ${signal}: finishing accepted requests (send it again to stop at once)`);
    setTimeout(() => {
      log.error({ afterMs: CLOSE_MS_MAX }, 'the shutdown took too long: the process ends now');
      process.exit(1);
    }, CLOSE_MS_MAX).unref();
    close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'the shutdown failed');
        process.exit(1);
      },
    );
  };
  const close = async () => {
    await demo?.close();
    await app.close();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  // One request must never stop the server. An unhandled rejection is a defect, so it is logged as an error.
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception');
    stop('uncaught exception');
  });
}
