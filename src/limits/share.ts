// How many buckets of one kind this node has in Redis: so many at a time, whatever peers invent.
//
// A reverse-path or a login costs a client nothing to make up, and an owner of IPv6 has millions of /64s; each would be a key in
// Redis until its bucket is empty. Who comes beyond the share is counted by this node alone, in its memory, which is bounded as
// well. Pure: the time is an argument. Not here: telling Redis (redis-store.ts).

const LOOKED_AT = 16; // of the oldest, whenever there is no place

export class Share {
  readonly #most: number;
  readonly #until = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#until.size;
  }

  /** Whether this bucket has a place, or gets one: for `ms` at first. */
  admits(key: string, now: number, ms: number): boolean {
    if (this.#until.has(key)) return true;
    if (this.#until.size >= this.#most) this.#clear(now);
    if (this.#until.size >= this.#most) return false;
    this.#until.set(key, now + ms);
    return true;
  }

  /** Its bucket will be empty in so many ms. */
  lasts(key: string, now: number, ms: number): void {
    if (this.#until.has(key)) this.#until.set(key, now + ms);
  }

  /** Of the oldest those go that are over; the others go behind. */
  #clear(now: number): void {
    let looked = 0;
    for (const [key, until] of this.#until) {
      if (looked++ === LOOKED_AT) return;
      this.#until.delete(key);
      if (until > now) this.#until.set(key, until);
    }
  }
}
