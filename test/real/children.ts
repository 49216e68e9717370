// Starts programs for a test and makes sure that none outlives it. Everything is ended by process id.
//
// A server counts as up when its port accepts a connection; what it printed is kept for the failure message.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const UP_WITHIN_MS = 20_000;
const STOPPED_WITHIN_MS = 5_000;

export interface Child {
  readonly pid: number;
  /** What it printed so far, both streams. */
  readonly output: () => string;
  /** Resolves with the exit code when it ends; null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** SIGTERM, then SIGKILL to it and to every process that it started. */
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) killNow(child.pid ?? 0);
});

export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Child {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} does not start`);
  running.add(child);
  const printed: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => printed.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => printed.push(chunk));
  const ended = once(child, 'exit').then(([code]) => {
    running.delete(child);
    return code as number | null;
  });
  return {
    pid,
    output: () => Buffer.concat(printed).toString('latin1'),
    ended,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const family = descendants(pid);
      child.kill('SIGTERM');
      await Promise.race([ended, delay(STOPPED_WITHIN_MS, null, { ref: false })]);
      child.kill('SIGKILL');
      await Promise.all([ended, ...family.map(killAll)]);
    },
  };
}

/** Starts a server and waits until 127.0.0.1:port accepts, and it has said what is waited for: with several workers Postern first tries
 * whether the port is free. Rejects when something listens there already. */
export async function startServer(
  port: number,
  command: string,
  args: readonly string[],
  env?: NodeJS.ProcessEnv,
  said = /(?:)/,
): Promise<Child> {
  if (await accepts(port)) throw new Error(`port ${port} is taken, so ${command} cannot have it`);
  const child = start(command, args, env);
  const deadline = Date.now() + UP_WITHIN_MS;
  while (!said.test(child.output()) || !(await accepts(port))) {
    const code = await Promise.race([child.ended, delay(25, 'running' as const)]);
    if (code !== 'running' || Date.now() > deadline) {
      await child.stop();
      throw new Error(`${command} does not listen on port ${port}:\n${child.output()}`);
    }
  }
  return child;
}

/** Runs a client program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  env?: NodeJS.ProcessEnv,
): Promise<{ code: number | null; output: string }> {
  const child = start(command, args, env);
  const code = await child.ended;
  return { code, output: child.output() };
}

/** SIGSTOP to a process and all that it started: connections stay open, and nothing is answered. */
export function freezeAll(pid: number): void {
  const frozen = new Set<number>();
  // Again until no new one is found: a child may be born between the look and the signal.
  for (let size = -1; size < frozen.size; ) {
    size = frozen.size;
    for (const member of [pid, ...descendants(pid)]) {
      if (!frozen.has(member)) kill(member, 'SIGSTOP');
      frozen.add(member);
    }
  }
}

/** SIGKILL to a process and all that it started, as if at once. Resolves when they are gone, and their ports with them. */
export async function killAll(pid: number): Promise<void> {
  for (const member of killNow(pid)) {
    while (isAlive(member)) await delay(5);
  }
}

function killNow(pid: number): number[] {
  freezeAll(pid);
  const family = [pid, ...descendants(pid)];
  for (const member of family) kill(member, 'SIGKILL');
  return family;
}

/** A zombie has closed everything; it waits only for its parent. */
function isAlive(pid: number): boolean {
  const state = statOf(pid)[0];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has gone already.
  }
}

/** Every process below this one, the parents first. */
export function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = Number(statOf(entry)[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const found = [pid];
  for (const member of found) found.push(...(children.get(member) ?? []));
  return found.slice(1);
}

/** The state, the parent's id … of a process; empty when there is none. */
function statOf(pid: number | string): string[] {
  try {
    // The name before the state is in brackets and may hold blanks.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
