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
const LOOKED_AT = 8; //       buckets to choose from when one must go
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
    const { charges } = asked;
    const refused = this.#firstWithoutRoom(charges, now);
    if (refused === -1) this.charge(charges, now);
    const banned =
      asked.strike !== null && refused !== -1 && refused < asked.strike.faults ? this.#strike(asked, now) : 'no';
    const first = charges[0];
    return { refused, left: first === undefined ? 0 : Math.max(0, this.#room(first, now)), banned };
  }

  charge(charges: readonly Charge[], now: number): void {
    for (const charge of charges) {
      if (charge.cost > 0) fill(this.#bucketFor(charge, now), charge.cost);
    }
  }

  enter(entry: Entry, now: number): Entered {
    let refused: NoPlace | null = this.#bans.holds(entry.networks, now) ? 'ban' : null;
    let banned: Banned = refused === null ? 'no' : 'was';
    if (refused === null) {
      refused = this.#firstWithoutRoom(entry.charges, now) === -1 ? this.#open.reached(entry) : 'rate';
      if (refused !== null && refused !== 'connector') banned = this.#strike(entry, now);
    }
    if (refused === null || entry.force) {
      this.charge(entry.charges, now);
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
      if (left === undefined || (left === charge.limit && !this.#table(charge.key).has(charge.key))) continue;
      this.#bucketFor(charge, now).level = (charge.limit - left) * charge.window;
    }
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
    this.charge([strike.charge], now);
    if (this.#room(strike.charge, now) > 0) return 'no';
    this.#bans.add({ network: strike.network, for: strike.for, by: 'limits' }, now);
    return 'now';
  }

  #firstWithoutRoom(charges: readonly Charge[], now: number): number {
    for (let i = 0; i < charges.length; i++) {
      const charge = charges[i] as Charge;
      if (this.#room(charge, now) < Math.max(1, charge.cost)) return i;
    }
    return -1;
  }

  /** Looked at is in use: it moves to the front. */
  #room(charge: Charge, now: number): number {
    const bucket = this.#table(charge.key).get(charge.key);
    if (bucket === undefined) return charge.limit;
    leak(bucket, charge, now);
    return room(bucket);
  }

  #bucketFor(charge: Charge, now: number): Bucket {
    const table = this.#table(charge.key);
    let bucket = table.get(charge.key);
    if (bucket === undefined) {
      if (table.size >= table.max) giveUpOne(table);
      bucket = newBucket(charge, now);
      table.set(charge.key, bucket);
    } else leak(bucket, charge, now);
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

function giveUpOne(table: Table): void {
  let chosen: string | undefined;
  let soonest = Number.POSITIVE_INFINITY;
  let looked = 0;
  for (const key of table.rkeys()) {
    const at = emptyAt(table.peek(key) as Bucket);
    if (at < soonest) {
      soonest = at;
      chosen = key;
    }
    if (++looked === LOOKED_AT) break;
  }
  if (chosen !== undefined) table.delete(chosen);
}

function fullest(table: Table, most: number, now: number): Use[] {
  const uses: Use[] = [];
  let looked = 0;
  for (const key of table.keys()) {
    const bucket = table.peek(key) as Bucket;
    leak(bucket, bucket, now);
    if (bucket.level > 0) uses.push({ key, used: used(bucket), limit: bucket.limit, window: bucket.window });
    if (++looked === VIEWED) break;
  }
  return uses.sort((a, b) => b.used / b.limit - a.used / a.limit).slice(0, most);
}
