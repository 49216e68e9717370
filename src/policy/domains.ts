// Domain names: how a pattern is written, and a table that finds the most specific pattern that holds a domain.
//
// `*.d` is d and everything below it, as Exchange means it; `d` is exact. What comes from the wire is compared octet by
// octet after folding ASCII case only (the caller has folded it and dropped one trailing dot). Nothing from the wire is
// ever mapped or decoded: it is the configured name that is spelled in every form that may legitimately arrive, its
// A-labels and its U-labels as UTF-8 octets.

import { domainToASCII, domainToUnicode } from 'node:url';
import { foldAscii } from '../smtp/bytes.ts';

export interface DomainPattern {
  /** As written, for people. */
  readonly text: string;
  readonly below: boolean;
  /** Folded; strings are latin-1, a code point is an octet. */
  readonly forms: readonly string[];
}

/** Text of a configuration file as the octets that would come from the wire. */
export function toOctets(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** Reads `d` or `*.d`; a string says what is wrong. */
export function parseDomainPattern(text: string): DomainPattern | string {
  const below = text.startsWith('*.');
  const name = (below ? text.slice(2) : text).replace(/\.$/, '');
  if (text === '*' || text === '*.' || text === '.') return `'${text}' would hold every domain`;
  if (text.startsWith('.'))
    return `'${text}' begins with a dot: did you mean '*${text}' (the domain and everything below it)?`;
  if (text.startsWith('#')) return `'${text}': a domain alone is exact here, did you mean '${text.slice(1)}'?`;
  if (text.startsWith('@')) return `'${text}': did you mean '${text.slice(1)}'?`;
  if (name.includes('@'))
    return `'${text}' is an address, a domain is wanted: did you mean '${name.slice(name.lastIndexOf('@') + 1)}'?`;
  if (name.includes('*')) return `'${text}': a star stands only at the start, as '*.example.com'`;
  const ascii = /^[\x21-\x7e]*$/.test(name) ? foldAscii(name) : foldAscii(domainToASCII(name));
  const labels = ascii.split('.');
  if (ascii === '' || ascii.length > 253 || !labels.every((part) => LABEL.test(part)))
    return `'${text}' is not a domain name`;
  if (/^([0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? ''))
    return `'${text}' ends in a number and would be read as an address; addresses of our own go under accepted_literals`;
  const unicode = ascii.includes('xn--') ? toOctets(domainToUnicode(ascii)) : ascii;
  return { text, below, forms: unicode === '' || unicode === ascii ? [ascii] : [ascii, unicode] };
}

/** A name as DNS or a client spells it, for the comparison: ASCII-folded, without the dot at its end. */
export function foldName(name: string): string {
  return foldAscii(name).replace(/\.$/, '');
}

const DOT = 0x2e;

// One slot of the table: four words, so that it lies in one line of the processor's cache.
const HASH = 0;
const START = 1; // where the name begins in #octets
const SHAPE = 2; // its length << 2, and which patterns it has; 0 = an empty slot
const NODE = 3; // where its values are
const SLOT_WORDS = 4;

const HAS_EXACT = 1;
const HAS_BELOW = 2;

/** Finds the value of the most specific pattern that holds a domain; the first given wins where two are equal.
 *
 * It holds every configured name and every suffix of one, so that the walk over the octets from the right, which hashes
 * as it goes, ends where nothing is known. Only configured names are in it: a peer that makes names with one hash walks
 * past the same few slots again and again, and can fill none, so the hash needs no secret. A Map was not chosen: it
 * wants a string for every label. */
export class DomainTable<V> {
  /** Open addressing, at most half full. */
  #slots = new Int32Array(16 * SLOT_WORDS);
  #octets = new Uint8Array(256);
  #octetsUsed = 0;
  #nodes = 0;
  readonly #exact: (V | undefined)[] = [];
  readonly #below: (V | undefined)[] = [];

  get isEmpty(): boolean {
    return this.#nodes === 0;
  }

  /** The value that stood there before, if the same pattern was given already; it stays. */
  add(pattern: DomainPattern, value: V): V | undefined {
    const values = pattern.below ? this.#below : this.#exact;
    let earlier: V | undefined;
    for (const form of pattern.forms) {
      const slot = this.#enter(form);
      const node = this.#slots[slot + NODE] as number;
      earlier ??= values[node];
      values[node] ??= value;
      this.#slots[slot + SHAPE] = (this.#slots[slot + SHAPE] as number) | (pattern.below ? HAS_BELOW : HAS_EXACT);
    }
    return earlier;
  }

  /** `domain` is folded and has no trailing dot. */
  find(domain: string): V | null {
    const found = this.#locate(domain);
    if (found === NOWHERE) return null;
    return (found >= 0 ? this.#exact[found] : this.#below[~found]) ?? null;
  }

  /** Whether any pattern holds it. */
  holds(domain: string): boolean {
    return this.#locate(domain) !== NOWHERE;
  }

  /** The node whose exact pattern holds the domain, or ~ the node whose pattern with a star does, or NOWHERE. */
  #locate(domain: string): number {
    const slots = this.#slots;
    let found = NOWHERE;
    let hash = 0;
    for (let at = domain.length - 1; ; at--) {
      const octet = at < 0 ? DOT : domain.charCodeAt(at);
      if (octet === DOT) {
        const slot = this.#slotOf(mixed(hash), domain, at + 1);
        const shape = slots[slot + SHAPE] as number;
        if (shape === 0) return found;
        if (at < 0 && (shape & HAS_EXACT) !== 0) return slots[slot + NODE] as number;
        if ((shape & HAS_BELOW) !== 0) found = ~(slots[slot + NODE] as number);
        if (at < 0) return found;
      }
      hash = hashed(hash, octet);
    }
  }

  /** Makes a node of a name and of each of its suffixes; the slot of the whole. */
  #enter(name: string): number {
    let slot = 0;
    let start = -1;
    let hash = 0;
    for (let at = name.length - 1; at >= -1; at--) {
      const octet = at < 0 ? DOT : name.charCodeAt(at);
      if (octet === DOT) {
        slot = this.#slotOf(mixed(hash), name, at + 1);
        if (this.#slots[slot + SHAPE] === 0) {
          if (start === -1) start = this.#write(name);
          slot = this.#fill(slot, mixed(hash), start + at + 1, name.length - at - 1);
        }
      }
      hash = hashed(hash, octet);
    }
    return slot;
  }

  /** The slot of the name that `domain` has from `start` on, or the empty one where it would stand. */
  #slotOf(hash: number, domain: string, start: number): number {
    const slots = this.#slots;
    const wrap = slots.length - 1;
    const length = domain.length - start;
    let slot = (hash * SLOT_WORDS) & wrap;
    for (;;) {
      const shape = slots[slot + SHAPE] as number;
      if (shape === 0) return slot;
      if (
        slots[slot + HASH] === hash &&
        shape >> 2 === length &&
        this.#isAt(slots[slot + START] as number, domain, start)
      )
        return slot;
      slot = (slot + SLOT_WORDS) & wrap;
    }
  }

  #isAt(place: number, domain: string, start: number): boolean {
    const octets = this.#octets;
    for (let i = start, j = place; i < domain.length; i++, j++) if (octets[j] !== domain.charCodeAt(i)) return false;
    return true;
  }

  #write(name: string): number {
    const start = this.#octetsUsed;
    this.#octetsUsed += name.length;
    if (this.#octetsUsed > this.#octets.length) {
      const grown = new Uint8Array(this.#octetsUsed * 2);
      grown.set(this.#octets);
      this.#octets = grown;
    }
    for (let i = 0; i < name.length; i++) this.#octets[start + i] = name.charCodeAt(i);
    return start;
  }

  /** The slot, which is another one when the table had to grow. */
  #fill(empty: number, hash: number, start: number, length: number): number {
    let slot = empty;
    if (this.#nodes * 2 * SLOT_WORDS >= this.#slots.length) slot = this.#grow(hash);
    this.#slots.set([hash, start, length << 2, this.#nodes++], slot);
    this.#exact.push(undefined);
    this.#below.push(undefined);
    return slot;
  }

  /** Twice as many slots; the empty one for `hash`. */
  #grow(hash: number): number {
    const old = this.#slots;
    const slots = new Int32Array(old.length * 2);
    this.#slots = slots;
    for (let from = 0; from < old.length; from += SLOT_WORDS) {
      if (old[from + SHAPE] !== 0)
        slots.set(old.subarray(from, from + SLOT_WORDS), emptySlot(slots, old[from + HASH] as number));
    }
    return emptySlot(slots, hash);
  }
}

const NOWHERE = 0x7fffffff;

function hashed(hash: number, octet: number): number {
  return Math.imul(hash ^ octet, 0x01000193);
}

/** The low bits, which choose the slot, made to depend on all of them. */
function mixed(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return once ^ (once >>> 13);
}

function emptySlot(slots: Int32Array, hash: number): number {
  const wrap = slots.length - 1;
  let slot = (hash * SLOT_WORDS) & wrap;
  while (slots[slot + SHAPE] !== 0) slot = (slot + SLOT_WORDS) & wrap;
  return slot;
}
