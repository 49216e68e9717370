// A list that may become a million: what is put on it goes into pieces, since an array that grows is copied whole, which takes
// ten milliseconds when it is long, and nobody beside it is served meanwhile.

import { STEP, type Steps } from './steps.ts';

const BITS = 12;
const PIECE = 1 << BITS;

export class Pile<T> {
  readonly #pieces: T[][] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The new length. */
  push(one: T): number {
    if (this.#length % PIECE === 0) this.#pieces.push([]);
    (this.#pieces.at(-1) as T[]).push(one);
    return ++this.#length;
  }

  at(place: number): T | undefined {
    return this.#pieces[place >>> BITS]?.[place & (PIECE - 1)];
  }

  /** As one array. */
  *toArray(): Steps<T[]> {
    if (this.#length <= PIECE) return this.#pieces[0] ?? [];
    const all = new Array<T>(this.#length);
    let at = 0;
    for (const piece of this.#pieces)
      for (const one of piece) {
        if (at % STEP === STEP - 1) yield;
        all[at++] = one;
      }
    return all;
  }
}
