// The places at the upstreams for a thread that does not keep them: it asks the one that does (`SlotServer` is that thread's side).
//
// So the servers see no more sessions than they take, whichever thread a session is in, and who waits does so in one queue.

import type { ReleaseSlot, SlotKeeper } from './upstream-slots.ts';

/** What a thread may ask of the one that keeps the places. */
export type SlotCalls = {
  takePlace(upstream: string): Promise<boolean>;
  leavePlace(upstream: string): void;
};

/** How it asks. */
export interface SlotChannel {
  call(name: 'takePlace', upstream: string): Promise<boolean>;
  tell(name: 'leavePlace', upstream: string): void;
}

export class RemoteSlots implements SlotKeeper {
  readonly #line: SlotChannel;

  constructor(line: SlotChannel) {
    this.#line = line;
  }

  async take(upstream: string): Promise<ReleaseSlot | null> {
    const has = await this.#line.call('takePlace', upstream);
    return has ? () => this.#line.tell('leavePlace', upstream) : null;
  }
}

/** One thread that asks, as the thread that keeps the places sees it: when it ends, it gives them all back. */
export class SlotServer {
  readonly calls: SlotCalls;
  readonly #taken = new Map<string, ReleaseSlot[]>(); // by upstream
  #gone = false;

  constructor(slots: SlotKeeper) {
    this.calls = {
      takePlace: async (upstream) => {
        const leave = await slots.take(upstream);
        if (leave === null) return false;
        if (this.#gone) leave();
        else this.#placesAt(upstream).push(leave);
        return true;
      },
      leavePlace: (upstream) => this.#placesAt(upstream).pop()?.(),
    };
  }

  #placesAt(upstream: string): ReleaseSlot[] {
    const taken = this.#taken.get(upstream) ?? [];
    this.#taken.set(upstream, taken);
    return taken;
  }

  /** The thread is gone. */
  end(): void {
    this.#gone = true;
    for (const taken of this.#taken.values()) for (const leave of taken.splice(0)) leave();
  }
}
