// The places at the upstreams for a thread that does not keep them (`SlotServer` is the side of the thread that does).
//
// It counts in the memory that it shares with the others, and asks only where somebody waits or no place is free: so the servers see
// no more sessions than they take, whichever thread a session is in, and who waits does so in one queue.

import { SlotCount } from './slot-count.ts';
import type { AllSlots, ReleaseSlot, SlotKeeper } from './upstream-slots.ts';

/** What a thread may ask of the one that keeps the places. */
export type SlotCalls = {
  /** Where those of an upstream are counted, and those that this thread has; null: there is no such upstream. */
  placesAt(upstream: string): SharedPlaces | null;
  /** Waits for one. */
  takePlace(upstream: string): Promise<boolean>;
  /** One was given back while somebody waited. */
  placeLeft(upstream: string): void;
};

export interface SharedPlaces {
  readonly count: SharedArrayBuffer;
  readonly held: SharedArrayBuffer;
}

/** How it asks. */
export interface SlotChannel {
  call(name: 'placesAt', upstream: string): Promise<SharedPlaces | null>;
  call(name: 'takePlace', upstream: string): Promise<boolean>;
  tell(name: 'placeLeft', upstream: string): void;
}

/** Those that a thread has, so that they are not lost with it. One that dies between two steps has lost one for good; none too many. */
class Held {
  readonly memory: SharedArrayBuffer;
  readonly #cell: Int32Array<SharedArrayBuffer>;

  constructor(memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#cell = new Int32Array(memory);
  }

  add(count: 1 | -1): void {
    Atomics.add(this.#cell, 0, count);
  }

  takeAll(): number {
    return Atomics.exchange(this.#cell, 0, 0);
  }
}

interface Known {
  readonly count: SlotCount;
  readonly held: Held;
  readonly leave: ReleaseSlot;
}

export class RemoteSlots implements SlotKeeper {
  readonly #line: SlotChannel;
  readonly #known = new Map<string, Known>();

  constructor(line: SlotChannel) {
    this.#line = line;
  }

  take(upstream: string): ReleaseSlot | Promise<ReleaseSlot | null> {
    const known = this.#known.get(upstream);
    if (known === undefined) return this.#learn(upstream);
    const { count, held, leave } = known;
    if (count.someWait || !count.take()) return this.#wait(upstream, leave);
    held.add(1);
    return leave;
  }

  async #wait(upstream: string, leave: ReleaseSlot): Promise<ReleaseSlot | null> {
    return (await this.#line.call('takePlace', upstream)) ? leave : null;
  }

  async #learn(upstream: string): Promise<ReleaseSlot | null> {
    const places = await this.#line.call('placesAt', upstream);
    if (places === null) return null;
    const [count, held] = [new SlotCount(places.count), new Held(places.held)];
    const leave = (): void => {
      held.add(-1);
      count.leave();
      if (count.someWait) this.#line.tell('placeLeft', upstream);
    };
    this.#known.set(upstream, { count, held, leave });
    return this.take(upstream);
  }
}

/** One thread that asks, as the thread that keeps the places sees it: when it ends, it gives them all back. */
export class SlotServer {
  readonly calls: SlotCalls;
  readonly #slots: AllSlots;
  readonly #held = new Map<string, Held>(); // by upstream
  #gone = false;

  constructor(slots: AllSlots) {
    this.#slots = slots;
    this.calls = {
      placesAt: (upstream) => {
        const count = slots.countOf(upstream);
        return count === null ? null : { count: count.memory, held: this.#heldAt(upstream).memory };
      },
      takePlace: async (upstream) => {
        const leave = await slots.take(upstream);
        if (leave === null) return false;
        if (this.#gone) leave();
        else this.#heldAt(upstream).add(1);
        return true;
      },
      placeLeft: (upstream) => slots.left(upstream, 0),
    };
  }

  #heldAt(upstream: string): Held {
    const held = this.#held.get(upstream) ?? new Held();
    this.#held.set(upstream, held);
    return held;
  }

  /** The thread is gone. */
  end(): void {
    this.#gone = true;
    for (const [upstream, held] of this.#held) this.#slots.left(upstream, held.takeAll());
  }
}
