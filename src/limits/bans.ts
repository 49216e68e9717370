// Who is banned, until when, and by whom: networks as `192.0.2.1/32`, each found by its very text.
//
// Which networks an address may be banned under is the asker's to list (policy/networks.ts), so that a question costs a few
// look-ups however many bans there are. Bounded: when full, the one that was needed longest ago goes. Pure: the time is an
// argument.

import { LRUCache } from 'lru-cache';
import type { Ban } from './store.ts';

const MOST_BANS = 100_000;

interface Until {
  readonly until: number;
  readonly by: Ban['by'];
}

export class Bans {
  // A size, and no number of entries, for which it would make room at once: 13 ms of each start.
  readonly #bans = new LRUCache<string, Until>({ maxSize: MOST_BANS, sizeCalculation: () => 1 });

  /** Whether one of these is banned. */
  holds(networks: readonly string[], now: number): boolean {
    if (this.#bans.size === 0) return false;
    return networks.some((network) => this.#found(network, now) !== undefined);
  }

  /** Puts a ban, or prolongs it; true when there was none. */
  add({ network, by, ...ban }: Ban, now: number): boolean {
    const before = this.#found(network, now);
    this.#bans.set(network, { until: Math.max(now + ban.for, before?.until ?? 0), by });
    return before === undefined;
  }

  /** True when there was one. */
  lift(network: string, now: number): boolean {
    const was = this.#found(network, now) !== undefined;
    this.#bans.delete(network);
    return was;
  }

  count(now: number): number {
    for (const network of [...this.#bans.keys()]) this.#found(network, now);
    return this.#bans.size;
  }

  list(most: number, now: number): Ban[] {
    const found: Ban[] = [];
    for (const network of this.#bans.keys()) {
      const { until, by } = this.#bans.peek(network) as Until;
      if (found.length === most) break;
      if (until > now) found.push({ network, for: until - now, by });
    }
    return found;
  }

  #found(network: string, now: number): Until | undefined {
    const found = this.#bans.get(network);
    if (found === undefined || found.until > now) return found;
    this.#bans.delete(network);
    return undefined;
  }
}
