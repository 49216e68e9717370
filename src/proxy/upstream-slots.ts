// The places at an upstream: as many sessions as it takes, and a short queue for the next that becomes free.
//
// Exact: a place is counted from when it is given until it is given back, whoever waits or has left meanwhile. First come,
// first served; who has waited for the whole time gets none. The queue is bounded, and one timer serves it, since all
// wait equally long. The count is in shared memory (slot-count.ts), so that other threads take what is free by themselves
// (remote-slots.ts). Not here: limits of sources and connectors, which are policy; this one holds in observe as well.

import { SlotCount } from './slot-count.ts';

const QUEUE_LIMIT = 1000;

/** Gives the place back. Called once. */
export type ReleaseSlot = () => void;

interface Waiting {
  readonly until: number;
  readonly resolve: (leave: ReleaseSlot | null) => void;
}

/** Where places are asked for, by the name of the upstream. */
export interface SlotKeeper {
  take(upstream: string): ReleaseSlot | null | Promise<ReleaseSlot | null>;
}

export interface SlotSettings {
  readonly name: string;
  readonly limit: number;
  /** Milliseconds to wait for a place. */
  readonly patience: number;
}

/** The places of all upstreams. */
export class AllSlots implements SlotKeeper {
  /** Those of an upstream that a reload took out stay: its sessions give theirs back. */
  readonly #of = new Map<string, UpstreamSlots>();

  constructor(upstreams: readonly SlotSettings[]) {
    this.change(upstreams);
  }

  change(upstreams: readonly SlotSettings[]): void {
    for (const { name, limit, patience } of upstreams) {
      const slots = this.#of.get(name);
      if (slots === undefined) this.#of.set(name, new UpstreamSlots(limit, patience));
      else slots.change(limit, patience);
    }
  }

  take(upstream: string): ReleaseSlot | null | Promise<ReleaseSlot | null> {
    return this.#of.get(upstream)?.take() ?? null;
  }

  /** Null: there is no such upstream. */
  countOf(upstream: string): SlotCount | null {
    return this.#of.get(upstream)?.count ?? null;
  }

  /** So many more were left by others, beside those that they have counted themselves. */
  left(upstream: string, count: number): void {
    this.#of.get(upstream)?.left(count);
  }
}

export class UpstreamSlots {
  readonly count = new SlotCount();
  #patience: number;
  #queue: Waiting[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** `limit` places; milliseconds to wait for one. */
  constructor(limit: number, patience: number) {
    this.#patience = patience;
    this.count.setLimit(limit);
  }

  /** From now on; who has a place keeps it, and who waits may have one of those that are new. */
  change(limit: number, patience: number): void {
    this.#patience = patience;
    this.count.setLimit(limit);
    this.#serve();
  }

  /** A place now, null when there is none and nobody may wait, or what the wait will bring. */
  take(): ReleaseSlot | null | Promise<ReleaseSlot | null> {
    if (this.#queue.length === 0 && this.count.take()) return this.#leave;
    if (this.#patience === 0 || this.#queue.length >= QUEUE_LIMIT) return null;
    return new Promise((resolve) => {
      this.#queue.push({ until: performance.now() + this.#patience, resolve });
      this.#watch();
      this.count.setWaiting(this.#queue.length);
      this.#serve(); // another thread may have left one before it could know that somebody waits
    });
  }

  left(count: number): void {
    this.count.leave(count);
    this.#serve();
  }

  readonly #leave: ReleaseSlot = () => this.left(1);

  #serve(): void {
    if (this.#queue.length === 0) return;
    while (this.#queue.length > 0 && this.count.take()) this.#queue.shift()?.resolve(this.#leave);
    this.count.setWaiting(this.#queue.length);
  }

  #watch(): void {
    const first = this.#queue[0];
    if (first === undefined || this.#timer !== null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        const now = performance.now();
        while (this.#queue[0] !== undefined && this.#queue[0].until <= now) this.#queue.shift()?.resolve(null);
        this.count.setWaiting(this.#queue.length);
        this.#watch();
      },
      Math.max(1, first.until - performance.now()),
    ).unref();
  }
}
