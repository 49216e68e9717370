// The connection to Redis: one server, the master that Sentinels name, or a cluster.
//
// It only ever says "there" or "away". It is away when it cannot be reached, refuses, or owes an answer for longer than
// PATIENCE; it tries to come back by itself for ever. A question gets its answer or null, never an error, and never later than
// that: whoever asked goes on with counts of its own. One that only stalls is there again when it answers what it owes; one
// that stalls for long is connected to anew. Commands of one turn of the event loop travel together.

import { Cluster, Redis } from 'ioredis';
import { SCRIPTS } from './redis-scripts.ts';

export type Question = keyof typeof SCRIPTS;

export interface RedisAddress {
  /** One server, Sentinels, or some nodes of a cluster. */
  readonly kind: 'single' | 'sentinel' | 'cluster';
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  /** What the Sentinels call it. */
  readonly name: string;
  readonly database: number;
  readonly user: string | null;
  readonly tls: boolean;
}

export interface RedisSecrets {
  readonly password: string | null;
  /** Certificates that the server's must be signed by, in PEM; null = those of the system. */
  readonly ca: string | null;
}

const PATIENCE = 75; // ms
const SETTLE = 2_000; // ms from the connection to the first answer
const SOONEST = 100; // ms until it is tried again
const LATEST = 2_000;

interface Waiting {
  readonly since: number;
  answer(found: unknown): void;
}

export interface ClientEvents {
  /** Connected: what must be said before anything is asked. True when that was answered. */
  begin(): Promise<boolean>;
  there(): void;
  away(why: string): void;
}

export class RedisClient {
  readonly #redis: Redis | Cluster;
  readonly #events: ClientEvents;
  readonly #patience: number;
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined; // for the oldest of them
  #settling: NodeJS.Timeout | undefined;
  #connected = false;
  #there = false;
  #stalled = false; // connected, and owing
  #closed = false;
  #leaving = false; // it was told to hang up, and has not
  #why = 'not connected yet';

  /** `patience`: ms that an answer may take. */
  constructor(address: RedisAddress, secrets: RedisSecrets, events: ClientEvents, patience = PATIENCE) {
    this.#events = events;
    this.#patience = patience;
    this.#redis = connectTo(address, secrets);
    for (const [name, lua] of Object.entries(SCRIPTS)) this.#redis.defineCommand(name, { lua });
    this.#redis.on('ready', () => {
      this.#why = 'it closed the connection'; // until an error says more
      void this.#begin();
    });
    this.#redis.on('connect', () => {
      this.#leaving = false;
      this.#settle();
    });
    this.#redis.on('error', (error: Error) => {
      this.#why = error.message;
    });
    this.#redis.on('close', () => {
      this.#connected = false;
      this.#lose(this.#why);
    });
    this.#redis.connect().catch(() => {}); // it goes on trying, and 'error' has said why
  }

  /** What was the matter last. */
  get why(): string {
    return this.#why;
  }

  get isThere(): boolean {
    return this.#there;
  }

  /** Null when there was no answer in time. */
  ask(question: Question, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return new Promise((resolve) => {
      const waiting: Waiting = {
        since: performance.now(),
        answer: (found) => {
          this.#waiting.delete(waiting);
          resolve(found); // the first one counts
        },
      };
      this.#waiting.add(waiting);
      this.#watch();
      this.#send(question, keys, args).then(
        (found) => {
          waiting.answer(found);
          if (this.#stalled) void this.#begin();
        },
        (error: Error) => this.#drop(error.message),
      );
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#there = false;
    this.#giveUp();
    this.#redis.disconnect();
  }

  #send(question: Question, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const commands = this.#redis as unknown as Record<Question, (...all: (string | number)[]) => Promise<unknown>>;
    return commands[question](keys.length, ...keys, ...args);
  }

  async #begin(): Promise<void> {
    clearTimeout(this.#settling);
    this.#connected = true;
    this.#stalled = false;
    const begun = await this.#events.begin();
    if (!begun || !this.#connected || this.#closed || this.#there) return;
    this.#there = true;
    this.#events.there();
  }

  /** A server that takes connections and says nothing (frozen) is tried anew. */
  #settle(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#drop('it does not answer'), SETTLE).unref();
  }

  /** One timer for all that wait. Late itself, as after a busy moment of ours, it lets arrive what is there before it judges. */
  #watch(): void {
    const [first] = this.#waiting;
    if (this.#timer !== undefined || first === undefined) return;
    const later = (): void => {
      this.#timer = undefined;
      const [oldest] = this.#waiting;
      if (oldest !== undefined && performance.now() - oldest.since >= this.#patience) this.#stall();
      this.#watch();
    };
    const wait = Math.max(1, first.since + this.#patience - performance.now());
    this.#timer = setTimeout(() => setImmediate(later), wait).unref();
  }

  /** It may still answer: until then nobody waits for it. */
  #stall(): void {
    this.#lose(`no answer within ${this.#patience} ms`);
    this.#stalled = this.#connected;
    this.#settle();
  }

  #drop(why: string): void {
    this.#why = why;
    this.#stalled = false;
    this.#lose(why);
    // Once, however many commands failed together: ioredis takes a timer and a listener each time.
    if (this.#closed || this.#leaving) return;
    this.#leaving = true;
    this.#redis.disconnect(true);
  }

  #lose(why: string): void {
    this.#giveUp();
    if (!this.#there) return;
    this.#there = false;
    this.#events.away(why);
  }

  #giveUp(): void {
    for (const { answer } of [...this.#waiting]) answer(null);
  }
}

/** Milliseconds before it is tried for the nth time. */
export function waitBefore(attempt: number): number {
  return Math.min(SOONEST * 2 ** (attempt - 1), LATEST);
}

function connectTo(
  { kind, hosts, name, database, user, tls }: RedisAddress,
  { password, ca }: RedisSecrets,
): Redis | Cluster {
  const secure = tls ? { tls: ca === null ? {} : { ca } } : {};
  const one = {
    db: database,
    username: user ?? undefined,
    password: password ?? undefined,
    protocol: 2 as const,
    connectTimeout: SETTLE,
    disconnectTimeout: SOONEST,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    connectionName: 'postern',
    ...secure,
  };
  const all = { lazyConnect: true, enableOfflineQueue: false, enableAutoPipelining: true };
  if (kind === 'cluster')
    return new Cluster([...hosts], {
      ...all,
      clusterRetryStrategy: waitBefore,
      slotsRefreshTimeout: SETTLE,
      redisOptions: one,
    });
  if (kind === 'single') return new Redis({ ...all, ...one, ...hosts[0], retryStrategy: waitBefore });
  const sentinels = [...hosts];
  const towards = tls ? { enableTLSForSentinelMode: true, sentinelTLS: secure.tls } : {};
  return new Redis({
    ...all,
    ...one,
    ...towards,
    sentinels,
    name,
    retryStrategy: waitBefore,
    sentinelRetryStrategy: waitBefore,
  });
}
