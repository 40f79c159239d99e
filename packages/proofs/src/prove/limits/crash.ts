import { LEASE_TTL_MS } from '@gladhand/server/limits/limits.ts';
import { atMost, say } from '../../rig/report.ts';
import type { Scratch } from '../../rig/scratch.ts';
import { round } from '../../rig/table.ts';
import { delay } from '../../rig/wait.ts';
import type { Cluster } from './cluster.ts';
import { editPlan } from './limit-settings.ts';
import { none, type Part } from './part.ts';
import { createStreams } from './streams.ts';

/** Kills a node that holds all stream slots of a customer. The slots must be free again within the lease TTL. */
const SLOTS = 100;
const TRY_EVERY_MS = 50;
/** Extra time for opening that many streams on a machine that also runs everything else. */
const OPENING_MS_MAX = 3_000;
const GIVE_UP_MS = 3 * LEASE_TTL_MS;

/** Runs this part of the proof. It kills the last node of the cluster. */
export async function proveCrash(scratch: Scratch, cluster: Cluster): Promise<Part> {
  await editPlan(cluster, 'streams', { streamsMax: SLOTS });
  const token = await cluster.tokenOf({ customer: 'streams' });
  const [victim, survivor] = [cluster.nodes.at(-1)!, cluster.nodes[0]!];
  const held = createStreams(victim.site.grpcPort, token);
  const others = createStreams(survivor.site.grpcPort, token);
  scratch.defer(() => {
    held.close();
    others.close();
  });
  say(`crash: ${SLOTS} streams at one node`);
  const begun = await Promise.all(Array.from({ length: SLOTS }, () => held.open()));
  const notGiven = begun.filter((outcome) => outcome !== 'open');
  if (notGiven.length > 0) throw new Error(`${notGiven.length} of ${SLOTS} streams did not begin: ${notGiven[0]}`);
  const refusedBefore = [await held.open(), await others.open()];

  say('crash: SIGKILL');
  victim.server.kill();
  const killedMs = performance.now();
  let [firstMs, refusedMeanwhile] = [Number.POSITIVE_INFINITY, 0];
  const outcomes = new Set<string>();
  while (others.count < SLOTS && performance.now() - killedMs < GIVE_UP_MS) {
    const tries = Number.isFinite(firstMs) ? SLOTS - others.count : 1;
    for (const outcome of await Promise.all(Array.from({ length: tries }, () => others.open()))) {
      outcomes.add(outcome);
      if (outcome === 'open') firstMs = Math.min(firstMs, performance.now() - killedMs);
      else refusedMeanwhile += 1;
    }
    await delay(TRY_EVERY_MS);
  }
  const allMs = performance.now() - killedMs;
  // All slots are taken, so two more streams must be refused.
  const beyond = [await others.open(), await others.open()];
  const open = others.count;
  held.close();
  others.close();
  const wrongRefusals = [...refusedBefore, ...outcomes, ...beyond].filter(
    (outcome) => outcome !== 'open' && outcome !== 'RESOURCE_EXHAUSTED',
  );
  return {
    title: 'crash',
    text: `A node with ${SLOTS} open streams, the limit of its customer, was killed. Another node refused ${refusedMeanwhile} attempts with RESOURCE_EXHAUSTED, opened the first stream ${round(firstMs)} ms after the kill and had ${open} streams open after ${round(allMs)} ms.`,
    figures: { slots: SLOTS, firstMs: round(firstMs), allMs: round(allMs), refusedMeanwhile, openAfterwards: open },
    goals: [
      none(
        'crash: streams beyond the limit before the kill',
        refusedBefore.filter((outcome) => outcome === 'open').length,
      ),
      {
        name: 'crash: refused before the leases ran out',
        figure: refusedMeanwhile,
        goal: '> 0',
        isMet: refusedMeanwhile > 0,
      },
      atMost('crash: ms until all were open again', round(allMs), LEASE_TTL_MS + OPENING_MS_MAX),
      { name: 'crash: streams open afterwards', figure: open, goal: `${SLOTS}`, isMet: open === SLOTS },
      none('crash: refusals that were not RESOURCE_EXHAUSTED', wrongRefusals.length),
    ],
  };
}
