// What is counted, and how it is asked: the one interface between those who limit and those who keep the counts.
//
// Every question is whole in itself (everything is charged, or nothing) and every question and answer is plain data, so that
// it may be answered by this thread's memory, by another thread over a message port, or by one script in Redis. An answer
// that is not a promise came without waiting: the common path stays synchronous. Nothing here rejects: who cannot be asked is
// replaced by counts of one's own (redis-store.ts), because no relay decision may hang on a counter.
//
// Times are milliseconds. `now` is the asker's clock, which only grows; a store that has a clock of its own (another thread,
// Redis) goes by that instead. Not here: which limits there are and what a client hears (serve/limiter.ts).

/** So much put into one bucket, which holds `limit` in each `window`. */
export interface Charge {
  /** As `bucketKey` makes it (keys.ts): bounded in length, whatever a peer called itself. */
  readonly key: string;
  readonly limit: number;
  readonly window: number;
  /** 0 only asks whether one more would go in. */
  readonly cost: number;
}

/** When a source has gone beyond its limits too often, and what follows. */
export interface Strike {
  readonly charge: Charge;
  /** Of the charges asked, so many from the first on are the source's own fault. */
  readonly faults: number;
  /** What is banned (as in `Place.networks`), and for how long. */
  readonly network: string;
  readonly for: number;
  /** While there is no room in this bucket, a fault is one with the last that counted. */
  readonly once?: Charge | undefined;
}

/** What one command costs. */
export interface Asked {
  /** Under which of these the client would be banned: `192.0.2.1/32`, `2001:db8::/64` … */
  readonly networks: readonly string[];
  readonly charges: readonly Charge[];
  /** Null where nobody is banned for this. */
  readonly strike: Strike | null;
}

/** `was`: banned already, and nothing was charged. `now`: this question was one too many. */
export type Banned = 'no' | 'was' | 'now';

export interface Taken {
  /** The first charge that does not fit; -1 when all are charged. */
  readonly refused: number;
  /** How many more would go into the first charge's bucket; 0 when there are no charges. */
  readonly left: number;
  readonly banned: Banned;
}

/** What one open connection is counted under. */
export interface Seat {
  readonly connector: string;
  /** The network that counts as one source, as in `Asked.networks`. */
  readonly source: string;
}

/** What one connection wants before it is let in. Infinity = no limit. */
export interface Entry extends Asked {
  readonly seat: Seat;
  readonly ofSource: number;
  readonly ofConnector: number;
  /** A source may have so many hundredths of the connections that the others leave of `ofConnector`. */
  readonly percent: number;
  /** Counted and charged whatever is reached (observe). */
  readonly force: boolean;
}

/** Why there is no place, the narrowest first; `rate` is one of the charges. */
export type NoPlace = 'ban' | 'rate' | 'source' | 'percent' | 'connector';

export interface Entered {
  readonly refused: NoPlace | null;
  readonly banned: Banned;
}

export interface Ban {
  readonly network: string;
  /** From now on. */
  readonly for: number;
  readonly by: 'limits' | 'operator';
}

/** One bucket as it stands. */
export interface Use {
  readonly key: string;
  readonly used: number;
  readonly limit: number;
  readonly window: number;
}

export interface Open extends Seat {
  readonly open: number;
}

/** For the operator: the fullest buckets, the sources with most connections, the bans; each list bounded. */
export interface View {
  readonly uses: readonly Use[];
  readonly open: readonly Open[];
  readonly bans: readonly Ban[];
}

export interface Store {
  /** Charges all or nothing. */
  take(asked: Asked, now: number): Taken | Promise<Taken>;
  /** Charges without asking: what happened already (a refused recipient, octets of a message). A bucket may overflow. */
  charge(charges: readonly Charge[], now: number): void;
  /** Counts a connection where there is a place for it. */
  enter(entry: Entry, now: number): Entered | Promise<Entered>;
  /** Uncounts a connection that was let in. */
  leave(seat: Seat): void;
  /** Puts or prolongs a ban; true when there was none. */
  ban(ban: Ban, now: number): boolean | Promise<boolean>;
  /** True when there was one. */
  lift(network: string, now: number): boolean | Promise<boolean>;
  /** At most so many of each kind. */
  view(most: number, now: number): View | Promise<View>;
  /** How many are banned, as far as this process knows. */
  bans(now: number): number;
  close(): Promise<void>;
}
