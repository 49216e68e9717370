// Entries of the old systems' lists of addresses: how they were written, which addresses they held there, and how a policy
// says that.
//
// The old server's arithmetic is kept apart from the policy's (`holds`), so that cases made with the one can prove the
// other. A grant is said as narrow as it was or narrower, a denial as wide as it was or wider.

import { parseDomainPattern } from '../policy/domains.ts';
import { after, before, formatIp, type Ip, isIpv4, isLoopback, LAST_IPV4, parseIp } from '../policy/ip.ts';
import type { Place } from '../policy/problem.ts';
import { parseRange, type Span } from '../policy/ranges.ts';
import { intersect, isWide, publicPart, union } from '../policy/spans.ts';
import { atOnce } from '../policy/steps.ts';

/** `(address AND mask) = net`, as the old servers calculate; a range; or a name in DNS. */
export type Address =
  | { readonly net: number; readonly mask: number }
  | { readonly lo: Ip; readonly hi: Ip }
  | { readonly name: string };

export interface Entry {
  readonly address: Address;
  /** As it stood there. */
  readonly written: string;
  readonly where: Place;
}

/** Reads `a`, `a;mask`, `a, mask`, `a mask`, `a/mask`, `a/len`, `a-b` or a domain; a string says what is wrong. */
export function parseEntry(text: string): Address | string {
  const wanted = `'${text}' is neither an address, as 192.0.2.1 or 192.0.2.0;255.255.255.0, nor a domain`;
  const [first = '', second, ...more] = text.trim().split(/\s*[;,]\s*|\s+/);
  if (more.length > 0) return wanted;
  if (second !== undefined) return masked(first, second, text);
  const slash = /^([0-9.]+)\/([0-9]+\.[0-9.]+)$/.exec(first);
  if (slash !== null) return masked(slash[1] as string, slash[2] as string, text);
  const ip = parseIp(first);
  if (ip !== null) return isIpv4(ip) ? { net: ip, mask: LAST_IPV4 } : { lo: ip, hi: ip };
  if (/[/-]/.test(first) && /^[0-9a-f]*[.:]/i.test(first)) {
    const { ranges, error } = parseRange(first);
    const [span] = ranges;
    if (error === undefined && span !== undefined && 'lo' in span) return { lo: span.lo, hi: span.hi };
  }
  if (/^[0-9./:-]*$/.test(first)) return wanted;
  const pattern = parseDomainPattern(first.toLowerCase());
  // A top-level name has no digits: 10.20.30.1O7 is a mistyped address and no name.
  return typeof pattern === 'string' || !/\.([a-z]{2,}|xn--[a-z0-9-]+)\.?$/i.test(first)
    ? wanted
    : { name: pattern.text };
}

function masked(address: string, maskText: string, text: string): Address | string {
  const net = parseIp(address);
  const mask = parseIp(maskText);
  if (net === null || !isIpv4(net)) return `'${text}': ${address} is no address of four decimal parts`;
  if (mask === null || !isIpv4(mask)) return `'${text}': ${maskText} is no mask of four decimal parts`;
  return { net, mask };
}

/** Whether the old server found this client in it. */
export function holds(address: Address, ip: Ip, names: readonly string[] = []): boolean {
  if ('name' in address) {
    const { name } = address;
    const below = name.startsWith('*.') ? name.slice(1) : null;
    return names.some((one) => one === name.replace(/^\*\./, '') || (below !== null && one.endsWith(below)));
  }
  if ('net' in address) return isIpv4(ip) && (ip & address.mask) >>> 0 === address.net;
  return isIpv4(ip) === isIpv4(address.lo) && ip >= address.lo && ip <= address.hi;
}

/** How a policy says an entry: the texts of its list, what they hold, and how that differs. */
export interface Saying {
  readonly texts: readonly string[];
  /** What the policy's entry holds, for the cases. */
  readonly address: Address | null;
  /** '' where it is the same. */
  readonly differs: string;
}

const MOST_PIECES = 16; // of a mask with holes; with more it stays a mask, and check warns of it

/** Who may talk at all: as it was, since that is no right to relay. */
export function sayAdmission({ address }: Entry): Saying {
  if ('name' in address) return { texts: [address.name], address, differs: '' };
  if (neverMatches(address)) return leftOut(NEVER_MATCHED);
  const said = sayExactly(address);
  return said === null ? leftOut(NO_MASK) : { texts: said, address, differs: '' };
}

/** What a grant may say; that it is not wide is for the whole list to see. */
export function sayGrant(entry: Entry): Saying {
  const said = sayAdmission(entry);
  const { address } = said;
  if (address === null || 'name' in address || isOpenFor([address])) return said;
  if (!spansOf(address).some((span) => span.lo !== span.hi && overlapsLoopback(span))) return said;
  return holds(address, LOCALHOST)
    ? { texts: ['127.0.0.1'], address: { net: LOCALHOST, mask: LAST_IPV4 }, differs: LOOPBACK_ONLY }
    : leftOut(LOOPBACK_ONLY);
}

function leftOut(differs: string): Saying {
  return { texts: [], address: null, differs };
}

const NEVER_MATCHED = 'left out: its address has bits outside its mask, so that it never matched';
const NO_MASK = 'left out: a mask with many holes that does not begin with 255 cannot be said';
const LOCALHOST = 0x7f000001;
const LOOPBACK_ONLY =
  'of a range with loopback only 127.0.0.1: behind a NAT or proxy strangers seem to come from there';

/** What a denial must say at least. */
export function sayDenial({ address }: Entry): Saying {
  if ('name' in address) {
    const wider = address.name.startsWith('*.') ? address.name : `*.${address.name}`;
    return {
      texts: [wider],
      address: { name: wider },
      differs: wider === address.name ? '' : 'and all names below it',
    };
  }
  if ('net' in address && neverMatches(address)) {
    const fixed = { net: (address.net & address.mask) >>> 0, mask: address.mask };
    const differs = 'its address has bits outside its mask, so that it never matched there: here it does';
    return { texts: sayExactly(fixed) ?? [hullText(fixed)], address: fixed, differs };
  }
  const said = sayExactly(address);
  if (said !== null) return { texts: said, address, differs: '' };
  const hull = hullOf(address as { net: number; mask: number });
  return { texts: [formatSpan(hull)], address: hull, differs: 'from its first address to its last, with the holes' };
}

function neverMatches(address: Address): boolean {
  return 'net' in address && (address.net & ~address.mask) !== 0;
}

function overlapsLoopback(span: Span): boolean {
  if (!isIpv4(span.lo)) return span.lo <= 1n && span.hi >= 1n;
  return span.lo <= 0x7fffffff && (span.hi as number) >= 0x7f000000;
}

/** Null: only as a mask that no policy takes. */
function sayExactly(address: Exclude<Address, { name: string }>): string[] | null {
  if ('lo' in address) return [formatSpan(address)];
  const { net, mask } = address;
  const pieces = piecesOf(net, mask);
  if (pieces !== null) return pieces.map(formatSpan);
  return mask >>> 24 === 255 ? [`${formatIp(net)};${formatIp(mask)}`] : null;
}

/** As spans; null where they are too many. */
function piecesOf(net: number, mask: number): Span[] | null {
  const free = ~mask >>> 0;
  // The free bits at the end are one span, each other one doubles the number.
  const tail = free === LAST_IPV4 ? LAST_IPV4 : ((~free & (free + 1)) >>> 0) - 1;
  const others = bitsOf((free & ~tail) >>> 0);
  if (2 ** others.length > MOST_PIECES) return null;
  let starts = [net];
  for (const bit of others) starts = starts.flatMap((start) => [start, (start | bit) >>> 0]);
  return union(starts.map((lo) => ({ lo, hi: lo + tail })));
}

function bitsOf(value: number): number[] {
  const bits: number[] = [];
  for (let i = 0; i < 32; i++) if ((value & (1 << i)) !== 0) bits.push((1 << i) >>> 0);
  return bits;
}

/** At least what it holds. */
function spansOf(address: Exclude<Address, { name: string }>): readonly Span[] {
  if ('lo' in address) return [address];
  return piecesOf(address.net, address.mask) ?? [hullOf(address)];
}

function hullOf({ net, mask }: { net: number; mask: number }): Span {
  return { lo: net, hi: (net | ~mask) >>> 0 };
}

function hullText(address: { net: number; mask: number }): string {
  return formatSpan(hullOf(address));
}

/** `a`, `a/len` where it is a network, else `a-b`. */
export function formatSpan({ lo, hi }: Span): string {
  if (lo === hi) return formatIp(lo);
  const size = isIpv4(lo) ? BigInt((hi as number) - lo) + 1n : (hi as bigint) - lo + 1n;
  const isNet = (size & (size - 1n)) === 0n && BigInt(lo) % size === 0n;
  if (!isNet) return `${formatIp(lo)}-${formatIp(hi)}`;
  const free = size.toString(2).length - 1;
  return `${formatIp(lo)}/${(isIpv4(lo) ? 32 : 128) - free}`;
}

/** Every address that some of them hold, with nothing but addresses: whether a right for these is one for the Internet. */
export function isOpenFor(addresses: readonly Address[]): boolean {
  const spans = union(addresses.flatMap((one) => ('name' in one ? [] : [...spansOf(one)])));
  return atOnce(publicPart(spans)).some(isWide);
}

/** Addresses in it and beside it, at its edges and in its holes: what is worth asking. */
export function samples(address: Address): Ip[] {
  if ('name' in address) return [];
  const spans = 'net' in address ? (piecesOf(address.net, address.mask) ?? [hullOf(address)]).slice(0, 4) : [address];
  const found = spans.flatMap(({ lo, hi }) => [lo, hi, ...neighbours({ lo, hi })]);
  return [...new Set(found)].filter(isAskable);
}

function neighbours({ lo, hi }: Span): Ip[] {
  const low = isIpv4(lo) ? lo > 0 : lo > 0n;
  const high = isIpv4(hi) ? hi < LAST_IPV4 : true;
  return [...(low ? [before(lo)] : []), ...(high ? [after(hi)] : [])];
}

/** No client has it: 0.0.0.0, loopback, and what stands for the local end in a case. */
function isAskable(ip: Ip): boolean {
  return ip !== 0 && ip !== LAST_IPV4 && !isLoopback(ip);
}

/** The parts of `some` that lie in `others`, as texts. */
export function meet(some: readonly Address[], others: readonly Address[]): boolean {
  const spans = (list: readonly Address[]) => union(list.flatMap((one) => ('name' in one ? [] : [...spansOf(one)])));
  return intersect(spans(some), spans(others)).length > 0;
}

/** Of `--inside`, which was checked. */
export function rangeOf(text: string): Address {
  const [span] = parseRange(text).ranges;
  if (span === undefined) return { name: text };
  return 'lo' in span ? { lo: span.lo, hi: span.hi } : { net: span.net, mask: span.mask };
}
