// Lists of ranges, domains, addresses and users as a policy writes them, turned into sets, each fault noted with its
// place. A list that came out empty never holds: a faulty or empty file closes, it does not open.

import { foldAscii } from '../smtp/bytes.ts';
import type { Address } from '../smtp/types.ts';
import { type DomainPattern, DomainTable, parseDomainPattern } from './domains.ts';
import { type Ip, parseIp } from './ip.ts';
import { NameSet } from './name-set.ts';
import { several, whyNoName, whyNoUser, whyTooWide } from './names.ts';
import { Pile } from './pile.ts';
import type { Path, Place, Problem, Severity } from './problem.ts';
import { RangeTable } from './range-table.ts';
import { extent, hullOf, isInside, isMasked, isSingle, parseRange, type Range, type Span } from './ranges.ts';
import { union } from './spans.ts';
import { foldWidely, fromOctets, lately, readingsOf, toOctets } from './spellings.ts';
import { STEP, type Steps } from './steps.ts';

/** The file of valid recipients, read: its lines without comments and blanks. */
export interface ListFile {
  readonly file: string;
  readonly lines: Iterable<{ readonly text: string; readonly place: Place; readonly fault: string | null }>;
}

/** Finds it by the name that the policy gives it; a string says why it cannot be read. */
export type ReadList = (name: string) => Steps<ListFile | string>;

/** Where problems are gathered while a policy is compiled. */
export class Notes {
  readonly problems: Problem[] = [];
  readonly readList: ReadList;

  constructor(readList: ReadList) {
    this.readList = readList;
  }

  add(severity: Severity, path: Path, message: string, place?: Place | undefined): void {
    this.problems.push({ severity, path, message, place });
  }

  error(path: Path, message: string, place?: Place | undefined): void {
    this.add('error', path, message, place);
  }

  warn(path: Path, message: string, place?: Place | undefined): void {
    this.add('warning', path, message, place);
  }

  note(path: Path, message: string, place?: Place | undefined): void {
    this.add('note', path, message, place);
  }
}

/** One range of a list, and where it was written. */
export class SourceEntry {
  readonly range: Range;
  readonly text: string;
  readonly #list: Path;
  readonly #index: number;

  constructor(range: Range, text: string, list: Path, index: number) {
    this.range = range;
    this.text = text;
    this.#list = list;
    this.#index = index;
  }

  get path(): Path {
    return [...this.#list, this.#index];
  }
}

/** The peer whose address is judged. `lost`: the address may be that of a NAT or proxy, not the client's own. */
export interface Client {
  readonly ip: Ip;
  readonly lost: boolean;
}

/** A mask with holes that leaves at most this many addresses is no wide range, wherever they are. */
const FEW_ADDRESSES = 65_536;

export class SourceSet {
  readonly entries: readonly SourceEntry[];
  readonly #table: RangeTable;

  /** Those with a mask with holes. */
  readonly masked: readonly SourceEntry[];

  private constructor(entries: readonly SourceEntry[], masked: readonly SourceEntry[], table: RangeTable) {
    this.entries = entries;
    this.masked = masked;
    this.#table = table;
  }

  static *inSteps(entries: readonly SourceEntry[]): Steps<SourceSet> {
    const masked: SourceEntry[] = [];
    for (const [i, entry] of entries.entries()) {
      if (i % STEP === STEP - 1) yield;
      if (isMasked(entry.range)) masked.push(entry);
    }
    return new SourceSet(entries, masked, yield* RangeTable.inSteps(entries));
  }

  holds(ip: Ip): boolean {
    return this.#table.holds(ip);
  }

  /** The first entry that holds it, for people. */
  entryFor(ip: Ip): SourceEntry | null {
    return this.entries.find(({ range }) => isInside({ lo: ip, hi: ip }, range)) ?? null;
  }

  /** Listed as one address, and not only as part of a range. */
  names(ip: Ip): boolean {
    const place = this.#table.find(ip); // of the smallest range
    return place !== null && isSingle((this.entries[place] as SourceEntry).range);
  }

  /** As spans that hold no address that the list does not hold: masks with holes are left out. Sorted and disjoint. */
  surest(): Steps<Span[]> {
    return this.#table.covered();
  }

  /** As spans that hold at least every address that the list holds; small masked sets are left out. Sorted and disjoint. */
  *widest(): Steps<Span[]> {
    const spans = yield* this.surest();
    const wide = this.masked.filter(({ range }) => extent(range) >= FEW_ADDRESSES);
    return wide.length === 0 ? spans : union([...spans, ...wide.map(({ range }) => hullOf(range))]);
  }
}

/** Whether an address is in a list of ranges that were checked before. */
export function inRanges(list: readonly string[]): (address: string) => boolean {
  const table = RangeTable.of(list.flatMap((text) => parseRange(text).ranges));
  return (address) => {
    const ip = parseIp(address);
    return ip !== null && table.holds(ip);
  };
}

/** Reads a list of ranges. Names are left to `other`, which returns whether it took the entry. */
export function* readRanges(
  list: readonly string[],
  path: Path,
  notes: Notes,
  other: (text: string, path: () => Path) => boolean = () => false,
): Steps<SourceEntry[]> {
  const entries = new Pile<SourceEntry>();
  for (const [i, text] of list.entries()) {
    if (i % STEP === STEP - 1) yield;
    if (other(text, () => [...path, i])) continue;
    const { ranges, error, warning } = parseRange(text);
    if (error !== undefined) notes.error([...path, i], error);
    if (warning !== undefined) notes.warn([...path, i], warning);
    for (const range of ranges) entries.push(new SourceEntry(range, text, path, i));
  }
  return yield* entries.toArray();
}

/** Reads a list of `d` and `*.d`. */
export function* readDomains(list: readonly string[], path: Path, notes: Notes): Steps<DomainTable> {
  const table = new DomainTable();
  // Not at the first: many rules have a short list each.
  for (const [i, text] of list.entries()) {
    if (i % STEP === STEP - 1) yield* table.makeRoom();
    const pattern = parseDomainPattern(text);
    if (typeof pattern === 'string') notes.error([...path, i], pattern);
    else if (table.add(pattern, true) !== undefined) notes.warn([...path, i], `'${text}' is listed twice`);
  }
  return table;
}

/** Addresses, and `<>` for the null reverse-path. The local part is folded too: nobody has two mailboxes that differ
 * in case only, and a policy that treated them apart would be passed by by writing in capitals. */
export class AddressSet {
  readonly #keys = new NameSet();
  readonly #domains = new Map<string, DomainPattern | string>();
  /** For a no: those whose wide form is another. */
  readonly #wide = new Set<string>();
  /** For a no: the names at domains of ours, which a bare sender may be completed to. */
  readonly #bare = new Set<string>();
  readonly #isOwn: (domain: string) => boolean;

  constructor(isOwn: (domain: string) => boolean = () => false) {
    this.#isOwn = isOwn;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** What is wrong with `text`, or null. `domains`: the key that takes everybody of a domain, if there is one. */
  add(text: string, domains: string | null = null): string | null {
    if (PLAIN_ADDRESS.test(text)) return this.#addAt(text, text.lastIndexOf('@'), domains);
    if (text === '<>') {
      this.#keys.add('');
      return null;
    }
    if (text.length > LONGEST_ADDRESS) return `an address of ${text.length} characters, which no command line holds`;
    const wrong = whyNoName(text);
    if (wrong !== null) return wrong;
    const at = text.lastIndexOf('@');
    const written = text.slice(0, at);
    const isQuoted = /^"(\\.|[^"\\])*"$/.test(written);
    const many = isQuoted ? null : several(text);
    if (many !== null) return many;
    if (at < 1)
      return `'${text}' is not an address: user@example.com is wanted${domains === null || !text.includes('.') ? '' : `; everybody of a domain goes under ${domains}`}`;
    if (/[<>]/.test(text)) return `'${text}': write the address alone, without brackets`;
    if (!isQuoted && /[*?]/.test(written))
      return `'${text}': addresses are named one by one, and a star or question mark is only that${domains === null ? '' : `; everybody of ${text.slice(at + 1)} goes under ${domains}`}`;
    if (!isQuoted && /[@:\\"()[\]]/.test(written)) return `'${text}' is not an address: user@example.com is wanted`;
    const wide = isQuoted ? null : whyTooWide(written);
    if (wide !== null) return wide;
    if (!isQuoted && /\s/.test(written))
      return `'${text}' has a blank in it: did you mean '${text.replace(/\s/g, '')}'?`;
    return this.#addAt(text, at, domains);
  }

  #addAt(text: string, at: number, domains: string | null): string | null {
    const local = localKey(text.slice(0, at));
    const host = text.slice(at + 1);
    if (host.startsWith('[') && host.endsWith(']')) {
      this.#add(`${local}@${foldAscii(toOctets(host))}`);
      return null;
    }
    if (host.startsWith('*'))
      return `'${text}': a pattern of domains ${domains === null ? 'is no address' : `goes under ${domains}`}`;
    const pattern = this.#domain(host);
    if (typeof pattern === 'string') return pattern;
    for (const form of pattern.forms) {
      this.#add(`${local}@${form}`);
      if (this.#isOwn(form)) this.#bare.add(wideKey(local));
    }
    return null;
  }

  #add(key: string): void {
    this.#keys.add(key);
    if (PLAIN_KEY.test(key)) return;
    const wide = widened(key);
    if (wide !== key) this.#wide.add(wide);
  }

  /** A million addresses are of a few domains. */
  #domain(host: string): DomainPattern | string {
    let pattern = this.#domains.get(host);
    if (pattern === undefined) {
      pattern = parseDomainPattern(host);
      if (this.#domains.size < DOMAINS_KEPT) this.#domains.set(host, pattern);
    }
    return pattern;
  }

  hasNullPath(): boolean {
    return this.#keys.has('');
  }

  has(address: Address): boolean {
    const host = address.domain ?? (address.literal === null ? null : `[${foldAscii(address.literal)}]`);
    return host !== null && this.#keys.has(`${foldAscii(address.local)}@${host}`);
  }

  /** For a no: whether somebody may read the address as one of these. */
  mayHave(address: Address): boolean {
    if (this.has(address)) return true;
    const local = wideKey(address.local);
    if (address.literal !== null) return this.#hasWide(local, literalKey(address.literal));
    if (address.domain === null) return this.#bare.has(local);
    return [address.domain, ...readingsOf(address.domain)].some((domain) => this.#hasWide(local, domain));
  }

  #hasWide(local: string, host: string): boolean {
    const key = `${local}@${host}`;
    return this.#keys.has(key) || this.#wide.has(key);
  }
}

/** The key of a listed address, with its local part as widely folded as one from the wire is for a no. */
function widened(key: string): string {
  const at = key.lastIndexOf('@');
  const host = key.slice(at + 1);
  return `${wideKey(key.slice(0, at))}@${host.startsWith('[') ? literalKey(host.slice(1, -1)) : host}`;
}

const wideKey = lately((local) => foldWidely(fromOctets(local)).trim());

/** An address for people. */
export function formatAddress({ local, domain, literal }: Address): string {
  return fromOctets(domain === null && literal === null ? local : `${local}@${domain ?? `[${literal}]`}`);
}

/** One text for all spellings of an address in a literal. */
function literalKey(text: string): string {
  const ip = parseIp(text.replace(/^ipv6:/i, ''));
  return `[${ip === null ? foldAscii(text) : ip}]`;
}

/** Most addresses: nothing in front of the @ that could be written otherwise. */
const PLAIN_ADDRESS = /^[a-z0-9._+-]{1,64}@[a-z0-9.-]+$/i;
const PLAIN_KEY = /^[a-z0-9._+@-]*$/;
const DOMAINS_KEPT = 1_000;
const LONGEST_ADDRESS = 16_000;

function localKey(written: string): string {
  if (/^[a-z0-9._+-]*$/.test(written)) return written;
  const quoted = /^"(.*)"$/.exec(written);
  const decoded = quoted === null ? written : (quoted[1] as string).replace(/\\(.)/g, '$1');
  return foldAscii(toOctets(decoded));
}

export function* readAddresses(
  list: readonly string[],
  path: Path,
  notes: Notes,
  isOwn?: (domain: string) => boolean,
): Steps<AddressSet> {
  const set = new AddressSet(isOwn);
  const key = path.at(-1);
  const domains = key === 'senders' ? 'sender_domains' : key === 'recipients' ? 'recipient_domains' : null;
  for (const [i, text] of list.entries()) {
    if (i % STEP === STEP - 1) yield;
    const wrong = set.add(text, domains);
    if (wrong !== null) notes.error([...path, i], wrong);
  }
  return set;
}

/** A local address that a client may have connected to; null stands for any. */
export interface Endpoint {
  readonly ip: Ip | null;
  readonly port: number | null;
}

/** Reads `address:port`, `[address]:port`, `*:port` or an address. A string says what is wrong. */
export function parseEndpoint(text: string): Endpoint | string {
  const many = several(text);
  if (many !== null) return many;
  const withPort = /^(\*|\[(?<v6>[^\]]*)\]|(?<v4>[^:[\]]*)):(?<port>[0-9]+)$/.exec(text);
  const { v6, v4, port } = withPort?.groups ?? {};
  const address = withPort === null ? text.replace(/^\[(.*)\]$/, '$1') : (v6 ?? v4 ?? null);
  if (address === '' || address === '*') return `'${text}': any address of ours at one port is written *:25`;
  const ip = address === null ? null : parseIp(address);
  if (address !== null && ip === null)
    return `'${text}' is not a local address: 192.0.2.1:25, [2001:db8::1]:25, *:25 or an address is wanted`;
  if (ip === 0 || ip === 0n)
    return `'${text}': no client connects to ${address}; every address of ours is written *:${port ?? 25}`;
  if (port === undefined) return { ip, port: null };
  if (Number(port) < 1 || Number(port) > 65535) return `'${text}': a port is a number from 1 to 65535`;
  return { ip, port: Number(port) };
}

/** Notes what is wrong with the logins of a list. */
export function* checkUsers(list: readonly string[], path: Path, notes: Notes): Steps<void> {
  for (const [i, name] of list.entries()) {
    if (i % STEP === STEP - 1) yield;
    const wrong = whyNoUser(name);
    if (wrong !== null) notes.error([...path, i], wrong);
  }
}

/** An empty list never holds, and under `not` that is always. */
export function warnOfEmpty(list: readonly string[] | undefined, path: Path, notes: Notes): void {
  if (list?.length !== 0) return;
  const turned = path.filter((step) => step === 'not').length % 2 === 1;
  notes.warn(path, `an empty list never holds${turned ? ', and what stands under not always does' : ''}`);
}

/** For a yes: names below a top-level name are nobody's in particular. Anybody may have one, with a zone that says so of his address. */
export function* warnOfTopLevel(list: readonly string[], path: Path, notes: Notes): Steps<void> {
  for (const [i, text] of list.entries()) {
    if (i % STEP === STEP - 1) yield;
    if (isTopLevel(text)) notes.warn([...path, i], topLevel(text));
  }
}

export function isTopLevel(text: string): boolean {
  return /^\*\.[^.]+\.?$/.test(text);
}

export function topLevel(text: string): string {
  return `'${text}' holds every domain below a top-level name: name the domains that are meant`;
}
