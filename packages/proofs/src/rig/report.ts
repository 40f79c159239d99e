import { type Scratch, withScratch } from './scratch.ts';
import { formatTable } from './table.ts';

/** The result of a benchmark or proof. Its figures are the last line of the output. It fails if a goal is missed. */
export interface Report {
  readonly name: string;
  /** Tables and sentences for people. */
  readonly text: string;
  readonly figures: Readonly<Record<string, unknown>>;
  readonly goals: readonly Goal[];
}

export interface Goal {
  readonly name: string;
  readonly figure: number;
  readonly isMet: boolean;
  /** The goal as text: `>= 0.7`. */
  readonly goal: string;
}

export function atLeast(name: string, figure: number, least: number): Goal {
  return { name, figure, goal: `>= ${least}`, isMet: figure >= least };
}

export function atMost(name: string, figure: number, most: number): Goal {
  return { name, figure, goal: `<= ${most}`, isMet: figure <= most };
}

/** Runs a benchmark or proof, prints its report and sets the exit code. With `json`, stdout is the line of figures only. */
export async function present(run: (scratch: Scratch) => Promise<Report>, options: { json?: boolean }): Promise<void> {
  const report = await withScratch(run);
  const missed = report.goals.filter((goal) => !goal.isMet);
  process.exitCode = missed.length > 0 ? 1 : 0;
  if (options.json) {
    console.log(
      JSON.stringify({ name: report.name, isMet: missed.length === 0, goals: report.goals, ...report.figures }),
    );
    return;
  }
  const goals = report.goals.map(({ name, figure, goal, isMet }) => [name, figure, goal, isMet ? 'met' : 'MISSED']);
  const figures = Object.entries(report.figures).filter(([, value]) => typeof value !== 'object');
  console.log(`\n${report.text}\n\n${formatTable([['goal', 'figure', 'wanted', ''], ...goals])}\n`);
  console.log(
    `${report.name}: ${missed.length === 0 ? 'goals met' : 'FALLS SHORT'}: ${figures.map(([name, value]) => `${name}=${value}`).join(' ')}`,
  );
}

/** Writes a line of progress to stderr. */
export function say(text: string): void {
  process.stderr.write(`  ${text}\n`);
}
