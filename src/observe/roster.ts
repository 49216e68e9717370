// What comes and goes thousands of times a second, in the order in which it came.
//
// A Set would do but for the collector. A table that a Set has outgrown points to the next one, and where one of them has become
// old, all that has stood in any since then is taken for alive until the old memory is looked through: two thirds of what a flood
// of clients that hang up left behind was copied again and again. Here a row that is empty is empty.

/** What stands in a roster. */
export interface Listed {
  /** The roster's alone. */
  row: number;
}

const FEW = 64; // rows that are not worth being closed up

export class Roster<T extends Listed> {
  readonly #rows: (T | null)[] = [];
  #size = 0;
  #readers = 0; // nothing is moved while somebody reads

  get size(): number {
    return this.#size;
  }

  add(one: T): void {
    one.row = this.#rows.length;
    this.#rows.push(one);
    this.#size++;
  }

  /** Nothing where it is not there. */
  delete(one: T): void {
    if (this.#rows[one.row] !== one) return;
    this.#rows[one.row] = null;
    this.#size--;
    if (this.#readers === 0 && this.#rows.length > FEW && this.#size < this.#rows.length / 2) this.#closeUp();
  }

  #closeUp(): void {
    const rows = this.#rows;
    let to = 0;
    for (const one of rows) {
      if (one === null) continue;
      one.row = to;
      rows[to++] = one;
    }
    rows.length = to;
  }

  /** What goes meanwhile is left out, and what comes meanwhile is there. */
  *[Symbol.iterator](): Generator<T> {
    this.#readers++;
    try {
      for (let row = 0; row < this.#rows.length; row++) {
        const one = this.#rows[row];
        if (one != null) yield one;
      }
    } finally {
      this.#readers--;
    }
  }
}
