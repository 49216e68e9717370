// Octets into text, as whole lines: UTF-16 by its mark or its look, else UTF-8, else Windows-1252.
//
// What comes out are blocks of text that end in a line end, and not lines: cutting a block is the reader's, where speed counts.
// Invariant: no more is kept than one unfinished line, and a line that has no end in LONGEST octets is cut: it is no log.

import { isAscii, isUtf8 } from 'node:buffer';

export const LONGEST = 1 << 20;

const LF = 0x0a;

type Encoding = 'octets' | 'utf16le' | 'utf16be';

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
    if (this.#encoding === 'utf16le') return octets.toString('utf16le');
    if (this.#encoding === 'utf16be')
      return Buffer.from(octets.subarray(0, octets.length & ~1))
        .swap16()
        .toString('utf16le');
    if (isAscii(octets)) return octets.toString('latin1');
    if (isUtf8(octets)) return octets.toString('utf8');
    this.isMixed = true;
    return WINDOWS.decode(octets);
  }
}

const WINDOWS = new TextDecoder('windows-1252');

function encodingOf(octets: Buffer): Encoding {
  const [first = 1, second = 1, third = 1, fourth = 1] = octets;
  if (first === 0xff && second === 0xfe) return 'utf16le';
  if (first === 0xfe && second === 0xff) return 'utf16be';
  // Without a mark: ASCII characters, each with a zero beside it.
  if (first !== 0 && second === 0 && third !== 0 && fourth === 0) return 'utf16le';
  if (first === 0 && second !== 0 && third === 0 && fourth !== 0) return 'utf16be';
  return 'octets';
}

function withoutMark(octets: Buffer, encoding: Encoding): Buffer {
  if (encoding !== 'octets') return octets[0] === 0 || octets[1] === 0 ? octets : octets.subarray(2);
  return octets[0] === 0xef && octets[1] === 0xbb && octets[2] === 0xbf ? octets.subarray(3) : octets;
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
