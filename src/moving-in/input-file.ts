// A file of settings as text: UTF-16 by its mark or its look, UTF-8, else Windows-1252; and where in it something stands.
//
// Settings are small: a file is read whole, up to LARGEST. Not here: what is in it, and logs, which stream (inputs.ts).

import { isUtf8 } from 'node:buffer';
import { globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Place } from '../policy/problem.ts';
import type { Fault } from './imported.ts';

const LARGEST = 256 << 20;

export class InputFile {
  readonly name: string;
  readonly text: string;
  /** Neither UTF-8 nor UTF-16: letters beyond ASCII may be others. */
  readonly isGuessed: boolean;
  #lineStarts: number[] | null = null;

  constructor(name: string, text: string, isGuessed = false) {
    this.name = name;
    this.text = text;
    this.isGuessed = isGuessed;
  }

  /** The offset of a place; both from 1. */
  offset(line: number, column: number): number {
    return (this.#starts()[line - 1] ?? this.text.length) + column - 1;
  }

  #starts(): number[] {
    this.#lineStarts ??= [0, ...[...this.text.matchAll(/\r\n|\n|\r/g)].map(({ index, 0: end }) => index + end.length)];
    return this.#lineStarts;
  }

  place(offset = 0): Place {
    const starts = this.#starts();
    let low = 0;
    for (let high = starts.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if ((starts[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    return { file: this.name, line: low + 1, column: offset - (starts[low] as number) + 1 };
  }

  /** Without their ends, each with its offset. */
  lines(): { text: string; offset: number }[] {
    const lines: { text: string; offset: number }[] = [];
    let offset = 0;
    for (const text of this.text.split(/\r\n|\n|\r/)) {
      lines.push({ text, offset });
      offset += text.length;
      offset += this.text.startsWith('\r\n', offset) ? 2 : 1;
    }
    return lines;
  }
}

/** What says that the last line has no end, as every program writes one; null: it has. */
export function unfinished(file: InputFile): Fault | null {
  if (/[\r\n]$/.test(file.text)) return null;
  const message = 'the last line has no end: is the file cut off? End the line where it is whole';
  return { ...file.place(file.text.length), message };
}

/** The files that a path, a folder, a glob or `-` means; each read, or why not. */
export function readInputs(paths: readonly string[]): (InputFile | Fault)[] {
  return paths.flatMap((path) => {
    const names = filesAt(path);
    return typeof names === 'string' ? [faultIn(path, names)] : names.map(readInput);
  });
}

function filesAt(path: string): string[] | string {
  if (path === '-') return [path];
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.isDirectory()) {
    const files = readdirSync(path, { withFileTypes: true }).filter(
      (entry) => entry.isFile() && !entry.name.startsWith('.'),
    );
    return files.length === 0 ? 'no file is in this folder' : files.map(({ name }) => join(path, name)).sort();
  }
  if (status !== undefined) return [path];
  if (!/[*?[{]/.test(path)) return 'there is no such file or folder';
  const matches = globSync(path).sort();
  return matches.length === 0 ? 'no file matches' : matches;
}

function readInput(path: string): InputFile | Fault {
  const name = path === '-' ? 'standard input' : path;
  try {
    const size = path === '-' ? 0 : statSync(path).size;
    if (size > LARGEST)
      return faultIn(
        name,
        `${Math.round(size / 2 ** 20)} MiB are no file of settings: is it a log? Those are for inventory and replay`,
      );
    const read = readFileSync(path === '-' ? 0 : path);
    const octets = read[0] === 0x1f && read[1] === 0x8b ? gunzipSync(read, { maxOutputLength: LARGEST }) : read;
    if (octets[0] === 0x50 && octets[1] === 0x4b && octets[2] === 3 && octets[3] === 4)
      return faultIn(name, 'this is a .zip: unpack it, and name the files in it');
    return decode(name, octets);
  } catch (error) {
    return faultIn(name, `cannot be read: ${(error as Error).message}`);
  }
}

function faultIn(file: string, message: string): Fault {
  return { file, line: 1, column: 1, message };
}

/** Text of octets; a fault where they are none. */
export function decode(name: string, octets: Buffer): InputFile | Fault {
  const [first = 1, second = 1, third = 1, fourth = 1] = octets;
  const little = (first === 0xff && second === 0xfe) || (first !== 0 && second === 0 && third !== 0 && fourth === 0);
  const big = (first === 0xfe && second === 0xff) || (first === 0 && second !== 0 && third === 0 && fourth !== 0);
  if (little || big) {
    const isOdd = octets.length % 2 === 1;
    const even = isOdd ? octets.subarray(0, -1) : octets;
    const text = (little ? even : Buffer.from(even).swap16()).toString('utf16le').replace(/^\ufeff/, '');
    const file = new InputFile(name, text);
    if (isOdd)
      return { ...file.place(text.length), message: 'the file ends in half a character of UTF-16: it is cut off' };
    return nothingUnreadable(file);
  }
  const utf8 = isUtf8(octets);
  const text = new TextDecoder(utf8 ? 'utf-8' : 'windows-1252').decode(octets);
  return nothingUnreadable(new InputFile(name, text.replace(/^\ufeff/, ''), !utf8));
}

/** A NUL is in no text: it is another encoding, or no text at all. */
function nothingUnreadable(file: InputFile): InputFile | Fault {
  const nul = file.text.indexOf('\0');
  if (nul === -1) return file;
  return {
    ...file.place(nul),
    message: 'a NUL octet: this is no text, or one in two encodings: save it as UTF-8 or as UTF-16 with a mark',
  };
}
