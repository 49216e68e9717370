// Ranges of addresses: how they are written, and what they have to do with each other.
//
// A span is a first and a last address. A mask with holes (Exchange 5.5 allows 255.255.255.123) is no span and is kept as
// it is written. A table that finds the smallest range for an address is in range-table.ts.

import { formatIp, type Ip, isIpv4, LAST_IPV4, LAST_IPV6, parseIp, parseIpv6Bits } from './ip.ts';
import { several } from './names.ts';

export interface Span {
  readonly lo: Ip;
  readonly hi: Ip;
  /** One half of `any`, which is wider than 0.0.0.0/0 or ::/0 alone. */
  readonly ofAny?: true;
}

/** IPv4 addresses whose bits under `mask` are those of `net`; `mask` has holes. */
export interface Masked {
  readonly net: number;
  readonly mask: number;
}

export type Range = Span | Masked;

export const EVERYTHING: readonly Span[] = [
  { lo: 0, hi: LAST_IPV4, ofAny: true },
  { lo: 0n, hi: LAST_IPV6, ofAny: true },
];

export function isMasked(range: Range): range is Masked {
  return 'mask' in range;
}

/** How many addresses, less one. */
export function extent(range: Range): number | bigint {
  if (isMasked(range)) return 2 ** holes(range.mask) - 1;
  if (range.ofAny) return Number.POSITIVE_INFINITY;
  return isIpv4(range.lo) ? (range.hi as number) - range.lo : (range.hi as bigint) - range.lo;
}

export function isSingle(range: Range): boolean {
  return !isMasked(range) && range.lo === range.hi;
}

export function holes(mask: number): number {
  let count = 0;
  for (let rest = ~mask >>> 0; rest !== 0; rest >>>= 1) count += rest & 1;
  return count;
}

/** What an entry means. `error`: it means nothing; `warning`: it is accepted, but is it what was meant? */
export interface ParsedRange {
  readonly ranges: readonly Range[];
  readonly error?: string;
  readonly warning?: string;
}

/** Reads `any`, an address, `net/len`, `lo-hi` or `net;mask`. */
export function parseRange(text: string): ParsedRange {
  if (text === 'any') return { ranges: EVERYTHING };
  const many = several(text.replace(/\s*[-;/]\s*/g, '-'), /[,\s]/) === null ? null : several(text, /[,\s]/);
  if (many !== null) return wrong(many);
  if (text.includes('%'))
    return wrong(`'${text}' has a zone id: leave it out, zones are dropped before anything is compared`);
  if (text.includes(';')) return parseMasked(text);
  if (text.includes('/')) return parseCidr(text);
  if (text.includes('-')) return parseSpan(text);
  const ip = parseIp(text);
  return ip === null ? wrong(notAnAddress(text)) : { ranges: [{ lo: ip, hi: ip }] };
}

function wrong(error: string): ParsedRange {
  return { ranges: [], error };
}

/** Why `text` is no address, and what it may have been meant to be. */
export function notAnAddress(text: string): string {
  const unpadded = text.replace(/\b0+(?=[0-9])/g, '');
  if (parseIp(unpadded) !== null)
    return `'${text}' has leading zeros, which some read as octal: did you mean ${unpadded}?`;
  if (/^[0-9.]+$/.test(text))
    return `'${text}' is not an address: four decimal parts from 0 to 255 are wanted, as 192.0.2.1`;
  if (text === '*' || text.toLowerCase() === 'any' || text.toLowerCase() === 'all')
    return `'${text}' is not a range: every address is written any`;
  if (/^[a-z0-9*-]+(\.[a-z0-9-]+)+$/i.test(text))
    return `'${text}' is a name, not an address: clients are named by reverse DNS under ptr`;
  return `'${text}' is not an address: 192.0.2.1, 2001:db8::1, 10.0.0.0/8, 192.0.2.5-192.0.2.9, 10.0.0.0;255.0.0.0, any and file:PATH are known`;
}

function parseSpan(text: string): ParsedRange {
  const dash = text.indexOf('-');
  const from = text.slice(0, dash).trim();
  const to = text.slice(dash + 1).trim();
  const lo = parseIp(from);
  const hi = parseIp(to);
  if (lo === null) return wrong(notAnAddress(/[.:]/.test(from) ? from : text));
  if (/^[0-9]{1,3}$/.test(to) && isIpv4(lo)) {
    const whole = `${formatIp(lo).replace(/[0-9]+$/, '')}${to}`;
    return wrong(`'${text}' has half an address after the dash: did you mean ${formatIp(lo)}-${whole}?`);
  }
  if (hi === null) return wrong(notAnAddress(to));
  if (isIpv4(lo) !== isIpv4(hi)) return wrong(`'${text}' goes from IPv4 to IPv6: write one range for each`);
  if (lo > hi) return wrong(`'${text}' is reversed: did you mean ${to}-${from}?`);
  return { ranges: [{ lo, hi }] };
}

function parseCidr(text: string): ParsedRange {
  const slash = text.indexOf('/');
  const address = text.slice(0, slash);
  const length = text.slice(slash + 1);
  const ip = parseIp(address);
  if (ip === null) return wrong(notAnAddress(address));
  if (length.includes('.')) return wrong(`'${text}' has a mask after the slash: did you mean ${address};${length}?`);
  const bits = parseIpv6Bits(address);
  const width = bits === null ? 32 : 128;
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > width)
    return wrong(`'${text}' has no prefix length from 0 to ${width} after the slash`);
  // A mapped prefix that is longer than 96 is an IPv4 one: that is how its clients will be compared.
  const prefix = bits !== null && isIpv4(ip) ? Number(length) - 96 : Number(length);
  if (prefix < 0) return wrong(`'${text}' reaches beyond the IPv4-mapped addresses: write the IPv4 range itself`);
  const span = prefixSpan(ip, prefix);
  if (span.lo === ip) return { ranges: [span] };
  return {
    ranges: [span],
    warning: `'${text}' has bits set behind its prefix: it means ${formatIp(span.lo)}/${prefix}`,
  };
}

function prefixSpan(ip: Ip, prefix: number): Span {
  if (isIpv4(ip)) {
    const size = 2 ** (32 - prefix);
    const lo = Math.floor(ip / size) * size;
    return { lo, hi: lo + size - 1 };
  }
  const free = BigInt(128 - prefix);
  const lo = (ip >> free) << free;
  return { lo, hi: lo + (1n << free) - 1n };
}

function parseMasked(text: string): ParsedRange {
  const semicolon = text.indexOf(';');
  const address = text.slice(0, semicolon).trim();
  const maskText = text.slice(semicolon + 1).trim();
  const net = parseIp(address);
  const mask = parseIp(maskText);
  if (net === null) return wrong(notAnAddress(address));
  if (!isIpv4(net)) return wrong(`'${text}': a mask is for IPv4, an IPv6 network is written with a prefix length`);
  if (typeof mask !== 'number') return wrong(`'${text}' has no mask of four decimal parts after the semicolon`);
  if ((net & ~mask) !== 0) {
    const meant = formatIp((net & mask) >>> 0);
    return wrong(`'${text}' can never match: ${address} has bits outside the mask; did you mean ${meant};${maskText}?`);
  }
  const free = ~mask >>> 0;
  if ((free & (free + 1)) !== 0 && mask >>> 24 !== 255)
    return wrong(`'${text}': ${maskText} is no mask, which begins with 255; two addresses are two entries of the list`);
  if ((free & (free + 1)) === 0) return { ranges: [{ lo: net, hi: net + free }] };
  const example = formatIp((net | (free & -free)) >>> 0);
  const warning = `'${text}' has a mask with holes: ${address} and ${example} are in it, what lies between may not be`;
  return { ranges: [{ net, mask }], warning };
}

export function isInside(inner: Range, outer: Range): boolean {
  if (isMasked(outer)) {
    if (isMasked(inner))
      return (inner.mask & outer.mask) >>> 0 === outer.mask && (inner.net & outer.mask) >>> 0 === outer.net;
    if (!isIpv4(inner.lo)) return false;
    // Between two neighbours every bit below the highest differing one takes both values.
    const varies = 2 ** (32 - Math.clz32(inner.lo ^ (inner.hi as number))) - 1;
    return (outer.mask & varies) === 0 && (inner.lo & outer.mask) >>> 0 === outer.net;
  }
  const hull = hullOf(inner);
  return isIpv4(hull.lo) === isIpv4(outer.lo) && hull.lo >= outer.lo && hull.hi <= outer.hi;
}

/** Every address of a family. */
export function isEverything(range: Range): boolean {
  return EVERYTHING.some((all) => isInside(all, range));
}

export function overlaps(a: Range, b: Range): boolean {
  if (isMasked(a)) return isMasked(b) ? ((a.net ^ b.net) & a.mask & b.mask) === 0 : spanMeetsMask(b, a);
  if (isMasked(b)) return spanMeetsMask(a, b);
  return isIpv4(a.lo) === isIpv4(b.lo) && a.lo <= b.hi && b.lo <= a.hi;
}

function spanMeetsMask(span: Span, masked: Masked): boolean {
  if (!isIpv4(span.lo)) return false;
  const first = firstUnderMask(span.lo, masked);
  return first !== null && first <= span.hi;
}

/** The smallest address of `masked` that is not below `from`. */
function firstUnderMask(from: number, { net, mask }: Masked): number | null {
  if ((from & mask) >>> 0 === net) return from;
  // Agree with `from` above some bit, exceed it there, and take the least below.
  for (let bit = 0; bit < 32; bit++) {
    const here = (1 << bit) >>> 0;
    if ((from & here) !== 0) continue;
    const below = here - 1;
    const above = ~(here | below) >>> 0;
    if (((from ^ net) & mask & above) !== 0) continue;
    if ((mask & here) !== 0 && (net & here) === 0) continue;
    return ((from & above) | here | (net & below)) >>> 0;
  }
  return null;
}

/** The span from a range's first address to its last. */
export function hullOf(range: Range): Span {
  return isMasked(range) ? { lo: range.net, hi: (range.net | ~range.mask) >>> 0 } : range;
}
