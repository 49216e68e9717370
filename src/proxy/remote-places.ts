// Places at the upstream for a thread that does not keep them: it asks the one that does (`Lodger` is that thread's side).
//
// So the servers see no more sessions than they take, whichever thread a session is in, and who waits does so in one queue.

import type { Leave, PlaceKeeper } from './places.ts';

/** What a thread may ask of the one that keeps the places. */
export type PlaceCalls = {
  takePlace(): Promise<boolean>;
  leavePlace(): void;
};

/** How it asks. */
export interface PlaceLine {
  call(name: 'takePlace'): Promise<boolean>;
  tell(name: 'leavePlace'): void;
}

export class RemotePlaces implements PlaceKeeper {
  readonly #line: PlaceLine;

  constructor(line: PlaceLine) {
    this.#line = line;
  }

  async take(): Promise<Leave | null> {
    const has = await this.#line.call('takePlace');
    return has ? () => this.#line.tell('leavePlace') : null;
  }
}

/** One thread that asks, as the thread that keeps the places sees it: when it ends, it gives them all back. */
export class Lodger {
  readonly calls: PlaceCalls;
  readonly #taken: Leave[] = [];
  #gone = false;

  constructor(places: PlaceKeeper) {
    this.calls = {
      takePlace: async () => {
        const leave = await places.take();
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
