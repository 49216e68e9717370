// A Postern in a process of its own for the soak: started, measured each second, its log counted as it comes.
//
// What it says is never kept but for warnings and worse. Ends with the soak, by its process id.

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../helpers/free-port.ts';
import { BEARER, TOKEN_FILE } from '../helpers/token.ts';
import { parseSamples } from '../observe/watched.ts';
import type { ThreadMemory } from './inside.ts';
import type { Taken } from './server.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const INSIDE = join(import.meta.dirname, 'inside.ts');

const COLLECTED_MS = 15_000; // what threads tell comes every 5 s, and they may be busy
const STOPPED_MS = 60_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

export function watch<Child extends ChildProcess>(child: Child): Child {
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** What one process looks like at a moment. */
export interface Sample {
  readonly seconds: number;
  readonly scene: string;
  readonly rssMiB: number;
  readonly descriptors: number;
  /** Threads that have told of themselves: one that a worker's death began anew has not for a while. */
  readonly threads: number;
  /** Of these, in MiB, as they told it within the last seconds. */
  readonly heap: number;
  readonly heapUsed: number;
  readonly external: number;
}

export const samples: Sample[] = [];
const begun = performance.now();

export interface BedOptions {
  readonly config: object;
  readonly descriptors?: number;
  /** Where its log goes: to us, or to this descriptor. */
  readonly log?: number | 'held';
}

export class Bed {
  readonly adminPort: number;
  readonly child: ChildProcess;
  port = 0;
  stderr = '';
  scene = '';
  /** Lines by `msg` and connector: "session ended honest". */
  readonly lines = new Map<string, number>();
  /** Warnings and worse, each once. */
  readonly warnings = new Map<string, number>();
  readonly #folder: string;
  readonly #file: string;
  readonly #memory: string;
  readonly #sampler: NodeJS.Timeout;
  #rest = '';

  private constructor(folder: string, adminPort: number, { config, descriptors, log }: BedOptions) {
    this.#folder = folder;
    this.#file = join(folder, 'postern.yaml');
    this.#memory = join(folder, 'memory.json');
    this.adminPort = adminPort;
    this.write(config);
    const command = [process.execPath, '--import', INSIDE, MAIN, 'run', '--config', this.#file];
    const limited = ['sh', '-c', `ulimit -n ${descriptors}; exec "$0" "$@"`, ...command];
    const [program, ...args] = descriptors === undefined ? command : limited;
    const out = typeof log === 'number' ? log : 'pipe';
    this.child = watch(
      spawn(program as string, args, {
        stdio: ['ignore', out, 'pipe'],
        env: { ...process.env, POSTERN_SOAK_MEMORY: this.#memory },
      }),
    );
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-20_000);
    });
    if (log !== 'held') this.readLog();
    this.#sampler = setInterval(() => this.sample(), 1000).unref();
  }

  static async start(options: BedOptions): Promise<Bed> {
    const folder = mkdtempSync(join(tmpdir(), 'postern-soak-'));
    const bed = new Bed(folder, await freePort(), options);
    for (let waited = 0; bed.port === 0; waited += 20) {
      if (waited > 120_000 || bed.child.exitCode !== null) throw new Error(`Postern does not start: ${bed.stderr}`);
      await delay(20);
      bed.port = Number(/listening on \S*?:(\d+)\b/.exec(bed.stderr)?.[1] ?? 0);
    }
    return bed;
  }

  get pid(): number {
    return this.child.pid as number;
  }

  /** The configuration, for the start or the next reload. */
  write(config: object): void {
    const admin = { listen: `127.0.0.1:${this.adminPort}`, token_file: TOKEN_FILE };
    writeFileSync(`${this.#file}.new`, JSON.stringify({ admin, ...config }));
    renameSync(`${this.#file}.new`, this.#file); // it may be read at any moment
  }

  readLog(): void {
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#log(text));
  }

  #log(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const { msg, connector = '', level } = JSON.parse(line) as Record<string, string>;
      const key = `${msg} ${connector}`;
      this.lines.set(key, (this.lines.get(key) ?? 0) + 1);
      if (level === 'error' || (level === 'warn' && this.warnings.size < 200)) {
        this.warnings.set(line.slice(0, 2000), (this.warnings.get(line.slice(0, 2000)) ?? 0) + 1);
      }
    }
  }

  sample(): Sample {
    const rss = Number(/^VmRSS:\s+(\d+) kB$/m.exec(this.#proc('status'))?.[1] ?? Number.NaN) / 1024;
    const seconds = Math.round((performance.now() - begun) / 1000);
    const threads = this.threads();
    const sum = (of: (thread: ThreadMemory) => number): number =>
      Math.round(threads.reduce((total, thread) => total + of(thread), 0) * 10) / 10;
    const found = {
      seconds,
      scene: this.scene,
      rssMiB: Math.round(rss * 10) / 10,
      descriptors: this.descriptors,
      threads: threads.length,
      heap: sum(({ heapTotal }) => heapTotal),
      heapUsed: sum(({ heapUsed }) => heapUsed),
      external: sum(({ external }) => external),
    };
    if (Number.isFinite(rss)) samples.push(found);
    return found;
  }

  /** What each thread told last. */
  threads(): readonly ThreadMemory[] {
    try {
      return JSON.parse(readFileSync(this.#memory, 'utf8')) as ThreadMemory[];
    } catch {
      return []; // none yet, or half written
    }
  }

  /** What is alive in each thread, once all garbage is collected. */
  async live(): Promise<readonly ThreadMemory[]> {
    this.child.kill('SIGWINCH');
    await delay(COLLECTED_MS);
    return this.threads();
  }

  get descriptors(): number {
    try {
      return readdirSync(`/proc/${this.pid}/fd`).length;
    } catch {
      return 0;
    }
  }

  #proc(file: string): string {
    try {
      return readFileSync(`/proc/${this.pid}/${file}`, 'latin1');
    } catch {
      return ''; // it has ended
    }
  }

  /** With what every worker counted: on a busy machine one does not always answer within its second. */
  async metrics(): Promise<Map<string, number>> {
    for (let tries = 0; ; tries++) {
      const metrics = parseSamples(await (await this.ask('/metrics')).text());
      if ((metrics.get('postern_workers_missing') ?? 0) === 0 || tries === 20) return metrics;
      await delay(1_000);
    }
  }

  /** Asked again where it hangs up: whoever stands still for seconds, as on a busy machine, has been too slow for it. */
  async ask(path: string, init: RequestInit = {}): Promise<Response> {
    // One connection each: one that is kept may be closed in the moment in which it is used again.
    const headers = { ...BEARER, 'content-type': 'application/json', connection: 'close' };
    for (let tries = 1; ; tries++) {
      try {
        return await fetch(`http://127.0.0.1:${this.adminPort}${path}`, { headers, ...init });
      } catch (error) {
        if (tries === 5 || this.child.exitCode !== null) throw error;
        await delay(500);
      }
    }
  }

  /** Waits until no session is open, at most so long. What was left. */
  async quiet(within: number): Promise<number> {
    const until = performance.now() + within;
    for (;;) {
      const open = (await this.metrics()).get('postern_sessions') ?? 0;
      if (open === 0 || performance.now() > until) return open;
      await delay(200);
    }
  }

  /** SIGTERM; its exit code, null where it had to be killed. */
  async stop(): Promise<number | null> {
    clearInterval(this.#sampler);
    const over = this.child.exitCode === null ? once(this.child, 'exit') : Promise.resolve([this.child.exitCode]);
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), STOPPED_MS);
    const [code] = (await over) as [number | null];
    clearTimeout(late);
    rmSync(this.#folder, { recursive: true, force: true });
    return code;
  }
}

/** The mail server behind, which can be killed and started again on its port. */
export class MailServer {
  readonly port: number;
  /** What servers took that are gone. */
  #lost: Taken[] = [];
  #child: ChildProcess | null = null;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(): Promise<MailServer> {
    const server = new MailServer(await freePort());
    await server.up();
    return server;
  }

  async up(): Promise<void> {
    this.#child = watch(fork(join(import.meta.dirname, 'server.ts'), [`${this.port}`]));
    await once(this.#child, 'message');
  }

  /** As if its power were cut; what it took since it was asked last goes with it. */
  async kill(): Promise<void> {
    this.#lost.push(await this.count());
    const child = this.#child as ChildProcess;
    const over = once(child, 'exit');
    child.kill('SIGKILL');
    await over;
  }

  tell(word: 'stall' | 'stall no more' | 'go on'): void {
    this.#child?.send(word);
  }

  async count(): Promise<Taken> {
    const answer = once(this.#child as ChildProcess, 'message');
    this.#child?.send('count');
    return (await answer)[0] as Taken;
  }

  /** Of all servers there were; a killed one is counted as it was a moment before. */
  async messages(kind: string): Promise<number> {
    return [...this.#lost, await this.count()].reduce((sum, { messages }) => sum + (messages[kind] ?? 0), 0);
  }

  stop(): void {
    this.#child?.kill('SIGKILL');
  }
}

/** What holds or does not; the soak goes on either way and fails at the end. */
export interface Finding {
  readonly scene: string;
  readonly what: string;
  readonly holds: boolean;
}

export const findings: Finding[] = [];

export function expect(scene: string, what: string, holds: boolean): void {
  findings.push({ scene, what, holds });
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${scene}: ${what}`);
}
