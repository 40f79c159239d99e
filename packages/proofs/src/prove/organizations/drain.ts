import { waitFor } from '../../rig/wait.ts';
import type { HttpClient } from './http-client.ts';

/** Waits until what was sent is mapped, so that it is known where it went. */
export function drain(http: HttpClient): Promise<true> {
  return waitFor(
    'the backlog to drain',
    async () => {
      const { body } = await http.send({ method: 'GET', path: '/metrics', headers: {} });
      return /^gladhand_intake_backlog_envelopes 0$/m.test(body) || undefined;
    },
    { everyMs: 50 },
  );
}
