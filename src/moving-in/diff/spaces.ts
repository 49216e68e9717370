// The address spaces cut at every boundary of some ranges: IPv4 and IPv6, each as spans that no range holds in part.

import { after, before, type Ip, isIpv4, LAST_IPV4, LAST_IPV6 } from '../../policy/ip.ts';
import { parseEndpoint } from '../../policy/lists.ts';
import { holes, isMasked, type Masked, parseRange, type Span } from '../../policy/ranges.ts';

const MOST_PIECES = 65_536; // of one mask with holes

export interface Cut {
  readonly spans: readonly Span[];
  /** What could not be cut, each a sentence. */
  readonly leftOut: readonly string[];
}

/** `ranges` as a policy writes them, `singles` addresses that are looked at by themselves. */
export function cutSpaces(ranges: Iterable<string>, singles: Iterable<Ip>): Cut {
  const starts = new Set<Ip>([0, 0n]);
  const leftOut: string[] = [];
  const cut = ({ lo, hi }: Span): void => {
    starts.add(lo);
    if (hi !== LAST_IPV4 && hi !== LAST_IPV6) starts.add(after(hi));
  };
  for (const text of ranges) {
    for (const range of parseRange(text).ranges) {
      if (!isMasked(range)) cut(range);
      else if (piecesIn(range) > MOST_PIECES)
        leftOut.push(`'${text}' is ${piecesIn(range)} ranges: only its first ${MOST_PIECES} are compared one by one`);
      if (isMasked(range)) for (const piece of piecesOf(range)) cut(piece);
    }
  }
  for (const ip of singles) cut({ lo: ip, hi: ip });
  const sorted = [...starts].sort((a, b) => (isIpv4(a) === isIpv4(b) ? (a < b ? -1 : 1) : isIpv4(a) ? -1 : 1));
  const spans = sorted.map((lo, i): Span => {
    const next = sorted[i + 1];
    if (next === undefined) return { lo, hi: LAST_IPV6 };
    return { lo, hi: isIpv4(lo) && !isIpv4(next) ? LAST_IPV4 : before(next) };
  });
  return { spans, leftOut };
}

/** The low bits that a mask leaves free together make one span of each of its pieces. */
function tailOf({ mask }: Masked): number {
  return (mask & -mask) >>> 0; // its lowest set bit; a mask that is kept as one begins with 255
}

function piecesIn(masked: Masked): number {
  return 2 ** holes(masked.mask) / tailOf(masked);
}

function* piecesOf(masked: Masked): Generator<Span> {
  const tail = tailOf(masked);
  const free = (~masked.mask & ~(tail - 1)) >>> 0;
  let bits = 0;
  for (let count = 0; count < MOST_PIECES; count++) {
    const lo = (masked.net | bits) >>> 0;
    yield { lo, hi: lo + tail - 1 };
    bits = ((bits - free) & free) >>> 0; // the next choice of the free bits
    if (bits === 0) return;
  }
}

/** The ranges of a list of local addresses, and the ports; what is bound to every address cuts nothing. */
export function cutLocals(entries: Iterable<string>): {
  readonly ranges: string[];
  readonly ips: Ip[];
  ports: number[];
} {
  const ranges: string[] = [];
  const ips = new Set<Ip>();
  const ports = new Set<number>();
  for (const entry of entries) {
    const endpoint = parseEndpoint(entry);
    if (typeof endpoint === 'string') ranges.push(entry);
    else {
      if (endpoint.ip !== null) ips.add(endpoint.ip);
      if (endpoint.port !== null) ports.add(endpoint.port);
    }
  }
  return { ranges, ips: [...ips], ports: [...ports].sort((a, b) => a - b) };
}
