// Mail data and its end: the byte automaton of protocol.md 3 (RFC 5321 §4.1.1.4).
//
// Servers disagree about what ends mail data: beside CRLF.CRLF some end on LF.LF, LF.CRLF, CRLF.LF, runs of CR, dot-NUL
// or dot-blank. A dot that begins a line is therefore held back until what follows it shows that it is text (let go), the
// one true end (let go, end), or something that two servers read in two ways (never let go). At most 64 octets are held.
// A bare LF or CR away from a dot is nobody's terminator and passes untouched. A NUL behind the dot is ambiguous whatever
// comes next: OpenSMTPD cuts the line there. (protocol.md's table lets text follow it; that would be a way through.)
//
// A server may also leave mail data at a line that is too long for it, and read what follows as commands (go-smtp 0.12, Debian 12).
// Where `textLine` says so, nothing behind so many octets of a line is let go, dots of our own counted. A line ends in CRLF
// here: a server that ends it sooner counts fewer.
//
// Inside text only the next dot matters; it is searched for, and what stands right before it tells the state.
// Not chosen: rewriting line ends, or following every candidate as if it were the end.

import { CR, DOT, LF, NOTHING, NUL } from './bytes.ts';
import { type DotSearch, lineDots } from './line-dots.ts';

const L0 = 0; //  clean line start: behind CRLF, or right behind the 354
const T = 1; //   text
const C = 2; //   behind CR
const LB = 3; //  behind a bare LF
const N = 4; //   NULs at a line start
const D0 = 5; //  a dot at a clean line start           from here on octets are held
const D0C = 6; // dot CR
const DB = 7; //  a dot behind a bare LF, a bare CR or NUL
const DW = 8; //  a dot, then blanks
const END = 9; // dot CR LF: the end of mail data
const AMBIGUOUS = 10;

// Columns: the classes of octets. Rows: the states.
const OTHER = 5;
const CLASS_OF = new Uint8Array(256).fill(OTHER);
CLASS_OF[DOT] = 0;
CLASS_OF[CR] = 1;
CLASS_OF[LF] = 2;
CLASS_OF[NUL] = 3;
// Whatever a server's language may trim from the end of a line (C, Python, JavaScript), in UTF-8, octet for octet: an honest client has
// stuffed a line that begins so. In Latin-1 it is an octet of these as well.
const BLANKS =
  ' \t\v\f\x1c\x1d\x1e\x1f\x85\xa0' +
  '\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff';
for (const octet of Buffer.from(BLANKS)) CLASS_OF[octet] = 4;

// biome-ignore format: a table is read as a table
const TABLE = Uint8Array.of(
  //  .         CR         LF         NUL        blank      other
  D0,          C,         LB,        N,         T,         T, //  L0
  T,           C,         LB,        T,         T,         T, //  T
  DB,          C,         L0,        N,         T,         T, //  C
  DB,          C,         LB,        N,         T,         T, //  LB
  DB,          C,         LB,        N,         T,         T, //  N
  T,           D0C,       AMBIGUOUS, AMBIGUOUS, DW,        T, //  D0
  AMBIGUOUS,   AMBIGUOUS, END,       AMBIGUOUS, AMBIGUOUS, AMBIGUOUS, // D0C
  T,           AMBIGUOUS, AMBIGUOUS, AMBIGUOUS, DW,        T, //  DB
  T,           AMBIGUOUS, AMBIGUOUS, AMBIGUOUS, DW,        T, //  DW
);
const CLASSES = 6;
const HELD_LIMIT = 64;
const NEAR = 16; // octets

/** How the scan of a chunk ended: it ran out, mail data ended at `end`, or nothing more may be forwarded: what follows is
 * ambiguous, or of a line that is too long. */
export const MORE = 0;
export const ENDED = 1;
export const REFUSED = 2;
export const LINE_TOO_LONG = 3;

export interface MailDataOptions {
  /** What to do with a lone dot beside a bare line end: refuse the message, stuff the dot, or let it pass. */
  readonly bareLf: 'reject' | 'normalize' | 'pass';
  /** `strict` refuses every line that starts with one dot (Exchange 4.0 ended on any; KB Q140935). */
  readonly dotLines: 'pass' | 'strict';
  /** Octets of a line, with its CRLF; Infinity: any. */
  readonly textLine: number;
}

export class MailData {
  readonly #options: MailDataOptions;
  readonly #emit: (bytes: Buffer) => void;
  readonly #emitAll: (bytes: Buffer) => void;
  readonly #dots: DotSearch;
  #state = L0;
  #held = ''; // latin-1; octets of earlier chunks that are not let go yet
  /** Behind ENDED: the index behind the last octet of mail data, and the last line, which is not emitted. */
  end = 0;
  terminator: Buffer = NOTHING;
  /** Behind REFUSED, for the log: the octets, latin-1, with the line end before the dot, and where in the mail data the dot is. */
  ambiguous = '';
  ambiguousAt = 0;
  #before = L0; // the state that the dot met
  #scanned = 0; // octets of earlier chunks
  #inLine = 0; // octets let go of the line that has not ended; counted where there is a limit
  #endsInCr = false;
  #tooLong = false;

  constructor(options: MailDataOptions, emit: (bytes: Buffer) => void, dots = lineDots()) {
    this.#options = options;
    this.#emitAll = emit;
    this.#emit = options.textLine === Number.POSITIVE_INFINITY ? emit : (bytes) => this.#emitLines(bytes);
    this.#dots = dots;
  }

  /** Reads chunk[start…], emits what may go upstream, and says MORE, ENDED, REFUSED or LINE_TOO_LONG. */
  scan(chunk: Buffer, start: number): number {
    const found = this.#scan(chunk, start);
    return this.#tooLong ? LINE_TOO_LONG : found;
  }

  /** Lets octets go upstream, and none behind the first line of them that is too long. */
  #emitLines(bytes: Buffer): void {
    if (this.#tooLong) return;
    let begins = -this.#inLine; // below 0 where the line began in octets that went before
    for (let at = 0; at < bytes.length; ) {
      const lf = bytes.indexOf(LF, at);
      const end = lf === -1 ? bytes.length : lf + 1;
      if (end - begins > this.#options.textLine) {
        this.#tooLong = true;
        this.#emitAll(bytes.subarray(0, begins + this.#options.textLine));
        return;
      }
      if (lf !== -1 && (lf === 0 ? this.#endsInCr : bytes[lf - 1] === CR)) begins = end;
      at = end;
    }
    this.#inLine = bytes.length - begins;
    if (bytes.length > 0) this.#endsInCr = bytes[bytes.length - 1] === CR;
    this.#emitAll(bytes);
  }

  #scan(chunk: Buffer, start: number): number {
    const strict = this.#options.dotLines === 'strict';
    let state = this.#state;
    let from = start; // the first octet of this chunk that has not been emitted
    let dot = start; // where the held octets of this chunk begin, while state >= D0
    let held = this.#held; // held octets of earlier chunks
    let at = start;
    this.#dots.begin();
    while (at < chunk.length) {
      if (state < D0) {
        // Only a dot can matter: the octets before it tell the state that it meets.
        const next = this.#nextDot(chunk, at, state);
        state = stateBefore(chunk, next, at, state);
        at = next;
        if (at === chunk.length) break;
      }
      const before = state;
      state = TABLE[state * CLASSES + (CLASS_OF[chunk[at] as number] as number)] as number;
      if (state >= D0 && before < D0) {
        dot = at;
        this.#before = before;
        this.ambiguousAt = this.#scanned + at - start;
      } else if (strict && before >= D0 && state === T && (before === DW || chunk[at] !== DOT)) state = AMBIGUOUS;
      else if (state === DW && held.length + at - dot >= HELD_LIMIT) state = AMBIGUOUS;
      at++;
      if (state < D0) {
        if (held !== '') {
          this.#emit(Buffer.from(held, 'latin1'));
          held = '';
        }
      } else if (state === END) {
        this.#emit(chunk.subarray(from, dot));
        this.terminator = Buffer.from(held + chunk.toString('latin1', dot, at), 'latin1');
        this.end = at;
        return ENDED;
      } else if (state === AMBIGUOUS) {
        this.#emit(chunk.subarray(from, dot));
        from = dot;
        if (strict || this.#options.bareLf === 'reject') {
          const end = chunk[at - 1] === CR && chunk[at] === LF ? at + 1 : at; // a CRLF is shown whole
          this.ambiguous = LINE_ENDS[this.#before] + held + chunk.toString('latin1', dot, end);
          return REFUSED;
        }
        if (this.#options.bareLf === 'normalize') this.#emit(STUFFING);
        if (held !== '') this.#emit(Buffer.from(held, 'latin1'));
        held = '';
        // What was held is text now; this octet is read again behind it, and may itself be a dot to hold.
        dot = at - 1;
        const behind = before === D0C ? C : T;
        state = TABLE[behind * CLASSES + (CLASS_OF[chunk[dot] as number] as number)] as number;
      }
    }
    if (state >= D0) {
      this.#emit(chunk.subarray(from, dot));
      this.#held = held + chunk.toString('latin1', dot, at);
    } else {
      this.#emit(chunk.subarray(from, at));
      this.#held = '';
    }
    this.#state = state;
    this.#scanned += chunk.length - start;
    return MORE;
  }

  /** The index of the next dot that may begin a line, or the chunk's length; `state` is that before chunk[from]. To search costs
   * as much as a look at some 50 octets, so near dots are looked for one by one. */
  #nextDot(chunk: Buffer, from: number, state: number): number {
    if (chunk[from] === DOT && state !== T) return from;
    const near = Math.min(from + NEAR, chunk.length);
    for (let at = from + 1; at < near; at++) {
      if (chunk[at] !== DOT) continue;
      const before = chunk[at - 1];
      if (before === LF || before === CR || before === NUL) return at;
    }
    return near === chunk.length ? near : this.#dots.next(chunk, near);
  }
}

/** What stands before a dot that begins a line, by the state that it met. */
const LINE_ENDS: Readonly<Record<number, string>> = { [L0]: '\r\n', [C]: '\r', [LB]: '\n', [N]: '\0' };

const STUFFING = Buffer.from('.');

/** The state before chunk[at], where `state` was that before chunk[from] and no dot that matters stands between: the table,
 * read from behind. */
function stateBefore(chunk: Buffer, at: number, from: number, state: number): number {
  let last = at - 1;
  if (last < from) return state;
  const octet = chunk[last];
  if (octet === CR) return C;
  if (octet === LF) return (last === from ? state === C : chunk[last - 1] === CR) ? L0 : LB;
  if (octet !== NUL) return T;
  while (last >= from && chunk[last] === NUL) last--;
  if (last < from) return state === T ? T : N;
  return chunk[last] === CR || chunk[last] === LF ? N : T;
}
