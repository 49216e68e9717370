// Whose turn it is, where there is more to do than time: each source has an equal share of it.
//
// Start-time fair queueing (Goyal, Vin and Cheng, 1996): every source has a finish time, in milliseconds of work done for it,
// and of those that wait the one that begins earliest goes first. So a client that says one command now and then goes before a
// hundred connections of another that talk without end, and these delay it by what they are given between two looks at the
// sockets: a round of work that is done at once, and one of work that had to wait. Nobody waits while there is time.
//
// What the sessions say is written when the work at hand is done, one after the other: a write wakes whoever reads it, and who is
// awake takes the next ones too. That is a fifth of the whole cost of short commands.
//
// A session that waits reads nothing (connection.ts pauses both its sides). One queue for each thread. A source that is forgotten
// early, because so many came, is served sooner, and no more.

import { sourceOf } from '../smtp/client-source.ts';

const ROUND = 0.5; // ms of work between two looks at the sockets
const READ = 0.5e-6; // ms for an octet, to have it read: measured, 64 KiB at a time
const SOURCES = 16_384;

interface Source {
  /** Milliseconds on the clock of the queue at which what was done for it ends. */
  finish: number;
  /** As it was when the source began to wait. */
  start: number;
  waiting: Turns[]; // in the order of coming
  isQueued: boolean; // once in the heap, whose order `start` is: it is not changed there
}

export interface Writer {
  /** Begun at `now`, as of performance.now(); returns when it was done. */
  writeDue(now: number): number;
}

export interface TurnTaker {
  /** It is its turn: once for each time that it waits. */
  takeTurn(): void;
}

export class FairQueue {
  readonly #sources = new Map<string, Source>();
  readonly #heap = new Heap(); // those that wait
  #clock = 0; //      the start of what was done last
  #left = ROUND; //   ms
  #begun = false; //  a round will come
  #inRound = false;
  #writers: Writer[] = []; // once each

  /** The turns of one session. */
  turnsOf(address: string, taker: TurnTaker): Turns {
    return new Turns(this, this.#sourceOf(address), taker);
  }

  /** Nobody has waited longer, and there is time. */
  get isFree(): boolean {
    return this.#left > 0 && this.#heap.isEmpty;
  }

  /** For Turns alone. */
  spent(source: Source, ms: number): void {
    if (source.finish < this.#clock) source.finish = this.#clock;
    if (this.#heap.isEmpty) this.#clock = source.finish;
    source.finish += ms;
    this.#left -= ms;
    if (this.#left <= 0) this.#begin();
  }

  /** For Turns alone. */
  wait(source: Source, turns: Turns): void {
    source.waiting.push(turns);
    if (!source.isQueued) this.#queue(source);
    this.#begin();
  }

  #queue(source: Source): void {
    source.isQueued = true;
    source.start = Math.max(source.finish, this.#clock);
    this.#heap.push(source);
  }

  /** It writes once what is at hand was done. */
  writesSoon(writer: Writer): void {
    if (this.#writers.length === 0 && !this.#inRound) setImmediate(this.#writeAll);
    this.#writers.push(writer);
  }

  readonly #writeAll = (): void => {
    const writers = this.#writers;
    this.#writers = [];
    let at = 0;
    try {
      let now = writers.length === 0 ? 0 : performance.now();
      while (at < writers.length) now = (writers[at++] as Writer).writeDue(now);
    } finally {
      for (; at < writers.length; at++) this.writesSoon(writers[at] as Writer);
    }
  };

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    setImmediate(this.#round);
  }

  readonly #round = (): void => {
    this.#begun = false;
    this.#left = ROUND;
    this.#inRound = true;
    try {
      while (!this.#heap.isEmpty && this.#left > 0) this.#serve(this.#heap.pop());
    } finally {
      this.#inRound = false;
      this.#left = ROUND;
      if (!this.#heap.isEmpty) this.#begin();
      this.#writeAll();
    }
  };

  #serve(source: Source): void {
    this.#clock = Math.max(this.#clock, source.start);
    try {
      source.waiting.shift()?.take(); // which may wait again, and is queued behind what it took
    } finally {
      source.isQueued = false;
      if (source.waiting.length > 0) this.#queue(source);
    }
  }

  #sourceOf(address: string): Source {
    const key = sourceOf(address);
    const known = this.#sources.get(key);
    if (known !== undefined) return known;
    const source = { finish: 0, start: 0, waiting: [], isQueued: false };
    this.#sources.set(key, source);
    if (this.#sources.size > SOURCES) this.#sources.delete(this.#sources.keys().next().value as string);
    return source;
  }
}

/** The turns of one session: at most one of them is waited for. */
export class Turns {
  readonly #queue: FairQueue;
  readonly #source: Source;
  readonly #taker: TurnTaker;
  #waits = false;

  constructor(queue: FairQueue, source: Source, taker: TurnTaker) {
    this.#queue = queue;
    this.#source = source;
    this.#taker = taker;
  }

  /** Whether it may go on at once. */
  get isFree(): boolean {
    return !this.#waits && this.#queue.isFree;
  }

  wait(): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#queue.wait(this.#source, this);
  }

  /** Work was done for it: milliseconds. */
  spent(ms: number): void {
    this.#queue.spent(this.#source, ms);
  }

  /** So many octets were read for it, before there was anything to be done. */
  read(octets: number): void {
    this.spent(octets * READ);
  }

  /** It has no more to do. */
  leave(): void {
    this.#waits = false;
  }

  /** For the queue alone. */
  take(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#taker.takeTurn();
  }
}

/** The source with the earliest start on top: a binary heap. */
class Heap {
  readonly #rows: Source[] = [];

  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  push(source: Source): void {
    const rows = this.#rows;
    let at = rows.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = rows[parent] as Source;
      if (above.start <= source.start) break;
      rows[at] = above;
      at = parent;
    }
    rows[at] = source;
  }

  pop(): Source {
    const rows = this.#rows;
    const top = rows[0] as Source;
    const last = rows.pop() as Source;
    if (rows.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= rows.length) break;
      if (child + 1 < rows.length && (rows[child + 1] as Source).start < (rows[child] as Source).start) child++;
      if (last.start <= (rows[child] as Source).start) break;
      rows[at] = rows[child] as Source;
      at = child;
    }
    rows[at] = last;
    return top;
  }
}
