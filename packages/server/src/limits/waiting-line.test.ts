import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createManualClock } from '../../test/manual-clock.ts';
import { createWaitingLine, type Entered, RETRY_MS } from './waiting-line.ts';

/** `slotsMax` slots and a line before them, on a clock that is moved by hand. */
function createPlace(slotsMax: number, wait: { lengthMax?: number; waitMsMax?: number } = {}) {
  const clock = createManualClock();
  const line = createWaitingLine({ clock });
  const place = { free: slotsMax, clock, line, entered: [] as number[], attempts: 0 };
  return {
    ...place,
    line,
    state: place,
    enter(who: number, signal?: AbortSignal): Promise<Entered<number>> {
      return line.enter({
        key: 'k',
        lengthMax: wait.lengthMax ?? 100,
        waitMsMax: wait.waitMsMax ?? 10_000,
        signal,
        async attempt() {
          place.attempts += 1;
          await nextTurn();
          if (place.free === 0) return undefined;
          place.free -= 1;
          place.entered.push(who);
          return who;
        },
        giveBack() {
          place.entered.splice(place.entered.indexOf(who), 1);
          place.free += 1;
          line.nudge('k');
        },
      });
    },
    release() {
      place.free += 1;
      line.nudge('k');
    },
  };
}

/** Lets everything happen that needs no time. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await nextTurn();
}

test('who waits is let in in the order of arrival, one for each slot that comes free', async () => {
  const place = createPlace(1);
  await place.enter(0);
  const waiting = [1, 2, 3].map((who) => place.enter(who));
  await settle();
  expect([place.state.entered, place.line.length('k')]).toEqual([[0], 3]);
  for (const expected of [
    [0, 1],
    [0, 1, 2],
    [0, 1, 2, 3],
  ]) {
    place.release();
    await settle();
    expect(place.state.entered).toEqual(expected);
  }
  expect(await Promise.all(waiting)).toEqual([1, 2, 3].map((value) => ({ outcome: 'entered', value })));
  expect([place.line.length('k'), place.clock.timers]).toEqual([0, 0]);
});

test('nobody overtakes those who wait, even when a slot is free at that moment', async () => {
  const place = createPlace(1);
  await place.enter(0);
  void place.enter(1);
  await settle();
  place.state.free = 1;
  void place.enter(2);
  await settle();
  expect(place.state.entered).toEqual([0]);
  place.clock.advance(RETRY_MS);
  await settle();
  expect(place.state.entered).toEqual([0, 1]);
});

test('a full line refuses at once, and so does a plan without one', async () => {
  const place = createPlace(0, { lengthMax: 2 });
  const waiting = [place.enter(1), place.enter(2)];
  await settle();
  expect(await place.enter(3)).toEqual({ outcome: 'full' });
  place.clock.advance(10_000);
  expect(await Promise.all(waiting)).toEqual([{ outcome: 'waited-out' }, { outcome: 'waited-out' }]);
  expect(await createPlace(0, { lengthMax: 0 }).enter(1)).toEqual({ outcome: 'full' });
  expect(await createPlace(0, { waitMsMax: 0 }).enter(1)).toEqual({ outcome: 'full' });
});

test('who has waited long enough is refused, and the next is first', async () => {
  const place = createPlace(0, { waitMsMax: 200 });
  const first = place.enter(1);
  await settle();
  place.clock.advance(150);
  await settle();
  const second = place.enter(2);
  await settle();
  place.clock.advance(60);
  expect(await first).toEqual({ outcome: 'waited-out' });
  place.release();
  expect(await second).toEqual({ outcome: 'entered', value: 2 });
});

test('who is gone gets nothing, and a slot that was got for it is given to the next', async () => {
  const place = createPlace(0);
  const leaving = new AbortController();
  const left = place.enter(1, leaving.signal);
  const stays = place.enter(2);
  await settle();
  place.state.free = 1;
  place.line.nudge('k');
  leaving.abort(new Error('hung up'));
  await expect(left).rejects.toThrow('hung up');
  expect(await stays).toEqual({ outcome: 'entered', value: 2 });
  await settle();
  expect(place.state.entered).toEqual([2]);
  await expect(place.enter(3, AbortSignal.abort(new Error('gone before')))).rejects.toThrow('gone before');
});

test('an attempt that fails fails its own request only', async () => {
  const { clock, line, ...place } = createPlace(0);
  const failing = line.enter({
    key: 'k',
    lengthMax: 9,
    waitMsMax: 9_000,
    attempt: (() => {
      let tries = 0;
      return async () => {
        tries += 1;
        if (tries > 1) throw new Error('broken');
        return undefined;
      };
    })(),
    giveBack: () => {},
  });
  const next = place.enter(2);
  await settle();
  place.state.free = 1;
  clock.advance(RETRY_MS);
  await expect(failing).rejects.toThrow('broken');
  expect(await next).toEqual({ outcome: 'entered', value: 2 });
});

test('whatever comes, goes and hangs up: never more in than slots, everyone gets an answer, in order of arrival', async () => {
  const happening = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: 'arrive' as const }) },
    { weight: 3, arbitrary: fc.constant({ kind: 'release' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), who: fc.nat({ max: 30 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.nat({ max: 300 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 5 }),
      fc.array(happening, { maxLength: 40 }),
      async (slotsMax, lengthMax, run) => {
        const place = createPlace(slotsMax, { lengthMax, waitMsMax: 500 });
        const controllers: AbortController[] = [];
        const answers: Promise<unknown>[] = [];
        let inside = 0;
        for (const step of run) {
          if (step.kind === 'arrive') {
            const who = controllers.push(new AbortController()) - 1;
            answers.push(place.enter(who, controllers[who]!.signal).catch(() => 'aborted'));
          } else if (step.kind === 'release' && place.state.free < slotsMax) place.release();
          else if (step.kind === 'abort') controllers[step.who]?.abort();
          else if (step.kind === 'pass') place.clock.advance(step.ms);
          await settle();
          inside = slotsMax - place.state.free;
          expect(inside).toBeLessThanOrEqual(slotsMax);
          expect(place.line.length('k')).toBeLessThanOrEqual(lengthMax);
        }
        place.clock.advance(500);
        await Promise.all(answers);
        expect(place.state.entered).toEqual(place.state.entered.toSorted((one, other) => one - other));
        expect([place.line.length('k'), place.clock.timers]).toEqual([0, 0]);
      },
    ),
    { numRuns: 150 },
  );
});
