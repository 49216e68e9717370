// What a policy is compiled with, beside its document.

import { DEFAULT_LIMITS, type Limits, type Mode } from './document.ts';
import type { Resolve } from './judge.ts';
import type { ReadList } from './lists.ts';

export interface PolicyOptions {
  /** Milliseconds since 1970: rules may expire. */
  readonly now: () => number;
  readonly readList: ReadList;
  /** `observe` here is for every connector, whatever it says itself. */
  readonly mode: Mode;
  /** Those of the top of the configuration; connectors replace what they name. */
  readonly limits: Limits;
  /** Of the servers of that name (`connectors[].upstream`). */
  readonly dotLines: (upstream: string) => 'pass' | 'strict';
  readonly textLine: (upstream: string) => number;
  readonly lostAddressGuard: 'refuse' | 'warn';
  /** This host's own addresses, and its default gateways: where clients seem to be when their address is lost. */
  readonly ownAddresses: readonly string[];
  readonly gateways: readonly string[];
  /** Told when a client comes from a lost address and the guard is on: once for each policy. */
  readonly onLostAddress: (address: string) => void;
  /** Null: what depends on reverse DNS cannot be told. */
  readonly resolve: Resolve | null;
}

export const DEFAULT_OPTIONS: Omit<PolicyOptions, 'now'> = {
  // biome-ignore lint/correctness/useYield: there is nothing to wait for
  readList: function* (name) {
    return `${name} cannot be read here`;
  },
  mode: 'enforce',
  limits: DEFAULT_LIMITS,
  dotLines: () => 'pass',
  textLine: () => Number.POSITIVE_INFINITY,
  lostAddressGuard: 'refuse',
  ownAddresses: [],
  gateways: [],
  onLostAddress: () => {},
  resolve: null,
};
