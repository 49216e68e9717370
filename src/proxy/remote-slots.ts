// UpstreamSlots at the upstream for a thread that does not keep them: it asks the one that does (`SlotServer` is that thread's side).
//
// So the servers see no more sessions than they take, whichever thread a session is in, and who waits does so in one queue.

import type { ReleaseSlot, SlotKeeper } from './upstream-slots.ts';

/** What a thread may ask of the one that keeps the places. */
export type SlotCalls = {
  takePlace(): Promise<boolean>;
  leavePlace(): void;
};

/** How it asks. */
export interface SlotChannel {
  call(name: 'takePlace'): Promise<boolean>;
  tell(name: 'leavePlace'): void;
}

export class RemoteSlots implements SlotKeeper {
  readonly #line: SlotChannel;

  constructor(line: SlotChannel) {
    this.#line = line;
  }

  async take(): Promise<ReleaseSlot | null> {
    const has = await this.#line.call('takePlace');
    return has ? () => this.#line.tell('leavePlace') : null;
  }
}

/** One thread that asks, as the thread that keeps the places sees it: when it ends, it gives them all back. */
export class SlotServer {
  readonly calls: SlotCalls;
  readonly #taken: ReleaseSlot[] = [];
  #gone = false;

  constructor(slots: SlotKeeper) {
    this.calls = {
      takePlace: async () => {
        const leave = await slots.take();
        if (leave === null) return false;
        if (this.#gone) leave();
        else this.#taken.push(leave);
        return true;
      },
      leavePlace: () => this.#taken.pop()?.(),
    };
  }

  /** The thread is gone. */
  end(): void {
    this.#gone = true;
    for (const leave of this.#taken.splice(0)) leave();
  }
}
