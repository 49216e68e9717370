// What one side has not taken yet: full or not, and for how long nothing of it was taken.
//
// That all is taken is told (`drained`); a side that takes a little all the time is slow, and not stuck.

import type { ByteStream } from './byte-stream.ts';

export class Backpressure {
  #isFull = false;
  #left = 0; // octets, when it was looked at last
  #since = 0; // when they became fewer last, or began to wait

  get isFull(): boolean {
    return this.#isFull;
  }

  /** Since when nothing of it was taken, as far as it was looked at. */
  get since(): number {
    return this.#since;
  }

  /** A write found no room. `now` as of performance.now(). */
  fill(stream: ByteStream, now: number): void {
    if (this.#isFull) return;
    this.#isFull = true;
    this.#left = stream.unsent;
    this.#since = now;
  }

  empty(): void {
    this.#isFull = false;
  }

  /** When it will have been stuck for `ms`, as things stand. */
  stuckAt(ms: number): number {
    return this.#isFull ? this.#since + ms : Number.POSITIVE_INFINITY;
  }

  /** Whether nothing of it was taken for `ms`. */
  isStuck(stream: ByteStream, ms: number, now: number): boolean {
    if (!this.#isFull) return false;
    if (stream.unsent < this.#left) this.#since = now;
    this.#left = stream.unsent;
    return now - this.#since >= ms;
  }
}
