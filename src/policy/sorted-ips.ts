// Sorted addresses of one family: finds the last that is not above a given one.
//
// The whole list is the lowest level; every level above holds each sixteenth address of the one below, until one holds no
// more than sixteen. A search reads one group of sixteen on each level: an IPv4 group is as long as a line of the
// processor's cache, and the upper levels are small enough to stay there, so that of 100 000 addresses one or two lines
// come from memory. An index by the first 16 bits was not chosen: configured addresses stand close together. The first
// address must be the lowest of its family, so that every search finds one.

const GROUP = 16;

/** The keys, above them each sixteenth, and so on; the highest level first. A key has `width` words. */
function levelsOf(keys: Uint32Array, width: number): Uint32Array[] {
  const levels = [keys];
  for (let below = keys; below.length > GROUP * width; ) {
    const level = new Uint32Array(Math.ceil(below.length / width / GROUP) * width);
    for (let i = 0; i < level.length; i++) level[i] = below[(i - (i % width)) * GROUP + (i % width)] as number;
    levels.unshift(level);
    below = level;
  }
  return levels;
}

export class SortedIpv4 {
  readonly #levels: readonly Uint32Array[];

  constructor(sorted: readonly number[]) {
    this.#levels = levelsOf(Uint32Array.from(sorted), 1);
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

const WORDS = 4;

/** The address that is looked for, as words. */
const wanted = new DataView(new ArrayBuffer(WORDS * 4));

function setWords(words: DataView, offset: number, ip: bigint): void {
  words.setBigUint64(offset, ip >> 64n);
  words.setBigUint64(offset + 8, ip); // its low 64 bits
}

export class SortedIpv6 {
  readonly #levels: readonly Uint32Array[];

  constructor(sorted: readonly bigint[]) {
    const words = new DataView(new ArrayBuffer(sorted.length * WORDS * 4));
    for (const [i, ip] of sorted.entries()) setWords(words, i * WORDS * 4, ip);
    const keys = new Uint32Array(sorted.length * WORDS);
    for (let i = 0; i < keys.length; i++) keys[i] = words.getUint32(i * 4);
    this.#levels = levelsOf(keys, WORDS);
  }

  /** The place of the last that is not above `ip`. */
  lastUpTo(ip: bigint): number {
    setWords(wanted, 0, ip);
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
