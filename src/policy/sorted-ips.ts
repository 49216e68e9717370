// Sorted addresses of one family: finds the last that is not above a given one.
//
// The whole list is the lowest level; every level above holds each sixteenth address of the one below, until one holds no
// more than sixteen. A search reads one group of sixteen on each level: an IPv4 group is as long as a line of the
// processor's cache, and the upper levels are small enough to stay there, so that of 100 000 addresses one or two lines
// come from memory. An index by the first 16 bits was not chosen: configured addresses stand close together. The first
// address must be the lowest of its family, so that every search finds one.

import { type Ip, isIpv4 } from './ip.ts';
import { STEP, type Steps } from './steps.ts';

const GROUP = 16;

const WORDS = 4;

/** How many words a key of this family has. */
export function widthOf(ip: Ip): number {
  return isIpv4(ip) ? 1 : WORDS;
}

/** An address as words, the highest first. */
export function putWords(keys: Uint32Array, at: number, ip: Ip): void {
  if (isIpv4(ip)) keys[at] = ip;
  else for (let i = 0; i < WORDS; i++) keys[at + i] = Number((ip >> BigInt(32 * (WORDS - 1 - i))) & 0xffffffffn);
}

const DIGIT = 8; // bits

/** `places` in the order of their keys, of `width` words each; where those are equal, as they were. Sorted by one digit after
 * the other from the lowest on, since that can be done a few at a time. */
export function* sorted(places: Int32Array, keys: Uint32Array, width: number): Steps<Int32Array> {
  let order = new Int32Array(places.length);
  let next = new Int32Array(places.length);
  for (let i = 0; i < order.length; i++) {
    if (i % STEP === STEP - 1) yield;
    order[i] = i;
  }
  const starts = new Int32Array((1 << DIGIT) + 1);
  for (let shift = 0; shift < 32 * width; shift += DIGIT) {
    const word = width - 1 - (shift >> 5);
    const digitOf = (i: number): number =>
      ((keys[(order[i] as number) * width + word] as number) >>> (shift & 31)) & ((1 << DIGIT) - 1);
    starts.fill(0);
    for (let i = 0; i < order.length; i++) {
      if (i % STEP === STEP - 1) yield;
      (starts[digitOf(i) + 1] as number)++;
    }
    if (starts[digitOf(0) + 1] === order.length) continue; // they all have the same
    for (let digit = 0; digit < 1 << DIGIT; digit++) (starts[digit + 1] as number) += starts[digit] as number;
    for (let i = 0; i < order.length; i++) {
      if (i % STEP === STEP - 1) yield;
      next[(starts[digitOf(i)] as number)++] = order[i] as number;
    }
    [order, next] = [next, order];
  }
  for (let i = 0; i < order.length; i++) {
    if (i % STEP === STEP - 1) yield;
    next[i] = places[order[i] as number] as number;
  }
  return next;
}

/** The keys, above them each sixteenth, and so on; the highest level first. A key has `width` words. */
export function* levelsOf(keys: Uint32Array, width: number): Steps<Uint32Array[]> {
  const levels = [keys];
  for (let below = keys; below.length > GROUP * width; ) {
    const level = new Uint32Array(Math.ceil(below.length / width / GROUP) * width);
    for (let i = 0; i < level.length; i++) {
      if (i % STEP === STEP - 1) yield;
      level[i] = below[(i - (i % width)) * GROUP + (i % width)] as number;
    }
    levels.unshift(level);
    below = level;
  }
  return levels;
}

export class SortedIpv4 {
  readonly #levels: readonly Uint32Array[];

  constructor(levels: readonly Uint32Array[]) {
    this.#levels = levels;
  }

  at(place: number): number {
    return (this.#levels.at(-1) as Uint32Array)[place] as number;
  }

  /** The place of the last that is not above `ip`. */
  lastUpTo(ip: number): number {
    let at = 0;
    for (const level of this.#levels) {
      at *= GROUP;
      const end = Math.min(at + GROUP, level.length);
      // The first of a group is never above: it stands in the level before.
      while (at + 1 < end && (level[at + 1] as number) <= ip) at++;
    }
    return at;
  }
}

/** The address that is looked for, as words. */
const wanted = new DataView(new ArrayBuffer(WORDS * 4));

function setWanted(ip: bigint): void {
  wanted.setBigUint64(0, ip >> 64n);
  wanted.setBigUint64(8, ip); // its low 64 bits
}

export class SortedIpv6 {
  readonly #levels: readonly Uint32Array[];

  constructor(levels: readonly Uint32Array[]) {
    this.#levels = levels;
  }

  at(place: number): bigint {
    const keys = this.#levels.at(-1) as Uint32Array;
    let ip = 0n;
    for (let i = 0; i < WORDS; i++) ip = (ip << 32n) | BigInt(keys[place * WORDS + i] as number);
    return ip;
  }

  /** The place of the last that is not above `ip`. */
  lastUpTo(ip: bigint): number {
    setWanted(ip);
    let at = 0;
    for (const level of this.#levels) {
      at *= GROUP;
      const end = Math.min(at + GROUP, level.length / WORDS);
      while (at + 1 < end && !isAboveWanted(level, (at + 1) * WORDS)) at++;
    }
    return at;
  }
}

function isAboveWanted(keys: Uint32Array, at: number): boolean {
  for (let i = 0; i < WORDS; i++) {
    const key = keys[at + i] as number;
    const word = wanted.getUint32(i * 4);
    if (key !== word) return key > word;
  }
  return false;
}
