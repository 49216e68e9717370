// Finds the smallest range that holds an address, however many there are.
//
// Spans are flattened once into segments, each from its first address to before the next one's, the gaps between spans
// included; a look-up finds the last segment that does not begin above the address (sorted-ips.ts). Masks with holes are
// hashed, one table for each distinct mask, and one look-up is made for each of those. A radix trie was not chosen: lo-hi
// ranges would have to be cut into prefixes, and the pieces would compete with ranges that lie inside the whole.

import { after, before, type Ip, isIpv4, LAST_IPV4, LAST_IPV6 } from './ip.ts';
import { Pile } from './pile.ts';
import { extent, holes, isMasked, type Range, type Span } from './ranges.ts';
import { levelsOf, putWords, SortedIpv4, SortedIpv6, sorted, widthOf } from './sorted-ips.ts';
import { atOnce, STEP, type Steps } from './steps.ts';

const NOBODY = -1;

/** Who has a range. */
export interface Holder {
  readonly range: Range;
}

/** Finds the smallest of some ranges that holds an address. */
export class RangeTable {
  readonly #holders: readonly Holder[];
  readonly #ipv4: Segments<SortedIpv4>;
  readonly #ipv6: Segments<SortedIpv6>;
  readonly #masked: readonly MaskTable[];

  private constructor(
    holders: readonly Holder[],
    ipv4: Segments<SortedIpv4>,
    ipv6: Segments<SortedIpv6>,
    masked: readonly MaskTable[],
  ) {
    this.#holders = holders;
    this.#ipv4 = ipv4;
    this.#ipv6 = ipv6;
    this.#masked = masked;
  }

  /** `holders` is kept. */
  static *inSteps(holders: readonly Holder[]): Steps<RangeTable> {
    const byMask = new Map<number, Map<number, number>>();
    for (const [place, { range }] of holders.entries()) {
      if (place % STEP === STEP - 1) yield;
      if (!isMasked(range)) continue;
      const nets = byMask.get(range.mask) ?? new Map<number, number>();
      byMask.set(range.mask, nets);
      if (!nets.has(range.net | 0)) nets.set(range.net | 0, place);
    }
    const masked = [...byMask]
      .map(([mask, nets]) => ({ mask, nets, extent: 2 ** holes(mask) - 1 }))
      .sort((a, b) => a.extent - b.extent);
    const low = yield* flatten(holders, yield* placesOf(holders, widthOf(0)), 0, LAST_IPV4);
    const high = yield* flatten(holders, yield* placesOf(holders, widthOf(0n)), 0n, LAST_IPV6);
    return new RangeTable(
      holders,
      { starts: new SortedIpv4(yield* levelsOf(low.starts, widthOf(0))), owners: low.owners },
      { starts: new SortedIpv6(yield* levelsOf(high.starts, widthOf(0n))), owners: high.owners },
      masked,
    );
  }

  static of(ranges: readonly Range[]): RangeTable {
    return atOnce(RangeTable.inSteps(ranges.map((range) => ({ range }))));
  }

  holds(ip: Ip): boolean {
    return this.find(ip) !== null;
  }

  /** The place of the smallest range among those given; null when none holds the address. */
  find(ip: Ip): number | null {
    const owner = isIpv4(ip)
      ? (this.#ipv4.owners[this.#ipv4.starts.lastUpTo(ip)] as number)
      : (this.#ipv6.owners[this.#ipv6.starts.lastUpTo(ip)] as number);
    if (this.#masked.length > 0 && isIpv4(ip)) return this.#underMask(ip, owner);
    return owner === NOBODY ? null : owner;
  }

  /** Masks with holes that hold less than the span of `owner` come first. */
  #underMask(ip: number, owner: number): number | null {
    const limit = owner === NOBODY ? Number.POSITIVE_INFINITY : extent((this.#holders[owner] as Holder).range);
    for (const { mask, nets, extent } of this.#masked) {
      if (extent >= limit) break;
      const place = nets.get(ip & mask);
      if (place !== undefined) return place;
    }
    return owner === NOBODY ? null : owner;
  }

  /** What the spans among the ranges hold together, sorted and disjoint, IPv4 before IPv6; masks with holes are left out. */
  *covered(): Steps<Span[]> {
    const spans = new Pile<Span>();
    yield* addCovered(this.#ipv4, LAST_IPV4, spans);
    yield* addCovered(this.#ipv6, LAST_IPV6, spans);
    return yield* spans.toArray();
  }
}

interface MaskTable {
  readonly mask: number;
  /** The place of each range by its net as a signed number, which needs no box. */
  readonly nets: ReadonlyMap<number, number>;
  readonly extent: number;
}

/** The smallest span that holds each segment, or NOBODY. */
interface Segments<Starts> {
  /** Sorted, from the lowest address of the family on. */
  readonly starts: Starts;
  readonly owners: Int32Array;
}

function* addCovered(
  { starts, owners }: Segments<SortedIpv4 | SortedIpv6>,
  highest: Ip,
  spans: Pile<Span>,
): Steps<void> {
  let from: Ip | null = null;
  for (const [i, owner] of owners.entries()) {
    if (i % STEP === STEP - 1) yield;
    if (owner !== NOBODY) from ??= starts.at(i);
    else if (from !== null) {
      spans.push({ lo: from, hi: before(starts.at(i)) });
      from = null;
    }
  }
  if (from !== null) spans.push({ lo: from, hi: highest });
}

/** The places of the spans of one family in the order of their first addresses. */
export function* placesOf(holders: readonly Holder[], width: number): Steps<Int32Array> {
  const isOne = (range: Range): range is Span => !isMasked(range) && widthOf(range.lo) === width;
  let count = 0;
  for (const [place, { range }] of holders.entries()) {
    if (place % STEP === STEP - 1) yield;
    if (isOne(range)) count++;
  }
  const places = new Int32Array(count);
  const keys = new Uint32Array(count * width);
  let used = 0;
  for (let place = 0; used < count; place++) {
    if (place % STEP === STEP - 1) yield;
    const { range } = holders[place] as Holder;
    if (!isOne(range)) continue;
    putWords(keys, used * width, range.lo);
    places[used++] = place;
  }
  return yield* sorted(places, keys, width);
}

/** `places`: of spans sorted by their first addresses. */
function* flatten(
  holders: readonly Holder[],
  places: Int32Array,
  lowest: Ip,
  highest: Ip,
): Steps<Segments<Uint32Array>> {
  const width = widthOf(lowest);
  const starts = new Uint32Array((2 * places.length + 1) * width);
  const owners = new Int32Array(2 * places.length + 1);
  let used = 0;
  const open = new SmallestFirst();
  let next = 0;
  let last = Number.NaN;
  let work = 0;
  const spanAt = (n: number): Span | null =>
    n < places.length ? ((holders[places[n] as number] as Holder).range as Span) : null;
  for (let at: Ip | null = lowest; at !== null && at <= highest; ) {
    for (let span = spanAt(next); span !== null && span.lo === at; span = spanAt(++next)) {
      open.add({ hi: span.hi, extent: extent(span), place: places[next] as number });
      if (++work % STEP === 0) yield;
    }
    while (open.top !== null && open.top.hi < at) {
      open.removeTop();
      if (++work % STEP === 0) yield;
    }
    const owner = open.top?.place ?? NOBODY;
    if (owner !== last) {
      putWords(starts, used * width, at);
      owners[used++] = owner;
      last = owner;
    }
    // The owner can only change where it ends, and where another one begins.
    const end: Ip | null = open.top === null ? null : after(open.top.hi);
    const begin: Ip | null = spanAt(next)?.lo ?? null;
    at = end === null || (begin !== null && begin < end) ? begin : end;
    if (++work % STEP === 0) yield;
  }
  return { starts: starts.slice(0, used * width), owners: owners.slice(0, used) };
}

interface OpenSpan {
  readonly hi: Ip;
  readonly extent: number | bigint;
  /** Among the ranges given. */
  readonly place: number;
}

/** A binary heap of spans by extent; what has ended is removed only when it comes to the top. */
class SmallestFirst {
  readonly #heap: OpenSpan[] = [];

  get top(): OpenSpan | null {
    return this.#heap[0] ?? null;
  }

  add(span: OpenSpan): void {
    const heap = this.#heap;
    let at = heap.push(span) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as OpenSpan).extent <= span.extent) break;
      heap[at] = heap[parent] as OpenSpan;
      at = parent;
    }
    heap[at] = span;
  }

  removeTop(): void {
    const heap = this.#heap;
    const moved = heap.pop() as OpenSpan;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const right = heap[child + 1];
      if (right !== undefined && right.extent < (heap[child] as OpenSpan).extent) child++;
      const smaller = heap[child];
      if (smaller === undefined || smaller.extent >= moved.extent) break;
      heap[at] = smaller;
      at = child;
    }
    heap[at] = moved;
  }
}
