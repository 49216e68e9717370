// The counts of a thread that keeps none: it asks the one that keeps them for all (`StoreServer` is that thread's side).
//
// So several threads share exact counts: every question is answered by one store, in the order of arrival, by its clock. An
// answer is a promise and costs a wake-up of each thread, some 30 µs alone and 3 µs where many are asked at once
// (bench/counters.ts). Not chosen: a table in shared memory with a lock for every few slots. It answers in a tenth of a
// microsecond, but would be a second store beside the first, without its lists, bans and eviction, and locks that a dying
// thread leaves shut. Not here: a time-out. The store's thread is the process: it does not go away and leave others behind.

import type { Asked, Ban, Charge, Entered, Entry, Seat, Store, Taken, View } from './store.ts';

/** What a thread may ask of the one that keeps the counts. */
export type StoreCalls = {
  take(asked: Asked): Taken | Promise<Taken>;
  charge(charges: readonly Charge[]): void;
  enter(entry: Entry): Entered | Promise<Entered>;
  leave(seat: Seat): void;
  ban(ban: Ban): boolean | Promise<boolean>;
  lift(network: string): boolean | Promise<boolean>;
  view(most: number): View | Promise<View>;
};

/** How it asks. */
export interface StoreChannel {
  call<Name extends keyof StoreCalls>(
    name: Name,
    ...args: Parameters<StoreCalls[Name]>
  ): Promise<Awaited<ReturnType<StoreCalls[Name]>>>;
  tell<Name extends keyof StoreCalls>(name: Name, ...args: Parameters<StoreCalls[Name]>): void;
}

export class RemoteStore implements Store {
  readonly #line: StoreChannel;

  constructor(line: StoreChannel) {
    this.#line = line;
  }

  take(asked: Asked): Promise<Taken> {
    return this.#line.call('take', asked);
  }

  charge(charges: readonly Charge[]): void {
    this.#line.tell('charge', charges);
  }

  enter(entry: Entry): Promise<Entered> {
    return this.#line.call('enter', entry);
  }

  leave(seat: Seat): void {
    this.#line.tell('leave', seat);
  }

  ban(ban: Ban): Promise<boolean> {
    return this.#line.call('ban', ban);
  }

  lift(network: string): Promise<boolean> {
    return this.#line.call('lift', network);
  }

  view(most: number): Promise<View> {
    return this.#line.call('view', most);
  }

  /** The thread that keeps them says how many. */
  bans(): number {
    return 0;
  }

  async close(): Promise<void> {}
}

/** One thread that asks, as the thread that keeps the counts sees it: when it ends, so do the connections it had. */
export class StoreServer {
  readonly calls: StoreCalls;
  readonly #store: Store;
  readonly #seats = new Map<string, { readonly seat: Seat; open: number }>();
  #gone = false;

  /** `now`: milliseconds that only grow. */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.calls = {
      take: (asked) => store.take(asked, now()),
      charge: (charges) => store.charge(charges, now()),
      enter: (entry) => {
        const entered = store.enter(entry, now());
        return entered instanceof Promise
          ? entered.then((later) => this.#seated(entry, later))
          : this.#seated(entry, entered);
      },
      leave: (seat) => this.#leave(seat),
      ban: (ban) => store.ban(ban, now()),
      lift: (network) => store.lift(network, now()),
      view: (most) => store.view(most, now()),
    };
  }

  /** The thread is gone. */
  end(): void {
    this.#gone = true;
    for (const { seat, open } of this.#seats.values()) for (let i = 0; i < open; i++) this.#store.leave(seat);
    this.#seats.clear();
  }

  #seated(entry: Entry, entered: Entered): Entered {
    if (entered.refused !== null && !entry.force) return entered;
    if (this.#gone) this.#store.leave(entry.seat);
    else {
      const key = keyOf(entry.seat);
      const held = this.#seats.get(key);
      if (held === undefined) this.#seats.set(key, { seat: entry.seat, open: 1 });
      else held.open++;
    }
    return entered;
  }

  #leave(seat: Seat): void {
    const key = keyOf(seat);
    const held = this.#seats.get(key);
    if (held === undefined) return;
    if (held.open === 1) this.#seats.delete(key);
    else held.open--;
    this.#store.leave(seat);
  }
}

function keyOf({ connector, source }: Seat): string {
  return `${connector}\0${source}`;
}
