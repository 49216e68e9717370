// What waits to be written to the client, in order, and the tarpit's waits among it.
//
// The connection adds during a step of the session and flushes once behind it, so that what a step says is one write.
// Behind a wait nothing goes out before its time, and whoever ends the connection does not wait (`hurry`).

import { type ByteStream, writeAll } from './byte-stream.ts';

const WAIT = null;

export interface WaitsOver {
  /** A wait is over, and what stood behind it is to be flushed. */
  waitIsOver(): void;
}

export class ClientWrites {
  readonly #delay: number;
  readonly #owner: WaitsOver;
  #queue: (Uint8Array | typeof WAIT)[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** `delay`: ms of one wait. */
  constructor(delay: number, owner: WaitsOver) {
    this.#delay = delay;
    this.#owner = owner;
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** In the tarpit. */
  get waits(): boolean {
    return this.#timer !== null;
  }

  add(bytes: Uint8Array): void {
    this.#queue.push(bytes);
  }

  addWait(): void {
    this.#queue.push(WAIT);
  }

  /** Instead of everything that waits. */
  replace(bytes: Uint8Array): void {
    this.#queue = [bytes];
  }

  /** Takes the waits out, the one that goes on too. */
  hurry(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#queue.length > 0) this.#queue = this.#queue.filter((bytes) => bytes !== WAIT);
  }

  /** Writes what may go out now. False: the kernel has not taken all. */
  flush(stream: ByteStream): boolean {
    if (this.#queue.length === 0 || this.#timer !== null) return true;
    const wait = this.#queue.indexOf(WAIT);
    const now = (wait === -1 ? this.#queue : this.#queue.slice(0, wait)) as Uint8Array[];
    this.#queue = wait === -1 ? [] : this.#queue.slice(wait + 1);
    if (wait !== -1) {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.#owner.waitIsOver();
      }, this.#delay);
    }
    return now.length === 0 || writeAll(stream, now);
  }
}
