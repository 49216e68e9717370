// Domain names: how a pattern is written, and a table that finds the most specific pattern that holds a domain.
//
// `*.d` is d and everything below it, as Exchange means it; `d` is exact. What comes from the wire is compared octet by
// octet after folding ASCII case only (the caller has folded it and dropped one trailing dot). Nothing from the wire is
// ever mapped or decoded for a yes: it is the configured name that is spelled in every form that may legitimately arrive,
// its A-labels and its U-labels as UTF-8 octets. A no asks for whatever else the domain may be read as, too (`patternIn`,
// spellings.ts).

import { domainToUnicode } from 'node:url';
import { foldAscii } from '../smtp/bytes.ts';
import { isEverybody, several, whyNoName } from './names.ts';
import { Pile } from './pile.ts';
import { aLabelsOf, readingsOf, toOctets } from './spellings.ts';
import { atOnce, STEP, type Steps } from './steps.ts';

export interface DomainPattern {
  /** As written, for people. */
  readonly text: string;
  readonly below: boolean;
  /** Folded; strings are latin-1, a code point is an octet. */
  readonly forms: readonly string[];
}

const LABELS = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const ENDS_IN_NUMBER = /(^|\.)([0-9]+|0x[0-9a-f]*)$/;

/** Reads `d` or `*.d`; a string says what is wrong. */
export function parseDomainPattern(text: string): DomainPattern | string {
  const wrong = text === '' ? null : (whyNoName(text) ?? several(text));
  if (wrong !== null) return wrong;
  if (isEverybody(text)) return `'${text}' would be a domain of that name: name the domains, as '*.example.com'`;
  const below = text.startsWith('*.');
  const name = (below ? text.slice(2) : text).replace(/\.$/, '');
  if (text === '*' || text === '*.' || text === '.') return `'${text}' would hold every domain`;
  if (text.startsWith('.'))
    return `'${text}' begins with a dot: did you mean '*${text}' (the domain and everything below it)?`;
  if (text.startsWith('#')) return `'${text}': a domain alone is exact here, did you mean '${text.slice(1)}'?`;
  if (text.startsWith('@')) return `'${text}': did you mean '${text.slice(1)}'?`;
  if (name.includes('@'))
    return `'${text}' is an address, a domain is wanted: did you mean '${name.slice(name.lastIndexOf('@') + 1)}'?`;
  if (/[?%]/.test(name)) return `'${text}' is not a domain name: d and *.d are known, as '*.example.com'`;
  if (name.includes('*')) return `'${text}': a star stands only at the start, as '*.example.com'`;
  const ascii = /^[\x21-\x7e]*$/.test(name) ? foldAscii(name) : aLabelsOf(name);
  if (ascii.length > 253 || !LABELS.test(ascii)) return `'${text}' is not a domain name`;
  if (ENDS_IN_NUMBER.test(ascii))
    return `'${text}' ends in a number and would be read as an address; addresses of our own go under accepted_literals`;
  const unicode = ascii.includes('xn--') ? toOctets(domainToUnicode(ascii)) : ascii;
  return { text, below, forms: unicode === ascii ? [ascii] : [ascii, unicode] };
}

/** A name as DNS or a client spells it, for the comparison: ASCII-folded, without the dot at its end. */
export function foldName(name: string): string {
  return foldAscii(name).replace(/\.$/, '');
}

/** For a no: the pattern that holds the domain in whatever spelling somebody may read it, or null. */
export function patternIn(table: DomainTable<unknown>, domain: string): string | null {
  if (table.isEmpty) return null;
  const pattern = table.patternFor(domain);
  if (pattern !== null) return pattern;
  for (const reading of readingsOf(domain)) {
    const other = table.patternFor(reading);
    if (other !== null) return other;
  }
  return null;
}

/** The pattern of the table that holds all that another one does, or null. */
export function patternAround(table: DomainTable<unknown>, text: string): string | null {
  const pattern = parseDomainPattern(text);
  if (typeof pattern === 'string') return null;
  const [form] = pattern.forms as [string];
  // No name has a label of one star, so only a pattern with a star can hold that one.
  return table.patternFor(pattern.below ? `*.${form}` : form);
}

const DOT = 0x2e;
const NOWHERE = -1;

// One slot of the table: four words, so that it lies in one line of the processor's cache.
const HASH = 0;
const START = 1; // where the name begins in #octets
const SHAPE = 2; // its length << 2, and which patterns it has; 0 = an empty slot
const NODE = 3;
const SLOT_WORDS = 4;

const HAS_EXACT = 1;
const HAS_BELOW = 2;

/** The name that is looked for, as far as it was read: from its last octet back. Longer than any configured name, which
 * has at most 253 octets as A-labels and four for each of those as UTF-8. */
const read = new Uint8Array(1024);

/** Finds the most specific pattern that holds a domain; the first given wins where two are equal.
 *
 * It knows every configured name and every suffix of one, so that the walk over the octets from the right, which hashes
 * as it goes, ends where nothing is known. Only configured names are in it: a peer that makes up names with one hash
 * walks past the same few slots each time and can fill none, so the hash needs no secret. A Map was not chosen: it wants
 * a string for every label, and what it finds is all over the heap. */
export class DomainTable<V = true> {
  /** Open addressing, at most half full. */
  #slots = new Int32Array(16 * SLOT_WORDS);
  /** The names, one after the other and each from its last octet back, so that a suffix is the beginning of a name. */
  #octets = new Uint8Array(256);
  #octetsUsed = 0;
  #nodes = 0;
  /** Two for each node: the number of the pattern without a star, and of that with one. From 1 on; 0 = none. */
  #patterns = new Int32Array(2 * 16);
  readonly #values = new Pile<V>();
  /** As written. */
  readonly #texts = new Pile<string>();

  /** Done now and then while a long list is put in: else `add` makes the room, and stands still for a moment. */
  *makeRoom(): Steps<void> {
    yield;
    if (!hasRoom(this.#octetsUsed, STEP * OCTETS_EACH, this.#octets))
      this.#octets = yield* longer(this.#octets, new Uint8Array(this.#octets.length * 2));
    if (!hasRoom(this.#nodes * 2, STEP * NODES_EACH * 2, this.#patterns))
      this.#patterns = yield* longer(this.#patterns, new Int32Array(this.#patterns.length * 2));
    if (!hasRoom(this.#nodes * 2 * SLOT_WORDS, STEP * NODES_EACH * 2 * SLOT_WORDS, this.#slots)) {
      const slots = new Int32Array(this.#slots.length * 2);
      yield* rehash(this.#slots, slots);
      this.#slots = slots;
    }
  }

  get isEmpty(): boolean {
    return this.#nodes === 0;
  }

  /** The value that stood there before, if the same pattern was given already; it stays. */
  add(pattern: DomainPattern, value: V): V | undefined {
    let earlier: V | undefined;
    for (const form of pattern.forms) {
      const slot = this.#enter(form);
      const place = placeOf(this.#slots[slot + NODE] as number, pattern.below);
      const number = this.#patterns[place] as number;
      if (number !== 0) earlier ??= this.#values.at(number - 1);
      else {
        this.#values.push(value);
        this.#patterns[place] = this.#texts.push(pattern.text);
      }
      this.#slots[slot + SHAPE] = (this.#slots[slot + SHAPE] as number) | (pattern.below ? HAS_BELOW : HAS_EXACT);
    }
    return earlier;
  }

  /** Whether any pattern holds `domain`, which is folded and has no trailing dot. */
  holds(domain: string): boolean {
    return this.#locate(domain) !== NOWHERE;
  }

  find(domain: string): V | null {
    const place = this.#locate(domain);
    return place === NOWHERE ? null : (this.#values.at((this.#patterns[place] as number) - 1) as V);
  }

  /** The pattern as written. */
  patternFor(domain: string): string | null {
    const place = this.#locate(domain);
    return place === NOWHERE ? null : (this.#texts.at((this.#patterns[place] as number) - 1) as string);
  }

  /** Where the number of the most specific pattern stands. */
  #locate(domain: string): number {
    const slots = this.#slots;
    const { length } = domain;
    let found = NOWHERE;
    let hash = 0;
    for (let i = 0; i < read.length; i++) {
      const octet = i === length ? DOT : domain.charCodeAt(length - 1 - i);
      if (octet === DOT) {
        const slot = this.#slotOf(mixed(hash), i);
        const shape = slots[slot + SHAPE] as number;
        if (shape === 0) return found;
        const node = slots[slot + NODE] as number;
        if (i === length && (shape & HAS_EXACT) !== 0) return placeOf(node, false);
        if ((shape & HAS_BELOW) !== 0) found = placeOf(node, true);
        if (i === length) return found;
      }
      read[i] = octet;
      hash = hashed(hash, octet);
    }
    return found;
  }

  /** Makes a node of a name and of each of its suffixes where there is none; the slot of the whole. */
  #enter(name: string): number {
    const { length } = name;
    let start = NOWHERE;
    let slot = 0;
    let hash = 0;
    for (let i = 0; i <= length; i++) {
      const octet = i === length ? DOT : name.charCodeAt(length - 1 - i);
      if (octet === DOT) {
        slot = this.#slotOf(mixed(hash), i);
        if (this.#slots[slot + SHAPE] === 0) {
          if (start === NOWHERE) start = this.#write(name);
          slot = this.#fill(slot, mixed(hash), start, i);
        }
      }
      read[i] = octet;
      hash = hashed(hash, octet);
    }
    return slot;
  }

  /** The slot of the name of `length` octets that was read, or the empty one where it would stand. */
  #slotOf(hash: number, length: number): number {
    const slots = this.#slots;
    const wrap = slots.length - 1;
    for (let slot = (hash * SLOT_WORDS) & wrap; ; slot = (slot + SLOT_WORDS) & wrap) {
      const shape = slots[slot + SHAPE] as number;
      if (shape === 0) return slot;
      if (slots[slot + HASH] !== hash || shape >> 2 !== length) continue;
      if (this.#wasRead(slots[slot + START] as number, length)) return slot;
    }
  }

  #wasRead(start: number, length: number): boolean {
    const octets = this.#octets;
    for (let i = 0; i < length; i++) if (octets[start + i] !== read[i]) return false;
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
    for (let i = 0; i < name.length; i++) this.#octets[start + i] = name.charCodeAt(name.length - 1 - i);
    return start;
  }

  /** Makes a node; its slot is another one than `empty` when the table had to grow. */
  #fill(empty: number, hash: number, start: number, length: number): number {
    const slot = this.#nodes * 2 * SLOT_WORDS < this.#slots.length ? empty : this.#grow(hash);
    this.#slots[slot + HASH] = hash;
    this.#slots[slot + START] = start;
    this.#slots[slot + SHAPE] = length << 2;
    this.#slots[slot + NODE] = this.#nodes++;
    if (this.#nodes * 2 > this.#patterns.length)
      this.#patterns = atOnce(longer(this.#patterns, new Int32Array(this.#patterns.length * 2)));
    return slot;
  }

  /** Twice as many slots; the empty one for `hash`. */
  #grow(hash: number): number {
    const slots = new Int32Array(this.#slots.length * 2);
    atOnce(rehash(this.#slots, slots));
    this.#slots = slots;
    return emptySlot(slots, hash);
  }
}

// What the next STEP names may need; few need more.
const OCTETS_EACH = 64;
const NODES_EACH = 4;

const COPIED = 1 << 16; // words or octets at a time

function hasRoom(used: number, wanted: number, all: { readonly length: number }): boolean {
  return used + wanted <= all.length;
}

function* longer<Words extends Int32Array | Uint8Array>(old: Words, grown: Words): Steps<Words> {
  for (let at = 0; at < old.length; at += COPIED) {
    grown.set(old.subarray(at, at + COPIED), at);
    yield;
  }
  return grown;
}

function* rehash(old: Int32Array, slots: Int32Array): Steps<void> {
  for (let from = 0; from < old.length; from += SLOT_WORDS) {
    if (from % (STEP * SLOT_WORDS) === 0) yield;
    if (old[from + SHAPE] === 0) continue;
    const to = emptySlot(slots, old[from + HASH] as number);
    for (let i = 0; i < SLOT_WORDS; i++) slots[to + i] = old[from + i] as number;
  }
}

function placeOf(node: number, below: boolean): number {
  return node * 2 + (below ? 1 : 0);
}

function emptySlot(slots: Int32Array, hash: number): number {
  const wrap = slots.length - 1;
  let slot = (hash * SLOT_WORDS) & wrap;
  while (slots[slot + SHAPE] !== 0) slot = (slot + SLOT_WORDS) & wrap;
  return slot;
}

// FNV's step over the octets, from the last to the first.
function hashed(hash: number, octet: number): number {
  return Math.imul(hash ^ octet, 0x01000193);
}

/** The low bits, which choose the slot, made to depend on all of them. */
function mixed(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return once ^ (once >>> 13);
}
