// Limits of the whole process: the counts, the clock, who hears of what was limited, and the bans of the operator.
//
// What one connection asks is client-limits.ts; how anything is counted is limits/.

import type { Ban, Store } from '../limits/store.ts';
import type { Connector } from '../policy/connector.ts';
import { inRanges } from '../policy/lists.ts';

/** What limits tell the operator, and whoever ends sessions. */
export interface LimitObserver {
  /** A limit answered, or would have. The door tells of itself. */
  limited(kind: 'source' | 'login' | 'sender' | 'connector', key: string): void;
  banned(ban: Ban): void;
}

export class Limiter {
  readonly store: Store;
  readonly observer: LimitObserver;
  readonly now: () => number;
  readonly #neverBanned = new WeakMap<Connector, (address: string) => boolean>();

  constructor(store: Store, observer: LimitObserver, now: () => number = () => performance.now()) {
    this.store = store;
    this.observer = observer;
    this.now = now;
  }

  isNeverBanned(connector: Connector, address: string): boolean {
    const { never_ban } = connector.limits.ban;
    if (never_ban.length === 0) return false;
    let holds = this.#neverBanned.get(connector);
    if (holds === undefined) {
      holds = inRanges(never_ban);
      this.#neverBanned.set(connector, holds);
    }
    return holds(address);
  }
}
