// Finds the smallest range that holds an address, however many there are.
//
// Spans are flattened once into segments, each from its first address to before the next one's, the gaps between spans
// included; a look-up finds the last segment that does not begin above the address (sorted-ips.ts). Masks with holes are
// hashed, one table for each distinct mask, and one look-up is made for each of those. A radix trie was not chosen: lo-hi
// ranges would have to be cut into prefixes, and the pieces would compete with ranges that lie inside the whole.

import { after, compare, type Ip, isIpv4, LAST_IPV4, LAST_IPV6 } from './ip.ts';
import { extent, holes, isMasked, type Range } from './ranges.ts';
import { SortedIpv4, SortedIpv6 } from './sorted-ips.ts';

const NOBODY = -1;

/** Finds the smallest of some ranges that holds an address. */
export class RangeTable {
  readonly #ranges: readonly Range[];
  readonly #ipv4Starts: SortedIpv4;
  readonly #ipv4Owners: Int32Array;
  readonly #ipv6Starts: SortedIpv6;
  readonly #ipv6Owners: Int32Array;
  readonly #masked: readonly MaskTable[];

  constructor(ranges: readonly Range[]) {
    this.#ranges = ranges;
    const ipv4: SpanEntry[] = [];
    const ipv6: SpanEntry[] = [];
    const byMask = new Map<number, Map<number, number>>();
    for (const [place, range] of ranges.entries()) {
      if (isMasked(range)) {
        const nets = byMask.get(range.mask) ?? new Map<number, number>();
        byMask.set(range.mask, nets);
        if (!nets.has(range.net | 0)) nets.set(range.net | 0, place);
      } else {
        const span = { lo: range.lo, hi: range.hi, extent: extent(range), place };
        (isIpv4(range.lo) ? ipv4 : ipv6).push(span);
      }
    }
    const low = flatten(ipv4, 0, LAST_IPV4);
    this.#ipv4Starts = new SortedIpv4(low.starts as number[]);
    this.#ipv4Owners = Int32Array.from(low.owners);
    const high = flatten(ipv6, 0n, LAST_IPV6);
    this.#ipv6Starts = new SortedIpv6(high.starts as bigint[]);
    this.#ipv6Owners = Int32Array.from(high.owners);
    this.#masked = [...byMask]
      .map(([mask, nets]) => ({ mask, nets, extent: 2 ** holes(mask) - 1 }))
      .sort((a, b) => a.extent - b.extent);
  }

  holds(ip: Ip): boolean {
    return this.find(ip) !== null;
  }

  /** The place of the smallest range among those given; null when none holds the address. */
  find(ip: Ip): number | null {
    const owner = isIpv4(ip)
      ? (this.#ipv4Owners[this.#ipv4Starts.lastUpTo(ip)] as number)
      : (this.#ipv6Owners[this.#ipv6Starts.lastUpTo(ip)] as number);
    if (this.#masked.length > 0 && isIpv4(ip)) return this.#underMask(ip, owner);
    return owner === NOBODY ? null : owner;
  }

  /** Masks with holes that hold less than the span of `owner` come first. */
  #underMask(ip: number, owner: number): number | null {
    const limit = owner === NOBODY ? Number.POSITIVE_INFINITY : extent(this.#ranges[owner] as Range);
    for (const { mask, nets, extent } of this.#masked) {
      if (extent >= limit) break;
      const place = nets.get(ip & mask);
      if (place !== undefined) return place;
    }
    return owner === NOBODY ? null : owner;
  }
}

interface MaskTable {
  readonly mask: number;
  /** The place of each range by its net as a signed number, which needs no box. */
  readonly nets: ReadonlyMap<number, number>;
  readonly extent: number;
}

interface SpanEntry {
  readonly lo: Ip;
  readonly hi: Ip;
  readonly extent: number | bigint;
  /** Among the ranges given. */
  readonly place: number;
}

interface Segments {
  /** Sorted, from the lowest address of the family on. */
  readonly starts: Ip[];
  /** The smallest span that holds each segment, or NOBODY. */
  readonly owners: number[];
}

function flatten(spans: SpanEntry[], lowest: Ip, highest: Ip): Segments {
  spans.sort((a, b) => compare(a.lo, b.lo));
  const segments: Segments = { starts: [], owners: [] };
  const open = new SmallestFirst();
  let next = 0;
  let last = Number.NaN;
  for (let at: Ip | null = lowest; at !== null && at <= highest; ) {
    for (let span = spans[next]; span !== undefined && span.lo === at; span = spans[++next]) open.add(span);
    while (open.top !== null && open.top.hi < at) open.removeTop();
    const owner = open.top?.place ?? NOBODY;
    if (owner !== last) {
      segments.starts.push(at);
      segments.owners.push(owner);
      last = owner;
    }
    // The owner can only change where it ends, and where another one begins.
    const end: Ip | null = open.top === null ? null : after(open.top.hi);
    const begin: Ip | null = spans[next]?.lo ?? null;
    at = end === null || (begin !== null && begin < end) ? begin : end;
  }
  return segments;
}

/** A binary heap of spans by extent; what has ended is removed only when it comes to the top. */
class SmallestFirst {
  readonly #heap: SpanEntry[] = [];

  get top(): SpanEntry | null {
    return this.#heap[0] ?? null;
  }

  add(span: SpanEntry): void {
    const heap = this.#heap;
    let at = heap.push(span) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as SpanEntry).extent <= span.extent) break;
      heap[at] = heap[parent] as SpanEntry;
      at = parent;
    }
    heap[at] = span;
  }

  removeTop(): void {
    const heap = this.#heap;
    const moved = heap.pop();
    if (moved === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const right = heap[child + 1];
      if (right !== undefined && right.extent < (heap[child] as SpanEntry).extent) child++;
      const smaller = heap[child];
      if (smaller === undefined || smaller.extent >= moved.extent) break;
      heap[at] = smaller;
      at = child;
    }
    heap[at] = moved;
  }
}
