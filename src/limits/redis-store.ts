// The counts of many nodes, in Redis: what one node lets in, all others know at once.
//
// Every question is one round trip. When Redis is away each node goes on with counts of its own, at once, and comes back by
// itself; no client waits longer than redis-client.ts has patience. Those own counts are not cold: they take over how full
// Redis found a bucket and whom it banned, and what they counted alone is put into Redis when it is back, so that a flooder
// gains nothing by its fall.
//
// Keys begin with `postern:{limits}:` – one hash tag, so that a cluster keeps them together – and hold no peer's words: names
// are digests. Connections are counted under a name of this node that is new whenever the connection is, with what is open
// then; the old name counts no more. So nothing is counted twice or for ever, whoever crashes.
//
// What a peer can invent – a source, a login, a reverse-path – has a share of so many keys for each node (share.ts); beyond it
// this node counts by itself.
//
// The one file of this room that is impure: it has a connection, a clock and a name of its own.

import { hash, randomUUID } from 'node:crypto';
import { MemoryStore } from './memory-store.ts';
import { type RedisAddress, RedisClient, type RedisSecrets } from './redis-client.ts';
import { Share } from './share.ts';
import type { Asked, Ban, Banned, Charge, Entered, Entry, NoPlace, Open, Seat, Store, Taken, View } from './store.ts';

export interface RedisEvents {
  up(): void;
  /** Why, in words of ours or of the system. */
  down(why: string): void;
  /** So many buckets of one kind are in Redis that this node counts the others by itself. */
  full(kind: string): void;
  /** Another node has banned somebody. */
  banned(ban: Ban): void;
}

const PREFIX = 'postern:{limits}:';
const BANS = [`${PREFIX}bans`, `${PREFIX}bans:by`, `${PREFIX}bans:version`] as const;
const NODES = `${PREFIX}nodes`;
const BEAT_EVERY = 1_000; // ms
const BANS_KNOWN = 1_000; // of other nodes: the longest
const MOST_VIEWED = 1_000;
const MOST_ALONE = 20_000; // buckets that Redis is told of when it is back
const MERGED_AT_ONCE = 500;
const MOST_SHARED = 100_000; // buckets of one kind and one node: 25 to 29 MB in Redis (bench/redis.ts)
const SAY_AGAIN = 600_000; // ms
const UNLIMITED = 2 ** 53;
const BANNED: readonly Banned[] = ['no', 'now', 'was'];
const WAS_BANNED = 2;

export class RedisStore implements Store {
  readonly #memory = new MemoryStore();
  readonly #events: RedisEvents;
  readonly #client: RedisClient;
  readonly #now: () => number;
  readonly #beating: NodeJS.Timeout;
  readonly #shares = new Map<string, Share>();
  readonly #mostShared: number;
  #saidFull = Number.NEGATIVE_INFINITY;
  readonly #alone = new Set<string>(); // keys of buckets that were charged without Redis
  #node = '';
  #told: readonly Open[] = []; // what was open when this name began
  #begins = false; //            Redis has not answered that
  #version = '';
  #saidDown = false;

  /** `now`: of the process, as askers give it. `patience`: ms that an answer may take. */
  constructor(
    address: RedisAddress,
    secrets: RedisSecrets,
    events: RedisEvents,
    now = () => performance.now(),
    mostShared = MOST_SHARED,
    patience?: number,
  ) {
    this.#mostShared = mostShared;
    this.#events = events;
    this.#now = now;
    const clientEvents = {
      begin: () => this.#begin(),
      there: () => {
        this.#saidDown = false;
        this.#hasBegun();
        events.up();
        this.#merge();
        for (const ban of this.#memory.view(BANS_KNOWN, now()).bans) void this.ban(ban, now());
        void this.#beat();
      },
      away: (why: string) => this.#sayDown(why),
    };
    this.#client = new RedisClient(address, secrets, clientEvents, patience);
    this.#beating = setInterval(() => this.#beat(), BEAT_EVERY).unref();
  }

  get isUp(): boolean {
    return this.#client.isThere;
  }

  /** Whether connections are counted there now: while a name begins this node counts them by itself. */
  get #hasSeats(): boolean {
    return this.#client.isThere && !this.#begins;
  }

  /** Waits for Redis, but not for long: then it is away, and that is said. */
  async opened(patience: number): Promise<void> {
    const until = performance.now() + patience;
    while (!this.isUp && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
    if (!this.isUp) this.#sayDown(this.#client.why);
  }

  take(asked: Asked, now: number): Taken | Promise<Taken> {
    if (!this.#client.isThere) return this.#takeAlone(asked, now);
    const { shared, own } = this.#part(asked, now);
    if (!this.#fits(own, now)) return this.#memory.take(asked, now);
    return this.#client.ask('take', keysOf(shared), argumentsOf(shared)).then((found) => {
      if (found === null) return this.#takeAlone(asked, this.#now());
      const [refused, banned, ...rooms] = found as [number, number, ...number[]];
      this.#settle(shared.charges, rooms);
      if (refused === -1 && banned !== WAS_BANNED) this.#memory.charge(own, this.#now());
      const [first] = asked.charges;
      return {
        refused: asked.charges.indexOf(shared.charges[refused] as Charge),
        left: first === undefined ? 0 : Math.max(0, this.#memory.left(first, now)),
        banned: this.#shadowBan(shared, banned),
      };
    });
  }

  /** What Redis is asked, and what this node counts by itself since its share is full. */
  #part<Question extends Asked>(asked: Question, now: number): { shared: Question; own: Charge[] } {
    const own = asked.charges.filter((charge) => !this.#isShared(charge, now));
    const strike = asked.strike !== null && this.#isShared(asked.strike.charge, now) ? asked.strike : null;
    if (own.length === 0 && strike === asked.strike) return { shared: asked, own };
    const charges = asked.charges.filter((charge) => !own.includes(charge));
    const faults = asked.charges.slice(0, asked.strike?.faults).filter((charge) => !own.includes(charge)).length;
    return { shared: { ...asked, charges, strike: strike && { ...strike, faults } }, own };
  }

  #isShared({ key, window }: Charge, now: number): boolean {
    const kind = kindOf(key);
    if (kind === 'connector') return true; // the configuration names them all
    if (this.#shareOf(kind).admits(key, now, window)) return true;
    if (now - this.#saidFull >= SAY_AGAIN) {
      this.#saidFull = now;
      this.#events.full(kind);
    }
    return false;
  }

  #shareOf(kind: string): Share {
    let share = this.#shares.get(kind);
    if (share === undefined) {
      share = new Share(this.#mostShared);
      this.#shares.set(kind, share);
    }
    return share;
  }

  #fits(own: readonly Charge[], now: number): boolean {
    return own.every((charge) => this.#memory.left(charge, now) >= Math.max(1, charge.cost));
  }

  /** Takes over how much room Redis found, and until when it keeps a key. */
  #settle(charges: readonly Charge[], rooms: readonly number[]): void {
    const now = this.#now();
    this.#memory.settle(charges, rooms, now);
    for (const [i, { key, limit, window }] of charges.entries()) {
      const filled = limit - (rooms[i] as number);
      this.#shareOf(kindOf(key)).lasts(key, now, limit > 0 ? (filled * window) / limit : window);
    }
  }

  #takeAlone(asked: Asked, now: number): Taken {
    this.#remember(asked.charges);
    if (asked.strike !== null) this.#remember([asked.strike.charge]);
    return this.#memory.take(asked, now);
  }

  #enterAlone(entry: Entry, now: number): Entered {
    this.#remember(entry.charges);
    return this.#memory.enter(entry, now);
  }

  /** What Redis must be told when it is back. */
  #remember(charges: readonly Charge[]): void {
    for (const { key } of charges) if (this.#alone.size < MOST_ALONE) this.#alone.add(key);
  }

  charge(charges: readonly Charge[], now: number): void {
    this.#memory.charge(charges, now);
    if (!this.#client.isThere) {
      this.#remember(charges);
      return;
    }
    const shared = charges.filter((charge) => this.#isShared(charge, now));
    if (shared.length > 0) void this.#client.ask('charge', shared.map(bucketName), shared.flatMap(amounts));
  }

  enter(entry: Entry, now: number): Entered | Promise<Entered> {
    if (!this.#hasSeats) return this.#enterAlone(entry, now);
    const { shared, own } = this.#part(entry, now);
    if (!this.#fits(own, now) && !entry.force) return this.#memory.enter(entry, now);
    const { ofSource, ofConnector, percent, force } = entry;
    const keys = [...BANS, NODES, ...seatNames(entry.seat), ...keysOf(shared).slice(BANS.length)];
    const args = [this.#node, Math.min(ofSource, UNLIMITED), Math.min(ofConnector, UNLIMITED), percent, force ? 1 : 0];
    return this.#client.ask('enter', keys, [...args, ...argumentsOf(shared)]).then((found) => {
      if (found === null) return this.#enterAlone(entry, this.#now());
      const [refused, banned, ...rooms] = found as [NoPlace | '', number, ...number[]];
      this.#settle(shared.charges, rooms);
      if (refused === '' || force) {
        this.#memory.charge(own, this.#now());
        this.#memory.seat(entry.seat);
      }
      return { refused: refused === '' ? null : refused, banned: this.#shadowBan(shared, banned) };
    });
  }

  leave(seat: Seat): void {
    this.#memory.leave(seat);
    if (this.#hasSeats) this.#move(seat, -1);
  }

  ban(ban: Ban, now: number): boolean | Promise<boolean> {
    const isNew = this.#memory.ban(ban, now);
    if (!this.#client.isThere) return isNew;
    const asked = this.#client.ask('ban', BANS, [ban.network, Math.ceil(ban.for), ban.by]);
    return asked.then((found) => (found === null ? isNew : found === 1));
  }

  lift(network: string, now: number): boolean | Promise<boolean> {
    const was = this.#memory.lift(network, now);
    if (!this.#client.isThere) return was;
    return this.#client.ask('lift', BANS, [network]).then((found) => (found === null ? was : found === 1));
  }

  bans(now: number): number {
    return this.#memory.bans(now);
  }

  /** What this node has seen, as it stands for all of them. */
  async view(most: number, now: number): Promise<View> {
    await this.#beat(''); // the bans of now
    const own = this.#memory.view(Math.min(most, MOST_VIEWED), now);
    if (!this.#client.isThere) return own;
    const { uses, open } = own;
    const keys = [NODES, ...uses.map(bucketName), ...open.map((seat) => seatNames(seat)[1])];
    const args = [uses.length, ...uses.flatMap(({ limit, window }) => [limit, window])];
    const found = (await this.#client.ask('look', keys, args)) as string[] | null;
    if (found === null) return own;
    return {
      ...own,
      uses: uses
        .map((use, i) => ({ ...use, used: Number(found[i]) }))
        .sort((a, b) => b.used / b.limit - a.used / a.limit),
      open: open.map((seat, i) => ({ ...seat, open: Number(found[uses.length + i]) })).sort((a, b) => b.open - a.open),
    };
  }

  async close(): Promise<void> {
    clearInterval(this.#beating);
    if (this.#client.isThere) await this.#client.ask('end', [NODES], [this.#node]);
    await this.#client.close();
  }

  /** Tells Redis what was counted without it, some at a time. */
  #merge(): void {
    const now = this.#now();
    const keys: string[] = [];
    const args: number[] = [];
    for (const key of this.#alone) {
      const bucket = this.#memory.bucket(key, now);
      if (bucket === null || !this.#isShared({ key, ...bucket, cost: 0 }, now)) continue;
      keys.push(bucketName({ key }));
      args.push(bucket.level, bucket.limit, bucket.window);
    }
    this.#alone.clear();
    for (let at = 0; at < keys.length; at += MERGED_AT_ONCE)
      void this.#client.ask(
        'merge',
        keys.slice(at, at + MERGED_AT_ONCE),
        args.slice(3 * at, 3 * (at + MERGED_AT_ONCE)),
      );
  }

  /** Takes a new name, and puts under it what is open. */
  async #begin(): Promise<boolean> {
    const before = this.#node;
    this.#node = randomUUID();
    this.#begins = true;
    this.#told = [...this.#memory.seats()];
    this.#version = '';
    const counts = new Map<string, number>();
    for (const seat of this.#told) {
      for (const name of seatNames(seat)) counts.set(name, (counts.get(name) ?? 0) + seat.open);
    }
    const begun = await this.#client.ask('begin', [NODES, ...counts.keys()], [before, this.#node, ...counts.values()]);
    return begun !== null;
  }

  /** Tells it who has come and gone since it was told what is open: there is nobody else to do so when they leave. */
  #hasBegun(): void {
    this.#begins = false;
    const moved = new Map<string, Open>();
    const add = (seat: Open, open: number): void => {
      const key = `${seat.connector}\0${seat.source}`;
      moved.set(key, { ...seat, open: (moved.get(key)?.open ?? 0) + open });
    };
    for (const seat of this.#told) add(seat, -seat.open);
    for (const seat of this.#memory.seats()) add(seat, seat.open);
    this.#told = [];
    for (const seat of moved.values()) if (seat.open !== 0) this.#move(seat, seat.open);
  }

  /** So many more are open; less than 0: fewer. */
  #move(seat: Seat, difference: number): void {
    void this.#client.ask('move', seatNames(seat), [this.#node, difference]);
  }

  /** Says that this node lives, and hears of bans. `known`: the version of the bans that it knows. */
  async #beat(known = this.#version): Promise<void> {
    if (!this.#client.isThere) return;
    const found = (await this.#client.ask('beat', [...BANS, NODES], [this.#node, known, BANS_KNOWN])) as
      | [number, string, number?, ...string[]]
      | null;
    if (found === null) return;
    const [alive, version, count, ...rest] = found;
    // We were thought dead: what is open is put under a new name.
    if (alive === 0 && (await this.#begin())) this.#hasBegun();
    if (count === undefined) return;
    this.#version = version;
    const now = this.#now();
    const listed = new Set<string>();
    for (let i = 0; i < rest.length; i += 3) {
      const [network, length, by] = rest.slice(i, i + 3) as [string, string, Ban['by']];
      const ban = { network, for: Number(length), by };
      listed.add(network);
      if (this.#memory.ban(ban, now)) this.#events.banned(ban);
    }
    if (count !== listed.size) return;
    for (const { network } of this.#memory.view(BANS_KNOWN, now).bans) {
      if (!listed.has(network)) this.#memory.lift(network, now);
    }
  }

  #shadowBan({ strike }: Asked, banned: number): Banned {
    if (banned === 1 && strike !== null)
      this.#memory.ban({ network: strike.network, for: strike.for, by: 'limits' }, this.#now());
    return BANNED[banned] as Banned;
  }

  #sayDown(why: string): void {
    if (!this.#saidDown) this.#events.down(why);
    this.#saidDown = true;
  }
}

function kindOf(key: string): string {
  return key.slice(0, key.indexOf('.'));
}

function bucketName({ key }: { readonly key: string }): string {
  return `${PREFIX}${key.slice(0, key.indexOf('\0'))}:${hash('sha256', key, 'base64url')}`;
}

/** Of the connector, and of the source within it. */
function seatNames({ connector, source }: Seat): [string, string] {
  const name = (text: string): string => `${PREFIX}open:${hash('sha256', text, 'base64url')}`;
  return [name(connector), name(`${connector}\0${source}`)];
}

function amounts({ limit, window, cost }: Charge): number[] {
  return [limit, window, cost];
}

function keysOf({ charges, strike }: Asked): string[] {
  const struck = strike === null ? [] : [strike.charge, ...(strike.once === undefined ? [] : [strike.once])];
  return [...BANS, ...[...charges, ...struck].map(bucketName)];
}

function argumentsOf({ charges, networks, strike }: Asked): (string | number)[] {
  const args = [charges.length, ...charges.flatMap(amounts), networks.length, ...networks];
  if (strike === null) return args;
  const { charge, faults, network, once } = strike;
  args.push(charge.limit, charge.window, faults, network, strike.for);
  return once === undefined ? args : [...args, once.limit, once.window];
}
