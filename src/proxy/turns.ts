// Whose turn it is: sessions that still have commands to read, one after the other, a little at a time.
//
// A session reads a few commands and gives way (smtp/dialogue). Those that are not done wait here in the order in which they
// gave way; between two rounds the event loop serves whoever has something new. So a hundred clients that send commands
// without end delay an honest one by a round, and not by all that they have sent. One for each thread.

const ROUND = 1; // ms

export class Turns {
  readonly #waiting = new Set<() => void>(); // in the order of coming
  #begun = false;

  /** Calls `turn` once, when it is its turn. One that waits already keeps its place. */
  wait(turn: () => void): void {
    this.#waiting.add(turn);
    if (this.#begun) return;
    this.#begun = true;
    setImmediate(this.#round);
  }

  /** It has no more to read. */
  leave(turn: () => void): void {
    this.#waiting.delete(turn);
  }

  readonly #round = (): void => {
    const end = performance.now() + ROUND;
    // A Set hands out what is added while it is walked, so whoever is not done gets another turn while the round lasts.
    for (const turn of this.#waiting) {
      this.#waiting.delete(turn);
      turn();
      if (performance.now() >= end) break;
    }
    this.#begun = this.#waiting.size > 0;
    if (this.#begun) setImmediate(this.#round);
  };
}
