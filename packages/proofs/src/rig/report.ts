import { type Scratch, withScratch } from './scratch.ts';
import { formatTable } from './table.ts';

/** What a bench or proof found. Its figures stand on the last line of the output, and it fails when a goal is missed. */
export interface Report {
  readonly name: string;
  /** Tables and sentences for a person. */
  readonly text: string;
  readonly figures: Readonly<Record<string, unknown>>;
  readonly goals: readonly Goal[];
}

export interface Goal {
  readonly name: string;
  readonly figure: number;
  readonly isMet: boolean;
  /** As written for a person: `>= 0.7`. */
  readonly goal: string;
}

export function atLeast(name: string, figure: number, least: number): Goal {
  return { name, figure, goal: `>= ${least}`, isMet: figure >= least };
}

export function atMost(name: string, figure: number, most: number): Goal {
  return { name, figure, goal: `<= ${most}`, isMet: figure <= most };
}

/** Runs, prints and sets the exit code. With `json` the one line of figures is all of stdout. */
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

/** Tells what is under way, on stderr. */
export function say(text: string): void {
  process.stderr.write(`  ${text}\n`);
}
