// How twelve kinds of mail server cut one stream of octets into lines.
//
// Every hole that smuggling uses is a disagreement about where a line ends, so each dialect is one habit seen in a real
// server, on top of the common one (LF ends a line, one CR before it goes). Lines are latin-1 strings: a code point is
// an octet. Work per octet is constant however the stream is split. Nothing here knows a verb.
//
// Two habits are kept narrow, because protocol.md counts their wide form as plain text: `7bit` clears the high bit of
// command lines only, and `trim` takes blanks from the end of a line of mail data only (from both ends of a command).

export const DIALECTS = [
  'strict', // CRLF alone ends a line
  'lf', // LF ends a line, one CR before it is stripped
  'crstrip', // the same, all CR before it are stripped
  'cr', // CR, LF and CRLF each end a line
  'cstr', // a line is a C string: cut at its first NUL
  'nulskip', // NULs are thrown away
  'trim', // blanks around a line are thrown away before anything is compared
  'cut512', // a longer command line is cut there and its rest is the next line
  'cut2048',
  'cut16384',
  '7bit', // the high bit is cleared
  'dotany', // any line that starts with one dot ends mail data
] as const;

export type Dialect = (typeof DIALECTS)[number];

const CUTS: Partial<Record<Dialect, number>> = { cut512: 512, cut2048: 2048, cut16384: 16384 };
const HT = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;

export class LineReader {
  readonly #dialect: Dialect;
  readonly #cut: number;
  #store = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  /** Up to here there is no line end. */
  #scanned = 0;
  /** `cr` ended a line at a CR: an LF right behind it belongs to that line end. */
  #swallowLf = false;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
    this.#cut = CUTS[dialect] ?? Number.POSITIVE_INFINITY;
  }

  /** Octets that came in and are not handed out yet. */
  get length(): number {
    this.#skipLf();
    return this.#end - this.#start;
  }

  append(chunk: Buffer): void {
    const live = this.length;
    if (this.#end + chunk.length > this.#store.length) {
      const roomy = live + chunk.length <= this.#store.length / 2;
      const store = roomy ? this.#store : Buffer.allocUnsafe(Math.max(256, 2 * (live + chunk.length)));
      this.#store.copy(store, 0, this.#start, this.#end);
      this.#store = store;
      this.#scanned -= this.#start;
      this.#start = 0;
      this.#end = live;
    }
    chunk.copy(this.#store, this.#end);
    this.#end += chunk.length;
  }

  /** The next line that is not mail data, without its end; null when there is none yet. */
  command(): string | null {
    const line = this.#line(true);
    if (line === null) return null;
    switch (this.#dialect) {
      case '7bit':
        return stripOneCr(clearHighBits(line));
      case 'trim':
        return trimStart(trimEnd(line));
      default:
        return this.#habit(line);
    }
  }

  /** The next line of mail data, without its end; null when there is none yet. */
  data(): string | null {
    const line = this.#line(false);
    if (line === null) return null;
    return this.#dialect === 'trim' ? trimEnd(line) : this.#habit(line);
  }

  /** Whether this server takes the line for the end of mail data. */
  endsData(line: string): boolean {
    if (this.#dialect === 'dotany') return line.startsWith('.') && !line.startsWith('..');
    return line === '.';
  }

  /** At most `count` octets, uninterpreted. */
  take(count: number): Buffer {
    this.#skipLf();
    const stop = Math.min(this.#end, this.#start + count);
    const taken = Buffer.from(this.#store.subarray(this.#start, stop));
    this.#start = stop;
    this.#scanned = Math.max(this.#scanned, stop);
    return taken;
  }

  #habit(line: string): string {
    switch (this.#dialect) {
      case 'strict':
      case 'cr':
        return line;
      case 'crstrip': {
        let stop = line.length;
        while (line.charCodeAt(stop - 1) === CR) stop--;
        return line.slice(0, stop);
      }
      case 'cstr': {
        const nul = line.indexOf('\0');
        return stripOneCr(nul < 0 ? line : line.slice(0, nul));
      }
      case 'nulskip':
        return stripOneCr(line.replaceAll('\0', ''));
      default:
        return stripOneCr(line);
    }
  }

  #line(command: boolean): string | null {
    this.#skipLf();
    const found = this.#findEnd(command);
    const limit = command ? this.#start + this.#cut : Number.POSITIVE_INFINITY;
    if (found >= 0 && found <= limit) {
      this.#swallowLf = this.#dialect === 'cr' && this.#store[found] === CR;
      return this.#upTo(found, found + (this.#dialect === 'strict' ? 2 : 1));
    }
    if (this.#end > limit) return this.#upTo(limit, limit);
    this.#scanned = this.#end;
    return null;
  }

  #upTo(stop: number, next: number): string {
    const line = this.#store.toString('latin1', this.#start, stop);
    this.#start = next;
    this.#scanned = next;
    return line;
  }

  #skipLf(): void {
    if (!this.#swallowLf || this.#end === this.#start) return;
    this.#swallowLf = false;
    if (this.#store[this.#start] !== LF) return;
    this.#start++;
    this.#scanned = Math.max(this.#scanned, this.#start);
  }

  /** Where the next line stops, or -1. */
  #findEnd(command: boolean): number {
    const live = this.#store.subarray(0, this.#end);
    if (this.#dialect === 'strict') return live.indexOf('\r\n', Math.max(this.#start, this.#scanned - 1), 'latin1');
    if (this.#dialect === 'cr') return indexWhere(live, this.#scanned, (octet) => octet === CR || octet === LF);
    if (this.#dialect === '7bit' && command) return indexWhere(live, this.#scanned, (octet) => (octet & 0x7f) === LF);
    return live.indexOf(LF, this.#scanned);
  }
}

function indexWhere(octets: Buffer, from: number, wanted: (octet: number) => boolean): number {
  for (let at = from; at < octets.length; at++) if (wanted(octets[at] as number)) return at;
  return -1;
}

function stripOneCr(line: string): string {
  return line.charCodeAt(line.length - 1) === CR ? line.slice(0, -1) : line;
}

function clearHighBits(line: string): string {
  return line.replace(/[\x80-\xff]/g, (octet) => String.fromCharCode(octet.charCodeAt(0) & 0x7f));
}

function isBlank(code: number): boolean {
  return code === SP || code === HT || code === CR;
}

export function trimStart(line: string): string {
  let start = 0;
  while (start < line.length && isBlank(line.charCodeAt(start))) start++;
  return line.slice(start);
}

export function trimEnd(line: string): string {
  let stop = line.length;
  while (stop > 0 && isBlank(line.charCodeAt(stop - 1))) stop--;
  return line.slice(0, stop);
}
