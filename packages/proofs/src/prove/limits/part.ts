import type { Goal } from '../../rig/report.ts';

/** The result of one part of the proof. */
export interface Part {
  readonly title: string;
  /** Tables and sentences for people. */
  readonly text: string;
  readonly figures: Readonly<Record<string, unknown>>;
  readonly goals: readonly Goal[];
}

export function none(name: string, figure: number): Goal {
  return { name, figure, goal: '0', isMet: figure === 0 };
}
