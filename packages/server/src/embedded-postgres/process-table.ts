import { spawnSync } from 'node:child_process';
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename } from 'node:path';

/**
 * Questions about processes that are not our children, answered from /proc and, where there is none, by `ps`. A pid
 * alone proves nothing: numbers are reused, and a zombie still has one. So before anything is signalled it must be
 * shown to be a postgres that works in the given cluster folder, which is every postgres process's current directory.
 */

/** Whether process `pid` is a living PostgreSQL process of `cluster`. False for zombies, strangers and the dead. */
export async function isPostgresOf(pid: number, cluster: string): Promise<boolean> {
  if (process.platform !== 'linux') return psShowsPostgresOf(pid, cluster);
  try {
    const [state, directory, program] = await Promise.all([
      readState(pid),
      readlink(`/proc/${pid}/cwd`),
      readlink(`/proc/${pid}/exe`),
    ]);
    // A program replaced by an upgrade shows as `postgres (deleted)`.
    return state !== 'Z' && directory === (await realpath(cluster)) && basename(program).startsWith('postgres');
  } catch {
    return false;
  }
}

/** Every living PostgreSQL process of `cluster`: the postmaster, and backends that outlived one. Linux only, else []. */
export async function findPostgresOf(cluster: string): Promise<number[]> {
  if (process.platform !== 'linux') return [];
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const ours = await Promise.all(pids.map((pid) => isPostgresOf(pid, cluster)));
  return pids.filter((_, index) => ours[index]);
}

/** Whether anything, be it a zombie, still answers to `pid`: what PostgreSQL itself asks of its lock file. */
export function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Sends `signal`; false when the process was already gone. Throws on a process of another user. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** The one-letter process state of proc(5): `Z` is a zombie. The command name before it may hold any character. */
async function readState(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).charAt(0);
}

function psShowsPostgresOf(pid: number, cluster: string): boolean {
  const { status, stdout } = spawnSync('/bin/ps', ['-o', 'stat=,command=', '-p', String(pid)], { encoding: 'utf8' });
  return status === 0 && !stdout.trimStart().startsWith('Z') && stdout.includes('postgres') && stdout.includes(cluster);
}
