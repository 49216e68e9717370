// The octets of a log as text, in whole lines.
//
// What comes out are blocks of text that end in a line end, and not lines: cutting a block is the reader's, where speed counts.
// Invariant: no more is kept than one unfinished line, and a line that has no end in LONGEST octets is cut: it is no log.

import { decoded, type Encoding, encodingOf, withoutMark } from './encoding.ts';

export const LONGEST = 1 << 20;

const LF = 0x0a;

export class TextLines {
  #encoding: Encoding | null = null;
  /** An unfinished line at its beginning, and room for what comes. */
  #held = Buffer.allocUnsafeSlow(1 << 17);
  #rest = 0;
  /** Some line was neither UTF-8 nor UTF-16. */
  isMixed = false;

  /** Text up to the last line end in what has come. */
  take(block: Buffer): string {
    let octets = this.#withRest(block);
    if (this.#encoding === null) {
      this.#encoding = encodingOf(octets);
      octets = withoutMark(octets, this.#encoding);
    }
    let end = lastLineEnd(octets, this.#encoding);
    if (end === 0 && octets.length > LONGEST) end = octets.length & ~1;
    const text = this.#decode(octets.subarray(0, end));
    this.#rest = octets.copy(this.#held, 0, end);
    return text;
  }

  /** What is left: a last line that has no end. */
  end(): string {
    const rest = this.#held.subarray(0, this.#rest);
    this.#rest = 0;
    return this.#decode(rest);
  }

  #withRest(block: Buffer): Buffer {
    const length = this.#rest + block.length;
    if (length > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(2 * length);
      this.#held.copy(larger, 0, 0, this.#rest);
      this.#held = larger;
    }
    block.copy(this.#held, this.#rest);
    return this.#held.subarray(0, length);
  }

  #decode(octets: Buffer): string {
    const { text, isGuessed } = decoded(octets, this.#encoding ?? 'octets');
    this.isMixed ||= isGuessed;
    return text;
  }
}

/** The place behind it; 0: there is none. */
function lastLineEnd(octets: Buffer, encoding: Encoding): number {
  if (encoding === 'octets') return octets.lastIndexOf(LF) + 1;
  const low = encoding === 'utf16le' ? 0 : 1;
  for (let at = octets.lastIndexOf(LF); at >= 0; at = octets.lastIndexOf(LF, at - 1)) {
    if (at % 2 === low && octets[at + 1 - 2 * low] === 0) return at + 2 - low;
    if (at === 0) break;
  }
  return 0;
}
