// Which side told of a session first: eight octets for each of a few million sessions, as their logs may be anywhere apart.
//
// A table of open addressing over the ids, which are 64 bits in hexadecimal. Full, it says yes to everybody and says so: then
// something may be counted twice, and nothing is left out.

const SMALLEST = 1 << 12;
const LARGEST = 1 << 22; // slots, at most three of four used: 32 MiB, three million sessions

const SIDE_BITS = 2;

export class SeenSessions {
  #slots = new Uint32Array(2 * SMALLEST);
  #used = 0;
  isFull = false;

  /** True when this side tells of it, because no other has. `side`: 1 or 2. */
  claim(id: string, side: number): boolean {
    if (id.length !== 16) return true;
    const high = Number.parseInt(id.slice(0, 8), 16) >>> 0;
    const low = Number.parseInt(id.slice(8), 16) >>> 0;
    // Two bits of the id make room for the side; its highest are the same for decades (they are ticks of a clock).
    const first = ((high << SIDE_BITS) | side) >>> 0;
    const at = this.#find(this.#slots, first, low);
    const found = this.#slots[at] as number;
    if (found !== 0) return (found & ((1 << SIDE_BITS) - 1)) === side;
    if (this.#used * 8 >= this.#slots.length * 3 && !this.#grow()) {
      this.isFull = true;
      return true;
    }
    const slot = this.#find(this.#slots, first, low);
    this.#slots[slot] = first;
    this.#slots[slot + 1] = low;
    this.#used += 1;
    return true;
  }

  /** The slot of this session, whichever side told of it, or the empty one where it would stand. */
  #find(slots: Uint32Array, first: number, low: number): number {
    const wrap = slots.length - 1;
    const id = first >>> SIDE_BITS;
    for (let at = (mixed(id, low) * 2) & wrap; ; at = (at + 2) & wrap) {
      const found = slots[at] as number;
      if (found === 0 || (found >>> SIDE_BITS === id && slots[at + 1] === low)) return at;
    }
  }

  #grow(): boolean {
    if (this.#slots.length >= 2 * LARGEST) return false;
    const grown = new Uint32Array(this.#slots.length * 2);
    for (let at = 0; at < this.#slots.length; at += 2) {
      const first = this.#slots[at] as number;
      if (first === 0) continue;
      const low = this.#slots[at + 1] as number;
      const to = this.#find(grown, first, low);
      grown[to] = first;
      grown[to + 1] = low;
    }
    this.#slots = grown;
    return true;
  }
}

function mixed(high: number, low: number): number {
  const once = Math.imul(low ^ (low >>> 15), 0x2c1b3c6d) ^ Math.imul(high, 0x9e3779b1);
  return (once ^ (once >>> 13)) >>> 1;
}
