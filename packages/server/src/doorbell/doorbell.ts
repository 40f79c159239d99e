/**
 * The doorbell port: "something changed at topic X". Lossy by contract and carrying no data: the store is the
 * mailbox, and whoever listens also looks by itself now and then. Promise: a ring that is not lost reaches every
 * listener of its topic, several rings may arrive as one, and listeners run one at a time per topic. Fails silently:
 * `ring` never throws.
 */
export const TOPICS = ['intake', 'telemetry', 'keys'] as const;
export type Topic = (typeof TOPICS)[number];

export interface Doorbell {
  ring(topic: Topic): void;
  /** Calls `listen` after rings of `topic`; the answer stops it. */
  on(topic: Topic, listen: () => void): () => void;
  close(): Promise<void>;
}
