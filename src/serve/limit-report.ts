// What an operator sees and does about limits: GET /limits, POST /bans, DELETE /bans/….
//
// The shapes are a contract (docs/limits.md). Every list has an end, and what a peer called itself is made harmless.

import { readKey } from '../limits/keys.ts';
import type { Ban, Use } from '../limits/store.ts';
import { harmless } from '../observe/log.ts';
import { parseNetwork } from '../policy/networks.ts';
import type { Policy } from '../policy/policy.ts';
import type { BanStatus, LimitsView, LimitUse } from '../status/shapes.ts';
import type { Limiter } from './limiter.ts';

const MOST = 100; // of each kind

export class LimitReport {
  readonly #limiter: Limiter;
  readonly #policy: () => Policy;
  readonly #lifted: (network: string) => void;

  constructor(limiter: Limiter, policy: () => Policy, lifted: (network: string) => void) {
    this.#limiter = limiter;
    this.#policy = policy;
    this.#lifted = lifted;
  }

  async view(): Promise<LimitsView> {
    const { store, now } = this.#limiter;
    const { uses, open, bans } = await store.view(MOST, now());
    const of = (kind: string): LimitUse[] =>
      uses.filter(({ key }) => readKey(key).kind === kind).map((use) => formatUse(use));
    return {
      sources: of('source'),
      logins: of('login'),
      senders: of('sender'),
      connectors: of('connector'),
      connections: open.map(({ connector, source, open }) => ({ connector, source, open })),
      bans: bans.map(formatBan),
    };
  }

  /** `given`: the body of the question. A string says what is wrong with it. */
  async ban(given: unknown): Promise<object | string> {
    const { source, for: length } = (given ?? {}) as { source?: unknown; for?: unknown };
    if (typeof source !== 'string')
      return 'source: the address or network to ban is wanted, as {"source": "192.0.2.1"}';
    const read = this.#network(source);
    if ('problem' in read) return `source: ${read.problem}`;
    const ms = length === undefined ? DEFAULT_BAN : typeof length === 'string' ? readDuration(length) : null;
    if (ms === null) return 'for: a duration is wanted, as "300s", "10m" or "24h"';
    if (ms > LONGEST_BAN)
      return 'for: too long: "8760h", a year, is the most; connect: { deny: […] } in the policy is for ever';
    const ban: Ban = { network: read.network, for: ms, by: 'operator' };
    await this.#limiter.store.ban(ban, this.#limiter.now());
    this.#limiter.observer.banned(ban);
    return formatBan(ban);
  }

  /** Whether there was one; a string says what is wrong with the question. */
  async lift(source: string): Promise<boolean | string> {
    const read = this.#network(source);
    if ('problem' in read) return `source: ${read.problem}`;
    const was = await this.#limiter.store.lift(read.network, this.#limiter.now());
    if (was) this.#lifted(read.network);
    return was;
  }

  #network(text: string): ReturnType<typeof parseNetwork> {
    return parseNetwork(
      text,
      this.#policy().connectors.map(({ limits }) => limits.source),
    );
  }
}

const DEFAULT_BAN = 600_000;
const LONGEST_BAN = 8_760 * 3_600_000;
const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

function readDuration(text: string): number | null {
  const match = /^([1-9][0-9]{0,11})([smh])$/.exec(text);
  return match === null ? null : Number(match[1]) * (UNITS[match[2] as string] as number);
}

function formatUse({ key, used, limit, window }: Use): LimitUse {
  const { kind, rate, connector, names } = readKey(key);
  const [name, source] = names.map(harmless);
  return {
    connector,
    ...(kind === 'connector' ? {} : { [kind]: name }),
    ...(source === undefined ? {} : { source }),
    limit: rate === 'strikes' ? 'ban.after' : rate,
    used: Math.round(used * 100) / 100,
    of: limit,
    seconds: window / 1000,
  };
}

function formatBan({ network, for: ms, by }: Ban): BanStatus {
  return { source: network, seconds: Math.ceil(ms / 1000), until: new Date(Date.now() + ms).toISOString(), by };
}
