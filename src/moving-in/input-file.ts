// A file of settings as text, and where in it something stands.
//
// Settings are small: a file is read whole, up to LARGEST. Not here: what is in it, and which files there are (inputs.ts).

import type { Place } from '../policy/problem.ts';
import { decoded, encodingOf, withoutMark } from './encoding.ts';
import type { Fault } from './imported.ts';
import { findFiles, type Part, partsOf, whyNotRead } from './inputs.ts';

const LARGEST = 256 << 20; //     octets of all files together: mailboxes of an office of thousands as CLIXML
const MOST_LINES = 2_000_000; // of one that is no XML, whose elements are counted

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

/** The files that paths mean, also those in folders and archives; each read, or why not. */
export async function readInputs(paths: readonly string[]): Promise<(InputFile | Fault)[]> {
  const read: (InputFile | Fault)[] = [];
  const room = { left: LARGEST };
  for (const found of findFiles(paths)) {
    if ('problem' in found) read.push(faultIn(found.path, found.problem));
    else
      try {
        for await (const part of partsOf(found, () => {})) read.push(await readPart(part, room));
      } catch (error) {
        read.push(faultIn(found.path, `cannot be read: ${whyNotRead(error as Error)}`));
      }
  }
  return read;
}

async function readPart({ name, blocks }: Part, room: { left: number }): Promise<InputFile | Fault> {
  const octets: Buffer[] = [];
  let length = 0;
  try {
    for await (const block of blocks()) {
      octets.push(Buffer.from(block));
      length += block.length;
      room.left -= block.length;
      if (room.left < 0)
        return faultIn(
          name,
          `more than ${LARGEST >> 20} MiB are no settings: is it a log? Those are for inventory and replay`,
        );
    }
  } catch (error) {
    return faultIn(name, `cannot be read: ${whyNotRead(error as Error)}`);
  }
  return decode(name, Buffer.concat(octets, length));
}

function faultIn(file: string, message: string): Fault {
  return { file, line: 1, column: 1, message };
}

/** Text of octets; a fault where they are none. A carriage return alone ends a line, and the mark of a second file behind the
 * first (`copy /b`) is no character. */
export function decode(name: string, octets: Buffer): InputFile | Fault {
  const encoding = encodingOf(octets);
  const { text: read, isGuessed } = decoded(withoutMark(octets, encoding), encoding);
  const text = read.replace(/\r(?!\n)/g, '\n').replace(/^\uFEFF/gm, '');
  const file = new InputFile(name, text, isGuessed);
  for (const [sign, message] of SIGNS) {
    const at = text.search(sign);
    if (at !== -1) return { ...file.place(at), message };
  }
  if (encoding !== 'octets' && octets.length % 2 === 1)
    return { ...file.place(text.length), message: 'the file ends in half a character of UTF-16: it is cut off' };
  if (!text.trimStart().startsWith('<') && hasMoreLines(text, MOST_LINES))
    return faultIn(name, `more than ${MOST_LINES} lines are no settings`);
  return file;
}

function hasMoreLines(text: string, most: number): boolean {
  let lines = 0;
  for (let at = text.indexOf('\n'); at !== -1 && lines <= most; at = text.indexOf('\n', at + 1)) lines++;
  return lines > most;
}

/** What is in no text of one encoding. */
const SIGNS: readonly (readonly [RegExp, string])[] = [
  [/\0/, 'a NUL octet: this is no text, or one in two encodings: save it as UTF-8 or as UTF-16 with a mark'],
  // A line end of single octets, as UTF-16 has it; no language has this character.
  [/\u0A0D/, 'UTF-16 up to here, and another encoding from here on: save all of it as UTF-8 or as UTF-16 with a mark'],
  [
    /[\u0080-\u009F]/,
    'an octet that is no letter in UTF-8 or Windows-1252: is it of another code page, as cmd.exe writes? Save it as UTF-8 or as UTF-16 with a mark',
  ],
];
