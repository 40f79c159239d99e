import { describe, expect, onTestFinished, test } from 'vitest';
import type { Doorbell, Topic } from './doorbell.ts';

/** What the server relies on of any doorbell. `openPair` gives two nodes that hear each other; one may be both. */
export function describeDoorbell(
  name: string,
  openPair: () => Promise<{ here: Doorbell; there: Doorbell; close(): Promise<void> }>,
): void {
  describe(name, () => {
    const open = async () => {
      const pair = await openPair();
      onTestFinished(() => pair.close());
      return pair;
    };
    const heard = (bell: Doorbell, topic: Topic) => new Promise<void>((resolve) => bell.on(topic, resolve));

    test('a ring is heard here and on every other node', async () => {
      const { here, there } = await open();
      const both = Promise.all([heard(here, 'intake'), heard(there, 'intake')]);
      here.ring('intake');
      await both;
    });

    test('a ring is heard by every listener of its topic and by nobody else', async () => {
      const { here, there } = await open();
      let others = 0;
      there.on('keys', () => (others += 1));
      const listeners = Promise.all([heard(there, 'telemetry'), heard(there, 'telemetry')]);
      here.ring('telemetry');
      await listeners;
      expect(others).toBe(0);
    });

    test('rings of one moment are heard at least once, and once is enough', async () => {
      const { here, there } = await open();
      let count = 0;
      const last = heard(there, 'keys');
      there.on('intake', () => (count += 1));
      for (let ring = 0; ring < 100; ring++) here.ring('intake');
      here.ring('keys');
      await last;
      expect(count).toBeGreaterThanOrEqual(1);
      expect(count).toBeLessThanOrEqual(100);
    });

    test('who has stopped listening hears nothing more', async () => {
      const { here, there } = await open();
      let count = 0;
      const stop = there.on('intake', () => (count += 1));
      stop();
      const other = heard(there, 'intake');
      here.ring('intake');
      await other;
      expect(count).toBe(0);
    });

    test('ringing a closed doorbell is allowed and does nothing', async () => {
      const { here } = await open();
      await here.close();
      here.ring('intake');
    });
  });
}
