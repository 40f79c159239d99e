import type { Clock } from '@gladhand/base/clock.ts';
import { LATE, within } from './in-time.ts';
import type { Script } from './lua.ts';
import type { Reach } from './reach.ts';

/** What is needed of a Redis client. */
export interface RedisCommands {
  sendCommand<Reply>(command: readonly string[]): Promise<Reply>;
}

/** Names of keys, all in one hash slot of a cluster. */
export interface RedisKeys {
  /** What all of them begin with. */
  readonly root: string;
  /** The sorted set of nodes, by when they were last heard of. */
  readonly nodes: string;
}

/** Asking Redis: scripts by their digest, and answers only as long as they are in time. */
export interface RedisLink {
  run(script: Script, keys: readonly string[], args: readonly string[]): Promise<number[]>;
  send(command: readonly string[]): Promise<unknown>;
  /** The answer, or undefined when it was late or none; either way `reach` learns of it. */
  inTime(work: Promise<number[]>): Promise<number[] | undefined>;
  /** Something went wrong that was asked at `askedMs`, monotonic. */
  missed(reason: string, askedMs: number): void;
}

export interface RedisLinkParts {
  readonly commands: RedisCommands;
  readonly clock: Clock;
  readonly decisionMsMax: number;
  readonly reach: Reach;
  readonly isClosed: () => boolean;
}

export function createRedisLink({ commands, clock, decisionMsMax, reach, isClosed }: RedisLinkParts): RedisLink {
  function missed(reason: string, askedMs: number): void {
    if (!isClosed()) reach.onMiss(reason, askedMs);
  }
  return {
    missed,
    send: (command) => commands.sendCommand(command),
    async run(script, keys, args) {
      const rest = [String(keys.length), ...keys, ...args];
      try {
        return await commands.sendCommand<number[]>(['EVALSHA', script.sha, ...rest]);
      } catch (error) {
        if (!textOf(error).startsWith('NOSCRIPT')) throw error;
        return commands.sendCommand<number[]>(['EVAL', script.text, ...rest]);
      }
    },
    async inTime(work) {
      const askedMs = clock.monotonicMs();
      try {
        const answer = await within(clock, decisionMsMax, work);
        if (answer !== LATE) {
          if (reach.isOpen) reach.onAnswer();
          return answer;
        }
        missed(`no answer in ${decisionMsMax} ms`, askedMs);
      } catch (error) {
        missed(textOf(error), askedMs);
      }
      return undefined;
    },
  };
}

export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
