// The places at the upstream: as many sessions as it takes, and a short queue for the next that becomes free.
//
// Exact: a place is counted from when it is given until it is given back, whoever waits or has left meanwhile. First come,
// first served; who has waited for the whole time gets none. The queue is bounded, and one timer serves it, since all
// wait equally long. Not here: limits of sources and connectors, which are policy; this one holds in observe as well.

const QUEUE_LIMIT = 1000;

/** Gives the place back. Called once. */
export type ReleaseSlot = () => void;

interface Waiting {
  readonly until: number;
  readonly resolve: (leave: ReleaseSlot | null) => void;
}

/** Where places are asked for. */
export type SlotKeeper = Pick<UpstreamSlots, 'take'>;

export class UpstreamSlots {
  readonly #limit: number;
  readonly #patience: number;
  #taken = 0;
  #queue: Waiting[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** `limit` places; milliseconds to wait for one. */
  constructor(limit: number, patience: number) {
    this.#limit = limit;
    this.#patience = patience;
  }

  /** A place now, null when there is none and nobody may wait, or what the wait will bring. */
  take(): ReleaseSlot | null | Promise<ReleaseSlot | null> {
    if (this.#taken < this.#limit) {
      this.#taken++;
      return this.#leave;
    }
    if (this.#patience === 0 || this.#queue.length >= QUEUE_LIMIT) return null;
    return new Promise((resolve) => {
      this.#queue.push({ until: performance.now() + this.#patience, resolve });
      this.#watch();
    });
  }

  readonly #leave: ReleaseSlot = () => {
    const next = this.#queue.shift();
    if (next === undefined) this.#taken--;
    else next.resolve(this.#leave);
  };

  #watch(): void {
    const first = this.#queue[0];
    if (first === undefined || this.#timer !== null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        const now = performance.now();
        while (this.#queue[0] !== undefined && this.#queue[0].until <= now) this.#queue.shift()?.resolve(null);
        this.#watch();
      },
      Math.max(1, first.until - performance.now()),
    ).unref();
  }
}
