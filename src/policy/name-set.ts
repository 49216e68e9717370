// A set of names that may be a million: octets in a few large arrays, found by hash.
//
// Invariant: no call takes longer than a moment, however many names there are, since it happens beside sessions that wait.
// A Set of strings was not chosen: when it grows at half a million it stands still for 60 ms, and each string in it is work
// for the garbage collector for ever. So there are many small tables, each of which grows by itself.
// Names are strings of octets (latin-1); one that is not is in no set. Only configured names are put in, so that the hash
// needs no secret.

const CHUNK_BITS = 20;
const CHUNK = 1 << CHUNK_BITS; //  octets; the first chunks are smaller
const FIRST_CHUNK = 1 << 8;
const TABLES = 256;
const FEW = 4096; //               names in the one table that there is at first
const LENGTH_OCTETS = 4;

/** Open addressing, at most half full: the hash of a name, and where it stands + 1. */
interface Table {
  slots: Int32Array;
  used: number;
}

export class NameSet {
  /** The names: four octets of length, then the name. */
  readonly #chunks: Uint8Array[] = [];
  #left = 0; // of the last chunk
  #tables: Table[] = [newTable()];
  #size = 0;
  #sum = 0;
  #longest = 0;

  get size(): number {
    return this.#size;
  }

  /** Of the hashes: the same for two sets of the same names, in whatever order they came. */
  get sum(): number {
    return this.#sum;
  }

  has(name: string): boolean {
    if (name.length > this.#longest) return false; // a client may say 2048 octets, and be asked about in many rules
    const hash = hashOf(name);
    const { slots } = this.#tableOf(hash);
    return slots[this.#slotOf(slots, hash, name) + 1] !== 0;
  }

  /** Throws for what is no string of octets: a fault of ours. */
  add(name: string): void {
    const hash = hashOf(name);
    const table = this.#tableOf(hash);
    const slot = this.#slotOf(table.slots, hash, name);
    if (table.slots[slot + 1] !== 0) return;
    table.slots[slot] = hash;
    table.slots[slot + 1] = this.#write(name) + 1;
    this.#size++;
    this.#longest = Math.max(this.#longest, name.length);
    this.#sum = (this.#sum + hash) | 0;
    if (++table.used * 4 > table.slots.length) grow(table);
    if (this.#tables.length === 1 && this.#size > FEW) this.#part();
  }

  #tableOf(hash: number): Table {
    const tables = this.#tables;
    return tables[tables.length === 1 ? 0 : hash >>> 24] as Table;
  }

  /** Where it stands, or the empty slot where it would. */
  #slotOf(slots: Int32Array, hash: number, name: string): number {
    const wrap = slots.length - 1;
    for (let slot = (hash * 2) & wrap; ; slot = (slot + 2) & wrap) {
      const at = slots[slot + 1] as number;
      if (at === 0 || (slots[slot] === hash && this.#isAt(at - 1, name))) return slot;
    }
  }

  #isAt(at: number, name: string): boolean {
    const octets = this.#chunks[at >>> CHUNK_BITS] as Uint8Array;
    const from = (at & (CHUNK - 1)) + LENGTH_OCTETS;
    let length = 0;
    for (let i = from - LENGTH_OCTETS; i < from; i++) length = length * 256 + (octets[i] as number);
    if (length !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (octets[from + i] !== name.charCodeAt(i)) return false;
    return true;
  }

  #write(name: string): number {
    const needed = LENGTH_OCTETS + name.length;
    if (this.#left < needed) this.#addChunk(needed);
    const last = this.#chunks.length - 1;
    const octets = this.#chunks[last] as Uint8Array;
    const start = octets.length - this.#left;
    for (let i = 0; i < LENGTH_OCTETS; i++) octets[start + i] = name.length >>> (8 * (LENGTH_OCTETS - 1 - i));
    for (let i = 0; i < name.length; i++) {
      const code = name.charCodeAt(i);
      if (code > 0xff) throw new RangeError('a name that is no string of octets');
      octets[start + LENGTH_OCTETS + i] = code;
    }
    this.#left -= needed;
    return last * CHUNK + start;
  }

  #addChunk(needed: number): void {
    // One that is larger than CHUNK has room for its name alone: no place in it is behind CHUNK.
    const size = Math.max(needed, Math.min(CHUNK, FIRST_CHUNK * 2 ** this.#chunks.length));
    this.#chunks.push(new Uint8Array(size));
    this.#left = size;
  }

  /** From one table to many. */
  #part(): void {
    const { slots } = this.#tables[0] as Table;
    const tables = Array.from({ length: TABLES }, newTable);
    for (let from = 0; from < slots.length; from += 2) {
      const hash = slots[from] as number;
      const at = slots[from + 1] as number;
      if (at === 0) continue;
      const table = tables[hash >>> 24] as Table;
      put(table.slots, hash, at);
      if (++table.used * 4 > table.slots.length) grow(table);
    }
    this.#tables = tables;
  }
}

function newTable(): Table {
  return { slots: new Int32Array(16), used: 0 };
}

function grow(table: Table): void {
  const old = table.slots;
  table.slots = new Int32Array(old.length * 2);
  for (let from = 0; from < old.length; from += 2)
    if (old[from + 1] !== 0) put(table.slots, old[from] as number, old[from + 1] as number);
}

/** Into the first slot that is empty. */
function put(slots: Int32Array, hash: number, at: number): void {
  const wrap = slots.length - 1;
  let slot = (hash * 2) & wrap;
  while (slots[slot + 1] !== 0) slot = (slot + 2) & wrap;
  slots[slot] = hash;
  slots[slot + 1] = at;
}

/** FNV-1a, the bits mixed: the high ones choose the table and the low ones the slot. */
export function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return hash ^ (hash >>> 15);
}
