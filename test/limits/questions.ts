// Questions to a store, in few words.
import { bucketKey, type Kind } from '../../src/limits/keys.ts';
import type { Asked, Charge, Entry, Strike } from '../../src/limits/store.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

export function charge(name: string, limit: number, window: number, cost = 1, kind: Kind = 'source'): Charge {
  return { key: bucketKey(kind, 'message_rate', 'internet', name), limit, window, cost };
}

export function asked(
  charges: readonly Charge[],
  networks: readonly string[] = [],
  strike: Strike | null = null,
): Asked {
  return { networks, charges, strike };
}

/** `after` exceeded limits in `window`: banned for as long. */
export function strike(network: string, after: number, window: number, faults: number): Strike {
  const bucket = { key: bucketKey('source', 'strikes', 'internet', network), limit: after, window, cost: 1 };
  return { charge: bucket, faults, network, for: window };
}

const UNLIMITED = Number.POSITIVE_INFINITY;

export function entry(source: string, limits: Partial<Entry> = {}): Entry {
  return {
    networks: [source],
    charges: [],
    strike: null,
    seat: { connector: 'internet', source },
    ofSource: UNLIMITED,
    ofConnector: UNLIMITED,
    percent: 100,
    force: false,
    ...limits,
  };
}
