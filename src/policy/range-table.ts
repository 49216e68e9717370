// Finds the smallest range that holds an address, however many there are.
//
// Spans are flattened once into sorted, disjoint segments, so a look-up is one binary search. Masks with holes are hashed,
// one table for each distinct mask, and one look-up is made for each of those. A radix trie was not chosen: lo-hi ranges
// would have to be cut into prefixes, and the pieces would compete with ranges that lie inside the whole.

import { after, before, compare, type Ip, isIpv4 } from './ip.ts';
import { extent, holes, isMasked, type Range } from './ranges.ts';

export interface Entry<V> {
  readonly range: Range;
  readonly value: V;
}

/** Finds the value of the smallest range that holds an address. */
export class RangeTable<V> {
  readonly #ipv4: Segments<V>;
  readonly #ipv6: Segments<V>;
  readonly #masked: MaskTable<V>[];

  constructor(entries: readonly Entry<V>[]) {
    const spans: SpanEntry<V>[] = [];
    const byMask = new Map<number, Map<number, V>>();
    for (const { range, value } of entries) {
      if (isMasked(range)) {
        let nets = byMask.get(range.mask);
        if (nets === undefined) {
          nets = new Map();
          byMask.set(range.mask, nets);
        }
        if (!nets.has(range.net)) nets.set(range.net, value);
      } else spans.push({ lo: range.lo, hi: range.hi, extent: extent(range), value });
    }
    this.#ipv4 = new Segments(spans.filter((span) => isIpv4(span.lo)));
    this.#ipv6 = new Segments(spans.filter((span) => !isIpv4(span.lo)));
    this.#masked = [...byMask].map(([mask, nets]) => ({ mask, nets, extent: 2 ** holes(mask) - 1 }));
    this.#masked.sort((a, b) => a.extent - b.extent);
  }

  find(ip: Ip): V | null {
    if (!isIpv4(ip)) return this.#ipv6.valueAt(this.#ipv6.indexOf(ip));
    const index = this.#ipv4.indexOf(ip);
    if (this.#masked.length === 0) return this.#ipv4.valueAt(index);
    const limit = this.#ipv4.extentAt(index);
    for (const { mask, nets, extent } of this.#masked) {
      if (extent >= limit) break;
      const value = nets.get((ip & mask) >>> 0);
      if (value !== undefined) return value;
    }
    return this.#ipv4.valueAt(index);
  }
}

interface MaskTable<V> {
  readonly mask: number;
  readonly nets: ReadonlyMap<number, V>;
  readonly extent: number;
}

interface SpanEntry<V> {
  readonly lo: Ip;
  readonly hi: Ip;
  readonly extent: number | bigint;
  readonly value: V;
}

/** Sorted, disjoint pieces of one family; each belongs to the smallest span that holds it. */
class Segments<V> {
  readonly #lo: Ip[] = [];
  readonly #hi: Ip[] = [];
  readonly #owner: SpanEntry<V>[] = [];

  constructor(spans: SpanEntry<V>[]) {
    spans.sort((a, b) => compare(a.lo, b.lo));
    const edges = new Set<Ip>();
    for (const span of spans) edges.add(span.lo).add(after(span.hi));
    const sorted = [...edges].sort(compare);
    const open = new SmallestFirst<V>();
    let next = 0;
    for (const [i, lo] of sorted.entries()) {
      for (let span = spans[next]; span !== undefined && span.lo === lo; span = spans[++next]) open.add(span);
      while (open.top !== null && open.top.hi < lo) open.removeTop();
      const end = sorted[i + 1];
      if (open.top !== null && end !== undefined) this.#append(lo, before(end), open.top);
    }
  }

  #append(lo: Ip, hi: Ip, owner: SpanEntry<V>): void {
    const last = this.#lo.length - 1;
    const lastHi = this.#hi[last];
    if (lastHi !== undefined && this.#owner[last] === owner && after(lastHi) === lo) {
      this.#hi[last] = hi;
      return;
    }
    this.#lo.push(lo);
    this.#hi.push(hi);
    this.#owner.push(owner);
  }

  /** The segment that holds the address, or -1. */
  indexOf(ip: Ip): number {
    let low = 0;
    let high = this.#lo.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if ((this.#lo[middle] as Ip) > ip) high = middle - 1;
      else if ((this.#hi[middle] as Ip) < ip) low = middle + 1;
      else return middle;
    }
    return -1;
  }

  valueAt(index: number): V | null {
    return this.#owner[index]?.value ?? null;
  }

  extentAt(index: number): number | bigint {
    return this.#owner[index]?.extent ?? Number.POSITIVE_INFINITY;
  }
}

/** A binary heap of spans by extent; what has ended is removed only when it comes to the top. */
class SmallestFirst<V> {
  readonly #heap: SpanEntry<V>[] = [];

  get top(): SpanEntry<V> | null {
    return this.#heap[0] ?? null;
  }

  add(span: SpanEntry<V>): void {
    const heap = this.#heap;
    let at = heap.push(span) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as SpanEntry<V>).extent <= span.extent) break;
      heap[at] = heap[parent] as SpanEntry<V>;
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
      if (right !== undefined && right.extent < (heap[child] as SpanEntry<V>).extent) child++;
      const smaller = heap[child];
      if (smaller === undefined || smaller.extent >= moved.extent) break;
      heap[at] = smaller;
      at = child;
    }
    heap[at] = moved;
  }
}
