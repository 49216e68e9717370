// How many places of an upstream are taken, counted in memory that all threads share: whoever finds one free has it without asking.
//
// Invariant: never more are taken than there are, and nobody goes before those who wait, who are known to one thread
// (upstream-slots.ts). All steps are atomic and in one order for all threads.

const LIMIT = 0;
const TAKEN = 1;
const WAITING = 2;
const CELLS = 3;

const MOST = 2 ** 31 - 1;

export class SlotCount {
  readonly memory: SharedArrayBuffer;
  readonly #cells: Int32Array<SharedArrayBuffer>;

  /** `memory`: that of another thread's count, which becomes one with it. */
  constructor(memory = new SharedArrayBuffer(CELLS * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  /** Who has a place keeps it. */
  setLimit(limit: number): void {
    Atomics.store(this.#cells, LIMIT, Math.min(limit, MOST));
  }

  /** How many wait; who has said so looks once more whether there is a place. */
  setWaiting(count: number): void {
    Atomics.store(this.#cells, WAITING, count);
  }

  get someWait(): boolean {
    return Atomics.load(this.#cells, WAITING) > 0;
  }

  /** Whether there was one. */
  take(): boolean {
    const cells = this.#cells;
    for (;;) {
      const taken = Atomics.load(cells, TAKEN);
      if (taken >= Atomics.load(cells, LIMIT)) return false;
      if (Atomics.compareExchange(cells, TAKEN, taken, taken + 1) === taken) return true;
    }
  }

  leave(count = 1): void {
    Atomics.sub(this.#cells, TAKEN, count);
  }
}
