// Reading the upstream's replies (RFC 5321 §4.2): cutting a stream into whole replies, whatever the chunks.
//
// A reply goes on only when it is whole: the session must know its code before it knows what the next octet means, and
// the SMTP client of Windows 2003 fails on a reply that arrives in pieces (KB 912341). A bare LF may end a line (old
// appliances); everything else that is not a reply is malformed, and there is no second guess.

import { Carry, CR, LF, NOTHING, NUL } from './bytes.ts';

const LINE_LIMIT = 2048; // octets with the line end; RFC 5321 §4.5.3.1.5 asks for 512
const REPLY_LIMIT = 65536; // octets of one whole reply: HELP and EHLO texts are a few thousand at most
const DASH = 0x2d;
const SPACE = 0x20;

/** What next() found. */
export const INCOMPLETE = 0;
export const COMPLETE = 1;
export const MALFORMED = 2;

export class ReplyReader {
  /** Behind COMPLETE: the code, every octet of the reply, and the index behind it in the chunk handed in. */
  code = 0;
  bytes: Buffer = NOTHING;
  end = 0;

  readonly #carry = new Carry();
  #lineStart = 0; // of the unfinished line, within the carry
  #firstCode = 0; // of the unfinished reply; 0 before its first line

  /** True while the octets of an unfinished reply are kept. */
  get isPartial(): boolean {
    return this.#carry.length > 0;
  }

  /** Reads one reply from chunk[start…]. What is unfinished at the chunk's end is kept. */
  next(chunk: Buffer, start: number): number {
    if (this.#carry.length > 0) return this.#resume(chunk, start);
    let lineStart = start;
    for (;;) {
      const lineFeed = chunk.indexOf(LF, lineStart);
      if (lineFeed === -1) break;
      const last = this.#line(chunk, lineStart, lineFeed + 1);
      if (last === null || lineFeed - start >= REPLY_LIMIT) return MALFORMED;
      lineStart = lineFeed + 1;
      if (last) return this.#complete(chunk.subarray(start, lineStart), lineStart);
    }
    this.#carry.append(chunk, start, chunk.length);
    this.#lineStart = lineStart - start;
    return this.#tooLong() ? MALFORMED : INCOMPLETE;
  }

  #resume(chunk: Buffer, start: number): number {
    let from = start;
    for (;;) {
      const lineFeed = chunk.indexOf(LF, from);
      const end = lineFeed === -1 ? chunk.length : lineFeed + 1;
      this.#carry.append(chunk, from, end);
      if (this.#tooLong()) return MALFORMED;
      if (lineFeed === -1) return INCOMPLETE;
      const last = this.#line(this.#carry.view(), this.#lineStart, this.#carry.length);
      if (last === null) return MALFORMED;
      this.#lineStart = this.#carry.length;
      from = end;
      if (last) return this.#complete(this.#carry.take(), end);
    }
  }

  #tooLong(): boolean {
    return this.#carry.length - this.#lineStart > LINE_LIMIT || this.#carry.length > REPLY_LIMIT;
  }

  #complete(bytes: Buffer, end: number): number {
    this.code = this.#firstCode;
    this.bytes = bytes;
    this.end = end;
    this.#firstCode = 0;
    this.#lineStart = 0;
    return COMPLETE;
  }

  /** Checks one line with its line end: true = the reply's last, false = more follow, null = no reply line. */
  #line(bytes: Buffer, start: number, end: number): boolean | null {
    if (end - start > LINE_LIMIT) return null;
    const code = replyCode(bytes, start);
    if (code === 0 || (this.#firstCode !== 0 && code !== this.#firstCode)) return null;
    this.#firstCode = code;
    // A NUL or a bare CR would be read by some clients as the end of a line, and what follows as another reply.
    for (let at = start; at < end - 1; at++) {
      if (bytes[at] === NUL || (bytes[at] === CR && at !== end - 2)) return null;
    }
    const separator = bytes[start + 3];
    if (separator === DASH) return false;
    // RFC 5321 §4.2: a line may be the code alone.
    return separator === SPACE || separator === LF || separator === CR ? true : null;
  }
}

/** The three digits at `start`, 200 to 599; 0 where there are none. */
function replyCode(bytes: Buffer, start: number): number {
  const first = (bytes[start] ?? 0) - 0x30;
  const second = (bytes[start + 1] ?? 0) - 0x30;
  const third = (bytes[start + 2] ?? 0) - 0x30;
  if (first < 2 || first > 5 || second < 0 || second > 9 || third < 0 || third > 9) return 0;
  return first * 100 + second * 10 + third;
}
