// The counts of one process, in its memory: every answer comes at once.
//
// Bounded whatever comes. Each kind of bucket has a table of its own, so that invented senders or logins push out no source.
// A full table gives up, of the few buckets that were looked at longest ago, the one that soonest says no more than a new one
// would. So who is active is never forgotten, and an exhausted bucket stands through a flood of fresh ones: to push it out
// takes some others that are as exhausted and were left alone as long. Pure: the time is an argument.
//
// Not chosen: lru-cache's own eviction (it would give up the exhausted bucket of a patient flooder for his fresh ones) and its
// time to live (a bucket's end moves with every charge).

import { LRUCache } from 'lru-cache';
import { Bans } from './bans.ts';
import { type Bucket, emptyAt, fill, leak, newBucket, room, used } from './gcra.ts';
import { OpenConnections } from './open-connections.ts';
import type {
  Asked,
  Ban,
  Banned,
  Charge,
  Entered,
  Entry,
  NoPlace,
  Open,
  Seat,
  Store,
  Taken,
  Use,
  View,
} from './store.ts';

/** Sources, at most; a quarter as many of every other kind. About 200 octets each, and none before the first. */
const MOST_SOURCES = 500_000;
const LOOKED_AT = 64; //      buckets to choose from when some must go
const VIEWED = 20_000; //     of the newest of each kind, for the operator

type Table = LRUCache<string, Bucket>;

export class MemoryStore implements Store {
  readonly #most: number;
  readonly #tables = new Map<string, Table>();
  readonly #bans = new Bans();
  readonly #open = new OpenConnections();

  constructor(mostSources = MOST_SOURCES) {
    this.#most = mostSources;
  }

  take(asked: Asked, now: number): Taken {
    if (this.#bans.holds(asked.networks, now)) return { refused: -1, left: 0, banned: 'was' };
    const { charges, strike } = asked;
    const found = charges.map((charge) => this.#find(charge, now));
    const refused = firstWithoutRoom(charges, found);
    if (refused === -1) this.#pay(charges, found, now);
    const banned = strike !== null && refused !== -1 && refused < strike.faults ? this.#strike(asked, now) : 'no';
    const [first] = charges;
    return { refused, left: first === undefined ? 0 : Math.max(0, roomIn(found[0], first)), banned };
  }

  charge(charges: readonly Charge[], now: number): void {
    this.#pay(
      charges,
      charges.map((charge) => this.#find(charge, now)),
      now,
    );
  }

  enter(entry: Entry, now: number): Entered {
    let refused: NoPlace | null = this.#bans.holds(entry.networks, now) ? 'ban' : null;
    let banned: Banned = refused === null ? 'no' : 'was';
    const found = entry.charges.map((charge) => this.#find(charge, now));
    if (refused === null) {
      refused = firstWithoutRoom(entry.charges, found) === -1 ? this.#open.reached(entry) : 'rate';
      if (refused !== null && this.#open.isOwnFault(refused, entry)) banned = this.#strike(entry, now);
    }
    if (refused === null || entry.force) {
      this.#pay(entry.charges, found, now);
      this.#open.enter(entry.seat);
    }
    return { refused, banned };
  }

  leave(seat: Seat): void {
    this.#open.leave(seat);
  }

  /** Takes over how much room others found in these buckets. */
  settle(charges: readonly Charge[], rooms: readonly number[], now: number): void {
    for (const [i, charge] of charges.entries()) {
      const left = rooms[i];
      const bucket = this.#find(charge, now);
      if (left === undefined || (left === charge.limit && bucket === undefined)) continue;
      (bucket ?? this.#begin(charge, now)).level = (charge.limit - left) * charge.window;
    }
  }

  /** How many more go into a bucket. */
  left(charge: Charge, now: number): number {
    return roomIn(this.#find(charge, now), charge);
  }

  /** A bucket as it stands, unless it is empty. */
  bucket(key: string, now: number): Readonly<Bucket> | null {
    const bucket = this.#table(key).peek(key);
    if (bucket === undefined) return null;
    leak(bucket, bucket, now);
    return bucket.level > 0 ? bucket : null;
  }

  /** Counts a connection that is open already. */
  seat(seat: Seat): void {
    this.#open.enter(seat);
  }

  /** Every connection that is counted. */
  seats(): Iterable<Open> {
    return this.#open.all();
  }

  ban(ban: Ban, now: number): boolean {
    return this.#bans.add(ban, now);
  }

  lift(network: string, now: number): boolean {
    return this.#bans.lift(network, now);
  }

  bans(now: number): number {
    return this.#bans.count(now);
  }

  view(most: number, now: number): View {
    const uses = [...this.#tables.values()].flatMap((table) => fullest(table, most, now));
    return { uses, open: this.#open.top(most), bans: this.#bans.list(most, now) };
  }

  /** How many buckets it holds. */
  get size(): number {
    return [...this.#tables.values()].reduce((sum, { size }) => sum + size, 0);
  }

  async close(): Promise<void> {}

  #strike({ strike }: Asked, now: number): Banned {
    if (strike === null) return 'no';
    if (strike.once !== undefined) {
      const found = [this.#find(strike.once, now)];
      if (firstWithoutRoom([strike.once], found) !== -1) return 'no';
      this.#pay([strike.once], found, now);
    }
    const bucket = this.#find(strike.charge, now) ?? this.#begin(strike.charge, now);
    fill(bucket, strike.charge.cost);
    if (room(bucket) > 0) return 'no';
    this.#bans.add({ network: strike.network, for: strike.for, by: 'limits' }, now);
    return 'now';
  }

  /** As it stands now. Looked at is in use: it moves to the front. */
  #find(charge: Charge, now: number): Bucket | undefined {
    const bucket = this.#table(charge.key).get(charge.key);
    if (bucket !== undefined) leak(bucket, charge, now);
    return bucket;
  }

  #pay(charges: readonly Charge[], found: (Bucket | undefined)[], now: number): void {
    for (const [i, charge] of charges.entries()) {
      if (charge.cost === 0) continue;
      found[i] ??= this.#begin(charge, now);
      fill(found[i] as Bucket, charge.cost);
    }
  }

  #begin(charge: Charge, now: number): Bucket {
    const table = this.#table(charge.key);
    if (table.size >= table.max) giveUpSome(table);
    const bucket = newBucket(charge, now);
    table.set(charge.key, bucket);
    return bucket;
  }

  #table(key: string): Table {
    const kind = key.slice(0, key.indexOf('.'));
    let table = this.#tables.get(kind);
    if (table === undefined) {
      table = new LRUCache({ max: kind === 'source' ? this.#most : Math.ceil(this.#most / 4) });
      this.#tables.set(kind, table);
    }
    return table;
  }
}

function firstWithoutRoom(charges: readonly Charge[], found: readonly (Bucket | undefined)[]): number {
  return charges.findIndex((charge, i) => roomIn(found[i], charge) < Math.max(1, charge.cost));
}

function roomIn(bucket: Bucket | undefined, { limit }: Charge): number {
  return bucket === undefined ? limit : room(bucket);
}

/** Makes room: of the buckets that were looked at longest ago the half goes that soonest says nothing. Many at once, since
 * walking along a cache costs more than the choice. */
function giveUpSome(table: Table): void {
  const keys = [...table.rkeys().take(LOOKED_AT)];
  const oldest = keys.map((key) => ({ key, at: emptyAt(table.peek(key) as Bucket) }));
  oldest.sort((a, b) => a.at - b.at);
  for (const { key } of oldest.slice(0, Math.ceil(oldest.length / 2))) table.delete(key);
}

function fullest(table: Table, most: number, now: number): Use[] {
  const uses: Use[] = [];
  for (const key of table.keys().take(VIEWED)) {
    const bucket = table.peek(key) as Bucket;
    leak(bucket, bucket, now);
    if (bucket.level > 0) uses.push({ key, used: used(bucket), limit: bucket.limit, window: bucket.window });
  }
  return uses.sort((a, b) => b.used / b.limit - a.used / a.limit).slice(0, most);
}
