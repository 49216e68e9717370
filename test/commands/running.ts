// postern run in a process of its own, with flags and variables, where a test needs signals, an exit code or the streams.
//
// No variable of ours comes in from the environment of the tests. The process is gone when the test is over.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { assertAllKnown } from '../helpers/log-lines.ts';
import { MAIN } from '../helpers/main.ts';

/** A log line. */
export type Entry = Record<string, unknown>;

/** `postern run` in a process of its own, which is gone when the test is over. */
export class Running {
  stdout = '';
  stderr = '';
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;
  #over = false;
  readonly #lines: string[] = [];
  readonly #entries: Entry[] = [];
  #rest = '';
  #wake: () => void = () => {};

  constructor(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('POSTERN_'));
    this.#process = spawn(process.execPath, [MAIN, 'run', ...args], { env: { ...Object.fromEntries(clean), ...env } });
    for (const stream of ['stdout', 'stderr'] as const) {
      this.#process[stream]?.setEncoding('utf8').on('data', (text: string) => {
        this[stream] += text;
        if (stream === 'stdout') this.#read(text);
        this.#wake();
      });
    }
    this.#exited = once(this.#process, 'close').then(([code]) => {
      this.#over = true;
      this.#wake();
      return code as number | null;
    });
    t.after(async () => {
      this.#process.kill('SIGKILL');
      await this.#exited;
      assertAllKnown(this.#lines.filter((line) => line.startsWith('{')));
    });
  }

  /** The exit code. */
  exit(): Promise<number | null> {
    return this.#exited;
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Nobody reads its log any more, but for what fits into a pipe. */
  stopReading(): void {
    this.#process.stdout?.pause();
  }

  readOn(): void {
    this.#process.stdout?.resume();
  }

  /** Of the first address in the line that it says when it listens. */
  async port(): Promise<number> {
    const line = await this.#until(() => /listening on \S*?:(\d+)\b/.exec(this.stderr));
    return Number(line[1]);
  }

  /** The first log line with this message, or the one of that number; now or later. */
  logged(message: string, number = 1): Promise<Entry> {
    return this.#until(() => this.entries().filter(({ msg }) => msg === message)[number - 1] ?? null);
  }

  /** Every log line so far: all that is on stdout. */
  entries(): Entry[] {
    for (const line of this.#lines.slice(this.#entries.length)) this.#entries.push(JSON.parse(line));
    return [...this.#entries];
  }

  /** The last line may be torn by a SIGKILL. Each is split off and parsed once, however often somebody looks. */
  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    this.#lines.push(...lines);
  }

  async #until<T>(look: () => T | null): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== null) return found;
      if (this.#over) throw new Error(`postern has ended: ${this.stderr}${this.stdout}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
