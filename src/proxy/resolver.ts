// Forward-confirmed reverse DNS: the names of an address that lead back to it.
//
// A name counts only when one of its own addresses is the one that was asked about: anybody can write any name into the
// reverse zone of their addresses. Whatever DNS fails to answer makes the whole answer "cannot tell" (null); a policy
// never passes on that. Bounded: names looked at, time, and cached answers.

import { Resolver } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';

const NAMES_LIMIT = 8;
const CACHE_LIMIT = 10_000;
const KNOWN_FOR = 300_000;
const UNKNOWN_FOR = 15_000;

export interface NameResolverOptions {
  /** Milliseconds for one query. */
  readonly timeout?: number;
  /** `address:port` of the servers to ask; the system's own when left out. */
  readonly servers?: readonly string[];
  /** Milliseconds that only grow. */
  readonly now?: () => number;
}

export class NameResolver {
  readonly #resolver: Resolver;
  readonly #cache: LRUCache<string, Promise<readonly string[] | null>>;

  #closed = false;

  readonly #known = new LRUCache<string, readonly string[]>({ max: CACHE_LIMIT });

  constructor({ timeout = 3_000, servers, now = () => performance.now() }: NameResolverOptions = {}) {
    this.#resolver = new Resolver({ timeout, tries: 2 });
    if (servers !== undefined) this.#resolver.setServers(servers);
    this.#cache = new LRUCache({ max: CACHE_LIMIT, ttl: KNOWN_FOR, ttlResolution: 0, perf: { now } });
  }

  /** As DNS spells them; empty when there are none, null when DNS did not answer. Never rejects. */
  names(address: string): Promise<readonly string[] | null> {
    const held = this.#cache.get(address);
    if (held !== undefined) return held;
    const asked = this.#ask(address);
    this.#cache.set(address, asked);
    asked.then((names) => {
      if (names !== null) this.#known.set(address, names);
      // Trouble passes sooner than a name changes.
      if (names === null && this.#cache.peek(address) === asked) this.#cache.set(address, asked, { ttl: UNKNOWN_FOR });
    });
    return asked;
  }

  /** Whatever was not answered yet cannot be told, and nothing is asked any more: sessions that end wait for no DNS. */
  close(): void {
    this.#closed = true;
    this.#resolver.cancel();
  }

  /** What DNS said last of an address; null when it did not answer or was not asked. */
  known(address: string): readonly string[] | null {
    return this.#known.get(address) ?? null;
  }

  async #ask(address: string): Promise<readonly string[] | null> {
    if (!ipaddr.isValid(address)) return [];
    if (this.#closed) return null;
    const ip = ipaddr.process(address);
    // Not reverse(): it reads the hosts file too, and takes a server's failure for the absence of a name.
    const names = await orNull(this.#resolver.resolvePtr(reverseName(ip)));
    if (names === null || names.length > NAMES_LIMIT) return null; // which ones would count, the zone's owner would choose
    const confirmed = await Promise.all(
      names.map(async (name) => {
        const isIpv4 = ip.kind() === 'ipv4';
        const addresses = await orNull(isIpv4 ? this.#resolver.resolve4(name) : this.#resolver.resolve6(name));
        if (addresses === null) return null;
        return addresses.some((one) => ipaddr.process(one).toString() === ip.toString()) ? name : '';
      }),
    );
    if (confirmed.includes(null)) return null;
    return confirmed.filter((name): name is string => name !== null && name !== '');
  }
}

type Ip = ipaddr.IPv4 | ipaddr.IPv6;

/** RFC 1035 §3.5, RFC 3596 §2.5. */
function reverseName(ip: Ip): string {
  const octets = ip.toByteArray();
  if (octets.length === 4) return `${octets.reverse().join('.')}.in-addr.arpa`;
  return `${[...Buffer.from(octets).toString('hex')].reverse().join('.')}.ip6.arpa`;
}

/** What was found; nothing where there is nothing; null where nobody knows. */
async function orNull(query: Promise<string[]>): Promise<string[] | null> {
  try {
    return await query;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOTFOUND' || code === 'ENODATA' || code === 'EBADNAME' ? [] : null;
  }
}
