// Octets: their names, ASCII folding, and the one buffer that may outlive a chunk.
//
// Text here is latin-1: a code point is an octet. Nothing decodes UTF-8 and nothing folds beyond ASCII, because two
// parties that fold differently are two parties that read different addresses.

export const NUL = 0x00;
export const HT = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const DOT = 0x2e;

/** Lower-cases A–Z and nothing else. */
export function foldAscii(text: string): string {
  if (!/[A-Z]/.test(text)) return text;
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase(); // lists may be long
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** The text with every octet outside printable ASCII replaced by `?`. */
export function toPrintable(text: string): string {
  return /[^\x20-\x7e]/.test(text) ? text.replace(/[^\x20-\x7e]/g, '?') : text;
}

/** No octets. One for all, since each empty Buffer is a piece of memory of its own. */
export const NOTHING: Buffer = Buffer.alloc(0);

const SLAB = 16_384;
let slab = NOTHING;
let slabAt = 0;

/** The octets from `start` to `end` of a chunk that will not stay as it is. Copies that are made one after the other are neighbours. */
export function copyOf(chunk: Buffer, start: number, end: number): Buffer {
  const length = end - start;
  if (length > SLAB / 8) return Buffer.from(chunk.subarray(start, end));
  if (slabAt + length > slab.length) {
    slab = Buffer.allocUnsafeSlow(SLAB);
    slabAt = 0;
  }
  const copy = slab.subarray(slabAt, slabAt + length);
  chunk.copy(copy, 0, start, end);
  slabAt += length;
  return copy;
}

/** Octets kept across chunks: grows by doubling, so that n octets cost O(n) however they arrive. */
export class Carry {
  #bytes: Buffer = NOTHING;
  length = 0;

  append(chunk: Buffer, start: number, end: number): void {
    const needed = this.length + end - start;
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(256, needed, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, this.length);
      this.#bytes = grown;
    }
    chunk.copy(this.#bytes, this.length, start, end);
    this.length = needed;
  }

  /** The octets from `start` to `end`, valid until the next call. */
  view(start = 0, end = this.length): Buffer {
    return this.#bytes.subarray(start, end);
  }

  /** Hands the octets over and starts anew. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.length);
    this.#bytes = NOTHING;
    this.length = 0;
    return taken;
  }

  clear(): void {
    this.#bytes = NOTHING;
    this.length = 0;
  }
}

/** Views into received chunks on their way out. Neighbours in memory leave as one view, so that a chunk in which
 * nothing was refused is written once and never copied. */
export class Spans {
  readonly #write: (bytes: Buffer) => void;
  #span: Buffer | null = null;

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write;
  }

  add(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const span = this.#span;
    if (span === null) {
      this.#span = bytes;
    } else if (span.buffer === bytes.buffer && span.byteOffset + span.length === bytes.byteOffset) {
      this.#span = Buffer.from(span.buffer, span.byteOffset, span.length + bytes.length);
    } else {
      this.#write(span);
      this.#span = bytes;
    }
  }

  drop(): void {
    this.#span = null;
  }

  flush(): void {
    if (this.#span === null) return;
    const span = this.#span;
    this.#span = null;
    this.#write(span);
  }
}
