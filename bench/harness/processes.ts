// Starts the processes of a measurement, waits until they listen, reads what they cost, and ends them all at exit.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';

const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

const TICKS_PER_SECOND = 100;
const LISTENING_WITHIN_MS = 10_000;
const STOPPED_WITHIN_MS = 5_000;

/** The child, ended with us. What it says on stderr is shown when it ends by itself. */
export function start(path: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const child = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options });
  let said = '';
  child.stderr?.on('data', (part) => {
    said = (said + part).slice(-4000);
  });
  children.add(child);
  child.once('exit', (code) => {
    if (children.delete(child) && code !== 0) console.error(`${path} ${args.join(' ')} ended with ${code}\n${said}`);
  });
  return child;
}

/** In good order, so that a profile is written; after five seconds not so. */
export async function stop(child: ChildProcess): Promise<void> {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const kill = setTimeout(() => child.kill('SIGKILL'), STOPPED_WITHIN_MS);
  await gone;
  clearTimeout(kill);
}

/** Runs to the end and gives what it printed; rejects unless it exits with 0. */
export async function output(path: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const child = start(path, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  child.stdout?.on('data', (part) => {
    printed += part;
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${path} ended with ${code}`);
  return printed;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves when the port accepts; rejects when the child that should listen there ended. */
export async function listening(port: number, child: ChildProcess): Promise<void> {
  const until = performance.now() + LISTENING_WITHIN_MS;
  while (performance.now() < until && child.exitCode === null) {
    const accepted = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (accepted) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** User + system CPU so far of a process, all its threads, and all that it started, in milliseconds; the kernel counts in
 * steps of 10. */
export function cpuMs(pid: number): number {
  if (pid === 0) return 0; // there is none
  return (ticksOf(pid, USER_AND_SYSTEM) * 1000) / TICKS_PER_SECOND;
}

/** The same without what the system did for it. */
export function userMs(pid: number): number {
  return pid === 0 ? 0 : (ticksOf(pid, USER) * 1000) / TICKS_PER_SECOND;
}

// proc(5), behind the name: utime, stime, and the two of children that have ended.
const USER_AND_SYSTEM = [11, 12, 13, 14];
const USER = [11, 13];

function ticksOf(pid: number, fields: readonly number[]): number {
  try {
    const all = afterName(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    const own = fields.map((at) => Number(all[at]));
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean);
    return [...own, ...children.map((child) => ticksOf(Number(child), fields))].reduce((sum, one) => sum + one, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0; // it ended just now
    throw error;
  }
}

/** The same of the first thread alone. */
export function mainThreadCpuMs(pid: number): number {
  return ofThreads(pid, (thread) => thread === `${pid}`);
}

/** The same of the threads with this name. */
export function threadCpuMs(pid: number, name: RegExp): number {
  return ofThreads(pid, (_, stat) => name.test(stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))));
}

function ofThreads(pid: number, counts: (thread: string, stat: string) => boolean): number {
  let ticks = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
    if (!counts(thread, stat)) continue;
    const fields = afterName(stat);
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1000) / TICKS_PER_SECOND;
}

// proc(5): the second field is the name in brackets and may hold blanks; what follows it begins with field 3.
function afterName(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  return Number(line?.[1] ?? Number.NaN) * 1024;
}
