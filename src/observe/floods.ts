// What repeats is told up to a limit, and then counted: nobody writes our log by being refused a million times.
//
// A session may have SESSION_LINES lines about refusals, a source (an IPv4 address, an IPv6 /64) SOURCE_LINES in ten minutes,
// whatever they are about; what is beyond is a number, told when the session ends or the source's time is over, and at the
// latest when the process ends. A source beyond its lines has as many again about the ends of sessions that brought no mail,
// and then those are counted as well. The
// metrics count all of it. Bounded: so many sources, the oldest goes first; since all have the same time, they end in the
// order in which they began. Each worker thread has its own.

import { sourceOf } from '../smtp/client-source.ts';

export const SESSION_LINES = 100;
const SOURCE_LINES = 200;
const WINDOW_MS = 600_000;
const SOURCES = 10_000;

interface Source {
  told: number;
  /** Ends of sessions, told since it had its lines. */
  ends: number;
  /** Not told: refusals, and ends of sessions. */
  refusals: number;
  sessions: number;
  readonly since: number;
}

/** What was only counted, of one source, in so many seconds. */
export interface Counted {
  readonly source: string;
  readonly repeated: number;
  readonly sessions: number;
  readonly seconds: number;
}

export class Floods {
  readonly #now: () => number;
  readonly #tell: (counted: Counted) => void;
  readonly #sources = new Map<string, Source>();
  readonly #said = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  /** `tell` writes the line of a source whose time is over. */
  constructor(now: () => number, tell: (counted: Counted) => void) {
    this.#now = now;
    this.#tell = tell;
  }

  /** Something of this client was refused: true when it is to be told, else it is counted. */
  mayTell(address: string): boolean {
    const source = this.#source(address);
    if (source.told < SOURCE_LINES) {
      source.told++;
      return true;
    }
    source.refusals++;
    this.#wake();
    return false;
  }

  /** A session without mail has ended: true when it is to be told, else it is counted with what it had not told. */
  mayTellEnd(address: string, untold: number): boolean {
    this.#endTimes();
    const source = this.#sources.get(sourceOf(address));
    if (source === undefined || source.told < SOURCE_LINES || source.ends++ < SOURCE_LINES) return true;
    source.refusals += untold;
    source.sessions++;
    this.#wake();
    return false;
  }

  /** Whether this was not yet said of this source; true is taken as said. */
  isFirst(what: string, address: string): boolean {
    const key = `${what} ${sourceOf(address)}`;
    if (this.#said.has(key)) return false;
    if (this.#said.size >= SOURCES) this.#said.delete(this.#said.values().next().value as string);
    this.#said.add(key);
    return true;
  }

  /** Tells whatever was only counted so far. */
  tellAll(): void {
    for (const [name, source] of this.#sources) this.#end(name, source);
  }

  #source(address: string): Source {
    this.#endTimes();
    const name = sourceOf(address);
    let source = this.#sources.get(name);
    if (source === undefined) {
      source = { told: 0, ends: 0, refusals: 0, sessions: 0, since: this.#now() };
      this.#sources.set(name, source);
      if (this.#sources.size > SOURCES) this.#end(...(this.#sources.entries().next().value as [string, Source]));
    }
    return source;
  }

  #endTimes(): void {
    const now = this.#now();
    for (const [name, source] of this.#sources) {
      if (now - source.since < WINDOW_MS) return;
      this.#end(name, source);
    }
  }

  #end(name: string, { refusals: repeated, sessions, since }: Source): void {
    this.#sources.delete(name);
    if (repeated + sessions === 0) return;
    this.#tell({ source: name, repeated, sessions, seconds: Math.round((this.#now() - since) / 1000) });
  }

  /** Something waits to be told: nobody else may come to make us look. */
  #wake(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#endTimes();
      for (const { refusals, sessions } of this.#sources.values()) if (refusals + sessions > 0) return this.#wake();
    }, WINDOW_MS / 10).unref();
  }
}
