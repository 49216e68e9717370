// An answer to the operator is made in slices, so that the clients of the same thread wait for none of it: ten thousand sessions
// are 10 ms of work, and nobody's command is to be late for that.
//
//   const pace = new Pace();
//   for (…) { if (pace.isOver) await pace.turn(); … }

import { setImmediate as others } from 'node:timers/promises';

const SLICE_MS = 0.1;

export class Pace {
  #end = performance.now() + SLICE_MS;

  /** It is the others' turn. */
  get isOver(): boolean {
    return performance.now() >= this.#end;
  }

  async turn(): Promise<void> {
    await others();
    this.#end = performance.now() + SLICE_MS;
  }
}
