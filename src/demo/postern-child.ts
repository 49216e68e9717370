// Postern as somebody at a terminal has it: its commands, each a process of its own, and one that goes on running.
//
// Commands are given as one would type them, in one folder. What they print is handed back, and judged elsewhere.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LogEntry {
  readonly msg: string;
  readonly [name: string]: unknown;
}

export class Postern {
  readonly #command: readonly string[];
  readonly #folder: string;
  readonly #children = new Set<ChildProcess>();

  /** `command`: the program and what stands before Postern's own arguments. */
  constructor(command: readonly string[], folder: string) {
    this.#command = command;
    this.#folder = folder;
  }

  async ask(...args: string[]): Promise<Said> {
    const child = this.#spawn(args);
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code: code ?? 1, stdout, stderr };
  }

  /** `run --config FILE`; its log goes into a file beside it. */
  run(config: string, log: string): Running {
    return new Running(this.#spawn(['run', '--config', config]), join(this.#folder, log));
  }

  /** Ends what still runs. */
  end(): void {
    for (const child of this.#children) child.kill();
  }

  #spawn(args: readonly string[]): ChildProcess {
    const [program = '', ...before] = this.#command;
    const child = spawn(program, [...before, ...args], { cwd: this.#folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.add(child);
    child.on('close', () => this.#children.delete(child));
    return child;
  }
}

export class Running {
  readonly #child: ChildProcess;
  readonly #entries: LogEntry[] = [];
  readonly #waiting = new Set<() => void>();
  #stderr = '';
  #ended = false;

  constructor(child: ChildProcess, log: string) {
    this.#child = child;
    let rest = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      appendFileSync(log, text);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#entries.push(JSON.parse(line) as LogEntry);
      this.#wake();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    child.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** How many entries there are: a mark to look from. */
  get mark(): number {
    return this.#entries.length;
  }

  since(mark: number): readonly LogEntry[] {
    return this.#entries.slice(mark);
  }

  /** The entry behind `mark` that is so manieth of those with that message; rejects where the process ends first. */
  async logged(msg: string, mark = 0, number = 1): Promise<LogEntry> {
    for (;;) {
      const found = this.#entries.slice(mark).filter((entry) => entry.msg === msg)[number - 1];
      if (found !== undefined) return found;
      if (this.#ended) throw new Error(`postern run has ended: ${this.#stderr.trim()}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async end(): Promise<void> {
    const closed = this.#ended ? null : once(this.#child, 'close');
    this.#child.kill();
    await closed;
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
