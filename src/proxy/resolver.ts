// Forward-confirmed reverse DNS: the names of an address that lead back to it.
//
// A name counts only when one of its own addresses is the one that was asked about: anybody can write any name into the
// reverse zone of their addresses. Whatever DNS fails to answer makes the whole answer "cannot tell" (null); a policy
// never passes on that. Whoever owns a reverse zone answers as they please, so all is bounded: the names of an address and the
// addresses of a name (beyond that nobody can tell), the time of the whole answer, the answers kept, and the questions under
// way, of one network too: the zone of one /48 is no reason to leave others unasked.

import { Resolver } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';

const NAMES_LIMIT = 8;
const ADDRESSES_LIMIT = 256;
const ASKED_LIMIT = 4_096; // addresses asked about at a time: some 4 KB each
const ALONE_LIMIT = 64; // and these have a socket each
const ASKED_OF_NETWORK = 256; // of these, of an IPv4 /24, which has no more, or an IPv6 /48
const CACHE_LIMIT = 10_000;
const KNOWN_FOR = 300_000;
const UNKNOWN_FOR = 15_000;

export interface NameResolverOptions {
  /** Milliseconds for one query, which is said twice. */
  readonly timeout?: number;
  /** Milliseconds for the whole answer. */
  readonly within?: number;
  /** `address:port` of the servers to ask; the system's own when left out. */
  readonly servers?: readonly string[];
  /** Milliseconds that only grow. */
  readonly now?: () => number;
}

interface Answers {
  readonly cache: LRUCache<string, Promise<readonly string[] | null>>;
  readonly known: LRUCache<string, readonly string[]>;
}

export class NameResolver {
  readonly #newResolver: () => Resolver;
  readonly #newAnswers: () => Answers;
  #resolver: Resolver | null = null;
  /** Null until somebody asks, which many never do: room for so many takes milliseconds of a start. */
  #answers: Answers | null = null;
  readonly #alone = new Set<Resolver>();

  #closed = false;

  readonly #within: number;
  readonly #askedOf = new Map<string, number>(); // by network
  #asked = 0;

  constructor(options: NameResolverOptions = {}) {
    const { timeout = 3_000, within = 10_000, servers, now = () => performance.now() } = options;
    this.#within = within;
    this.#newResolver = () => {
      const resolver = new Resolver({ timeout, tries: 2, maxTimeout: timeout });
      if (servers !== undefined) resolver.setServers(servers);
      return resolver;
    };
    this.#newAnswers = () => ({
      cache: new LRUCache({ max: CACHE_LIMIT, ttl: KNOWN_FOR, ttlResolution: 0, perf: { now } }),
      known: new LRUCache({ max: CACHE_LIMIT }),
    });
  }

  /** As DNS spells them; empty when there are none, null when DNS did not answer. Never rejects. */
  names(address: string): Promise<readonly string[] | null> {
    this.#answers ??= this.#newAnswers();
    const { cache, known } = this.#answers;
    const held = cache.get(address);
    if (held !== undefined) return held;
    if (!ipaddr.isValid(address)) return Promise.resolve([]);
    const ip = ipaddr.process(address);
    const network = networkOf(ip);
    const ofNetwork = this.#askedOf.get(network) ?? 0;
    if (this.#asked >= ASKED_LIMIT || ofNetwork >= ASKED_OF_NETWORK) return Promise.resolve(null);
    this.#asked++;
    this.#askedOf.set(network, ofNetwork + 1);
    const asked = inTime(
      this.#ask(ip).finally(() => this.#answered(network)),
      this.#within,
    );
    cache.set(address, asked);
    asked.then((names) => {
      if (names !== null) known.set(address, names);
      // Trouble passes sooner than a name changes.
      if (names === null && cache.peek(address) === asked) cache.set(address, asked, { ttl: UNKNOWN_FOR });
    });
    return asked;
  }

  /** Whatever was not answered yet cannot be told, and nothing is asked any more: sessions that end wait for no DNS. */
  close(): void {
    this.#closed = true;
    for (const resolver of [this.#resolver, ...this.#alone]) resolver?.cancel();
  }

  /** What DNS said last of an address; null when it did not answer or was not asked. */
  known(address: string): readonly string[] | null {
    return this.#answers?.known.get(address) ?? null;
  }

  #answered(network: string): void {
    this.#asked--;
    const left = (this.#askedOf.get(network) ?? 0) - 1;
    if (left > 0) this.#askedOf.set(network, left);
    else this.#askedOf.delete(network);
  }

  async #ask(ip: Ip): Promise<readonly string[] | null> {
    if (this.#closed) return null;
    // Not reverse(): it reads the hosts file too, and takes a server's failure for the absence of a name.
    const names = await this.#query((resolver) => resolver.resolvePtr(reverseName(ip)));
    if (names === null || names.length > NAMES_LIMIT) return null; // which ones would count, the zone's owner would choose
    const confirmed = await Promise.all(
      names.map(async (name) => {
        const isIpv4 = ip.kind() === 'ipv4';
        const addresses = await this.#query((by) => (isIpv4 ? by.resolve4(name) : by.resolve6(name)));
        if (addresses === null || addresses.length > ADDRESSES_LIMIT) return null;
        return addresses.some((one) => ipaddr.process(one).toString() === ip.toString()) ? name : '';
      }),
    );
    if (confirmed.includes(null)) return null;
    return confirmed.filter((name): name is string => name !== null && name !== '');
  }

  /** What was found; nothing where there is nothing; null where nobody knows. */
  async #query(ask: (resolver: Resolver) => Promise<string[]>): Promise<string[] | null> {
    this.#resolver ??= this.#newResolver();
    try {
      return await ask(this.#resolver);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EBADRESP' || this.#closed || this.#alone.size >= ALONE_LIMIT) return nothingOrNull(code);
    }
    // One answer that is none fails all that are awaited on the same socket (c-ares), so others' are asked for again.
    const resolver = this.#newResolver();
    this.#alone.add(resolver);
    try {
      return await ask(resolver);
    } catch (error) {
      return nothingOrNull((error as NodeJS.ErrnoException).code);
    } finally {
      this.#alone.delete(resolver);
    }
  }
}

type Ip = ipaddr.IPv4 | ipaddr.IPv6;

/** RFC 1035 §3.5, RFC 3596 §2.5. */
function reverseName(ip: Ip): string {
  const octets = ip.toByteArray();
  if (octets.length === 4) return `${octets.reverse().join('.')}.in-addr.arpa`;
  return `${[...Buffer.from(octets).toString('hex')].reverse().join('.')}.ip6.arpa`;
}

/** Whose reverse zone it is likely to be in. */
function networkOf(ip: Ip): string {
  return ip
    .toByteArray()
    .slice(0, ip.kind() === 'ipv4' ? 3 : 6)
    .join('.');
}

/** null when it is late. */
async function inTime<T>(answer: Promise<T>, within: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), within);
    timer.unref(); // a process that ends waits for no names
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function nothingOrNull(code: string | undefined): string[] | null {
  return code === 'ENOTFOUND' || code === 'ENODATA' || code === 'EBADNAME' ? [] : null;
}
