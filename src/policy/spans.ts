// Sets of addresses as sorted, disjoint spans, IPv4 before IPv6: what lint calculates with.

import { after, before, type Ip, isIpv4, parseIp } from './ip.ts';
import { Pile } from './pile.ts';
import { extent, hullOf, parseRange, type Span } from './ranges.ts';
import { atOnce, STEP, type Steps } from './steps.ts';

function order(a: Ip, b: Ip): number {
  if (isIpv4(a) !== isIpv4(b)) return isIpv4(a) ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function joined(span: Span, next: Span): boolean {
  return isIpv4(span.hi) === isIpv4(next.lo) && next.lo <= after(span.hi);
}

export function union(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of [...spans].sort((a, b) => order(a.lo, b.lo))) {
    const last = result.at(-1);
    if (last === undefined || !joined(last, span)) result.push(span);
    else if (span.hi > last.hi) result[result.length - 1] = { lo: last.lo, hi: span.hi };
  }
  return result;
}

/** Both sorted and disjoint. */
export function intersect(a: readonly Span[], b: readonly Span[]): Span[] {
  return atOnce(intersectInSteps(a, b));
}

export function* intersectInSteps(a: readonly Span[], b: readonly Span[]): Steps<Span[]> {
  const result = new Pile<Span>();
  for (let i = 0, j = 0; ; ) {
    if ((i + j) % STEP === STEP - 1) yield;
    const one = a[i];
    const other = b[j];
    if (one === undefined || other === undefined) return yield* result.toArray();
    const lo = order(one.lo, other.lo) < 0 ? other.lo : one.lo;
    const hi = order(one.hi, other.hi) < 0 ? one.hi : other.hi;
    if (order(lo, hi) <= 0) result.push({ lo, hi });
    if (order(one.hi, other.hi) < 0) i++;
    else j++;
  }
}

/** What of `a` is not in `b`; both sorted and disjoint. */
export function subtract(a: readonly Span[], b: readonly Span[]): Span[] {
  return atOnce(subtractInSteps(a, b));
}

export function* subtractInSteps(a: readonly Span[], b: readonly Span[]): Steps<Span[]> {
  const result = new Pile<Span>();
  let j = 0;
  let work = 0;
  for (const span of a) {
    if (++work % STEP === 0) yield;
    let { lo } = span;
    let whole = false;
    while (j < b.length && order((b[j] as Span).hi, lo) < 0) {
      if (++work % STEP === 0) yield;
      j++;
    }
    for (let k = j; k < b.length && order((b[k] as Span).lo, span.hi) <= 0; k++) {
      if (++work % STEP === 0) yield;
      const cut = b[k] as Span;
      if (order(lo, cut.lo) < 0) result.push({ lo, hi: before(cut.lo) });
      whole = order(cut.hi, span.hi) >= 0;
      lo = after(cut.hi);
    }
    if (!whole) result.push({ lo, hi: span.hi });
  }
  return yield* result.toArray();
}

/** RFC 1918, 6598, 3927, 4193, 4291, 5735: addresses that no client on the Internet has. */
const PRIVATE_SPANS = union(
  [
    '0.0.0.0/8',
    '10.0.0.0/8',
    '100.64.0.0/10',
    '127.0.0.0/8',
    '169.254.0.0/16',
    '172.16.0.0/12',
    '192.168.0.0/16',
    '224.0.0.0/3',
    '::1',
    'fc00::/7',
    'fe80::/10',
    'ff00::/8',
  ].flatMap((text) => parseRange(text).ranges.map(hullOf)),
);

/** No client on the Internet has this address. */
export function isPrivate(address: string): boolean {
  return holds(PRIVATE_SPANS, address);
}

export function publicPart(spans: readonly Span[]): Steps<Span[]> {
  return subtractInSteps(spans, PRIVATE_SPANS);
}

const WIDEST = { ipv4: 2 ** 16 - 1, ipv6: 2n ** 96n - 1n }; // a /16, a /32

/** RFC 6052: all of IPv4, as translators write it. */
const TRANSLATED = parseRange('64:ff9b::/96').ranges.map(hullOf);

/** Wider than a /16 (IPv4, translated or not) or a /32 (IPv6). */
export function isWide(span: Span): boolean {
  if (isIpv4(span.lo)) return extent(span) > WIDEST.ipv4;
  return extent(span) > WIDEST.ipv6 || intersect([span], TRANSLATED).some((part) => extent(part) > WIDEST.ipv4);
}

export function holds(spans: readonly Span[], address: string): boolean {
  const ip = parseIp(address);
  return ip !== null && intersect(spans, [{ lo: ip, hi: ip }]).length > 0;
}
