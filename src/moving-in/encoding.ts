// How the octets of a file are text: UTF-16 by its mark or its look, else UTF-8, else Windows-1252.

import { isAscii, isUtf8 } from 'node:buffer';

export type Encoding = 'octets' | 'utf16le' | 'utf16be';

export function encodingOf(octets: Uint8Array): Encoding {
  const [first = 1, second = 1, third = 1, fourth = 1] = octets;
  if (first === 0xff && second === 0xfe) return 'utf16le';
  if (first === 0xfe && second === 0xff) return 'utf16be';
  // Without a mark: ASCII characters, each with a zero beside it.
  if (first !== 0 && second === 0 && third !== 0 && fourth === 0) return 'utf16le';
  if (first === 0 && second !== 0 && third === 0 && fourth !== 0) return 'utf16be';
  return 'octets';
}

export function withoutMark(octets: Buffer, encoding: Encoding): Buffer {
  if (encoding !== 'octets') return octets[0] === 0 || octets[1] === 0 ? octets : octets.subarray(2);
  return octets[0] === 0xef && octets[1] === 0xbb && octets[2] === 0xbf ? octets.subarray(3) : octets;
}

const WINDOWS = new TextDecoder('windows-1252');

/** `isGuessed`: neither UTF-8 nor UTF-16, so that letters beyond ASCII may be others. Half a character of UTF-16 is left out. */
export function decoded(octets: Buffer, encoding: Encoding): { readonly text: string; readonly isGuessed: boolean } {
  if (encoding === 'utf16le') return { text: octets.toString('utf16le'), isGuessed: false };
  if (encoding === 'utf16be') {
    const swapped = Buffer.from(octets.subarray(0, octets.length & ~1)).swap16();
    return { text: swapped.toString('utf16le'), isGuessed: false };
  }
  if (isAscii(octets)) return { text: octets.toString('latin1'), isGuessed: false };
  if (isUtf8(octets)) return { text: octets.toString('utf8'), isGuessed: false };
  return { text: WINDOWS.decode(octets), isGuessed: true };
}
