// Where finished lines go, and which of them are given up when whoever takes them is slow.
//
// Invariant: a line is written whole or not at all. Writing never blocks the relay and never ends it: lines wait in memory while
// the reader is slow or the disk full, up to 16 MiB. Then whoever fills that gives way: of each source (as floods.ts counts
// them) only so much is kept that half is free again, the same for all, so that who has few lines waiting loses none. What is
// ours – warnings, what begins and ends – is kept before all. Lost lines are counted, and told when writing works again.
// Not here: what stands in a line (log.ts).

import { write, writeSync } from 'node:fs';
import { sourceOf } from '../smtp/client-source.ts';

/** A test hands in its own. */
export interface LogSink {
  /** One line; `client`: the address that brought it about. */
  write(text: string, client?: string): void;
  /** Lines of another thread, whole; resolves when they are out, so that those that wait, wait there. */
  pass?(text: string, lines: number): Promise<void>;
  /** Resolves when all that was written before is out, or was given up after a second. */
  flush(): Promise<void>;
  /** Lines given up since the start. */
  readonly lost: number;
  /** Hears how many were lost, when lines go out again. */
  onLost?: (lines: number) => void;
}

const WRITE_AT_CHARACTERS = 65536; // every write wakes a thread, which costs more than the lines in it
const WRITE_AFTER_MS = 100;
const WAITING_CHARACTERS = 16 * 1024 * 1024;
const RETRY_MS = 50;
const FLUSH_MS = 1000;

/** Whole lines on their way: `done` is called once, with how many of them were lost. */
export type Put = (text: string, lines: number, done: (lost: number) => void) => void;

interface Waiting {
  readonly text: string;
  readonly lines: number;
  /** Null: ours. */
  readonly source: string | null;
  readonly out?: () => void;
}

/** Lines leave in their order, many to a write: when 64 KiB wait, or after 100 ms, and one write at a time. */
export class BatchingSink implements LogSink {
  lost = 0;
  onLost: (lines: number) => void = () => {};
  readonly #put: Put;
  readonly #most: number;
  #waiting: Waiting[] = [];
  #waitingCharacters = 0;
  #told = 0; // of those that were lost
  #writing = false;
  #timer: NodeJS.Timeout | null = null;
  #whenIdle: (() => void)[] = [];

  constructor(put: Put, most = WAITING_CHARACTERS) {
    this.#put = put;
    this.#most = most;
  }

  write(text: string, client?: string): void {
    const source = client === undefined ? null : sourceOf(client);
    if (this.#waitingCharacters + text.length > this.#most) this.#makeRoom();
    if (this.#waitingCharacters + text.length > this.#most) this.lost++;
    else this.#wait({ text, lines: 1, source });
  }

  pass(text: string, lines: number): Promise<void> {
    return new Promise((out) => this.#wait({ text, lines, source: null, out }));
  }

  flush(): Promise<void> {
    this.#writeOut();
    if (!this.#writing) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FLUSH_MS); // it keeps the process: there may be nothing else that does
      this.#whenIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Takes out what never left, for one last try when the event loop is gone. */
  takeRest(): { readonly text: string; readonly lines: number; readonly outs: readonly (() => void)[] } {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingCharacters = 0;
    return {
      text: waiting.map(({ text }) => text).join(''),
      lines: waiting.reduce((sum, { lines }) => sum + lines, 0),
      outs: waiting.flatMap(({ out }) => out ?? []),
    };
  }

  #wait(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#waitingCharacters += waiting.text.length;
    if (this.#waitingCharacters >= WRITE_AT_CHARACTERS) this.#writeOut();
    else this.#timer ??= setTimeout(() => this.#writeOut(), WRITE_AFTER_MS).unref();
  }

  /** Of each source the oldest lines stay, up to a size that leaves half free. */
  #makeRoom(): void {
    const sizes = new Map<string, number>();
    let ours = 0;
    for (const { text, source } of this.#waiting) {
      if (source === null) ours += text.length;
      else sizes.set(source, (sizes.get(source) ?? 0) + text.length);
    }
    const most = fairShare([...sizes.values()], this.#most / 2 - ours);
    const kept = new Map<string, number>();
    this.#waiting = this.#waiting.filter(({ text, lines, source }) => {
      if (source === null) return true;
      const size = (kept.get(source) ?? 0) + text.length;
      if (size <= most) kept.set(source, size);
      else {
        this.lost += lines;
        this.#waitingCharacters -= text.length;
      }
      return size <= most;
    });
  }

  #writeOut(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#writing) return;
    if (this.#waiting.length === 0) {
      for (const resolve of this.#whenIdle.splice(0)) resolve();
      return;
    }
    this.#writing = true;
    const { text, lines, outs } = this.takeRest();
    this.#put(text, lines, (lost) => {
      this.lost += lost;
      this.#writing = false;
      for (const out of outs) out();
      if (lost === 0 && this.lost > this.#told) {
        const untold = this.lost - this.#told;
        this.#told = this.lost;
        this.onLost(untold);
      }
      this.#writeOut();
    });
  }
}

/** The size up to which each may have its own, so that all together have no more than `room`. */
function fairShare(sizes: number[], room: number): number {
  sizes.sort((a, b) => a - b);
  let left = Math.max(0, room);
  for (const [i, size] of sizes.entries()) {
    const share = left / (sizes.length - i);
    if (size > share) return share;
    left -= size;
  }
  return Number.POSITIVE_INFINITY;
}

/** What passes: the reader is slow, the disk is full. All else is for good. */
const PASSES: ReadonlySet<string | undefined> = new Set(['EAGAIN', 'ENOSPC', 'EDQUOT', 'EINTR']);

/** A sink over an open file descriptor: this one, or whichever it is before each write. */
export class DescriptorSink extends BatchingSink {
  constructor(of: number | (() => number)) {
    const which = typeof of === 'number' ? () => of : of;
    let descriptor = which();
    let owed = Buffer.alloc(0); // of a write that was begun: nothing else may come before it
    let underWay = false;
    const attempt = (done: (whole: boolean) => void): void => {
      underWay = true;
      write(descriptor, owed, (error, written) => {
        underWay = false;
        if (error === null) owed = owed.subarray(written);
        if (error === null && owed.length === 0) done(true);
        else if (error === null) attempt(done);
        else if (PASSES.has(error.code)) setTimeout(() => attempt(done), RETRY_MS).unref();
        else {
          owed = Buffer.alloc(0);
          done(false);
        }
      });
    };
    super((text, lines, done) => {
      owed = Buffer.from(text);
      descriptor = which();
      attempt((whole) => done(whole ? 0 : lines));
    });
    // The way of a crash.
    process.once('exit', () => {
      const { text, lines } = this.takeRest();
      let rest = Buffer.concat([underWay ? Buffer.alloc(0) : owed, Buffer.from(text)]);
      try {
        while (rest.length > 0) rest = rest.subarray(writeSync(descriptor, rest));
      } catch {
        this.lost += lines;
      }
    });
  }
}
