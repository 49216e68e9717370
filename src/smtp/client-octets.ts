// The client's octets, cut into what they are: command lines, responses, mail data, counted octets (protocol.md 1.7, 1.14).
//
// Whoever hands a chunk in may read into its memory again: mail data goes on within the call, and what is kept is copied. Of an
// over-long line not an octet goes on. While the session holds, chunks wait here unread: a mode may change before they are looked at.

import { Carry, CR, copyOf, LF } from './bytes.ts';
import { ofUpstream } from './causes.ts';
import { parseCommand } from './command.ts';
import {
  CLOSING,
  COMMAND,
  COUNTED,
  DISCARDED,
  type Dialogue,
  HOLD_REPLIES,
  MAIL_DATA,
  OPAQUE,
  SASL,
  SWALLOWED,
  TO_END,
} from './dialogue.ts';
import { takeCommand } from './execute.ts';
import { takeResponse } from './login.ts';
import { ENDED, LINE_TOO_LONG, type MailData, REFUSED } from './mail-data.ts';
import * as replies from './replies.ts';

const SASL_LINE = 12288 + 2; // RFC 4954 §4.3, and CRLF
const EXCHANGE_LINE = 4096; // protocol.md 4: X-LINK2STATE and kin
const DISCARD_LIMIT = 65536;
const SHOWN = 256; // octets of an over-long line, for the log
const TLS_HANDSHAKE = 0x16; // the first octet of a ClientHello

export class ClientOctets {
  readonly #dialogue: Dialogue;
  readonly #line = new Carry(); // the unfinished command line
  #later: Buffer[] = []; // chunks that came while held
  #discarded = 0;
  #discardedCr = false;
  #blankLines = 0;

  constructor(dialogue: Dialogue) {
    this.#dialogue = dialogue;
  }

  /** Reads what may be read now, and keeps the rest. */
  take(chunk: Buffer): void {
    this.#keep(chunk, this.#read(chunk));
  }

  /** What was not read, for later. */
  #keep(chunk: Buffer, at: number): void {
    if (at < chunk.length && this.#dialogue.mode < CLOSING) this.#later.push(Buffer.from(chunk.subarray(at)));
  }

  /** Octets wait for the session to go on. */
  get isWaiting(): boolean {
    return this.#later.length > 0;
  }

  /** Up to where it was read. */
  #read(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && this.#dialogue.reads && this.#dialogue.mode < CLOSING) {
      if (this.#dialogue.mode === MAIL_DATA) at = this.#readMailData(chunk, at);
      else if (this.#dialogue.mode === COUNTED || this.#dialogue.mode === SWALLOWED) at = this.#readCounted(chunk, at);
      else if (this.#dialogue.mode === DISCARDED) at = this.#discard(chunk, at);
      else if (this.#dialogue.mode === OPAQUE) at = this.#passOn(chunk, at);
      else at = this.#readLine(chunk, at);
    }
    return at;
  }

  /** Reads on when nothing holds any more. */
  resume(): void {
    while (this.#dialogue.reads && this.#later.length > 0 && this.#dialogue.mode < CLOSING) {
      const chunk = this.#later.shift() as Buffer;
      const at = this.#read(chunk);
      if (at < chunk.length && this.#dialogue.mode < CLOSING) this.#later.unshift(chunk.subarray(at));
    }
  }

  #readLine(chunk: Buffer, at: number): number {
    if (this.#line.length === 0 && !this.#mayBegin(chunk[at] as number)) return chunk.length;
    const lineFeed = chunk.indexOf(LF, at);
    const end = lineFeed === -1 ? chunk.length : lineFeed + 1;
    const carried = this.#line.length > 0 || lineFeed === -1;
    if (carried) this.#line.append(chunk, at, end);
    const line = carried ? this.#line.view() : copyOf(chunk, at, end);
    if (line.length > this.#lineLimit(line)) {
      if (this.#dialogue.mode === SASL) {
        this.#dialogue.closeWith(replies.LINE_TOO_LONG, { origin: 'policy', what: 'authentication response too long' });
        return end;
      }
      // Not one octet of it goes on. What is left of it, and its end, is read as discarded.
      this.#dialogue.said = line.toString('latin1', 0, SHOWN);
      this.#dialogue.mode = DISCARDED;
      this.#discarded = line.length - (end - at);
      this.#discardedCr = line[this.#discarded - 1] === CR;
      this.#line.clear();
      return at;
    }
    if (lineFeed === -1) return end;
    this.#takeLine(carried ? this.#line.take() : line);
    return end;
  }

  /** What may not even be read as a line: a TLS hello on a plain port, a wrapped token behind a GSSAPI login. */
  #mayBegin(octet: number): boolean {
    const isLetter = (octet | 0x20) >= 0x61 && (octet | 0x20) <= 0x7a;
    if (octet === TLS_HANDSHAKE) {
      this.#dialogue.closeWith(replies.NOT_SMTP, {
        origin: 'policy',
        what: 'TLS on a plain SMTP port',
        key: 'listeners[].implicit_tls',
      });
      return false;
    }
    if (this.#dialogue.opaque && !isLetter) {
      this.#dialogue.endNow(null, { origin: 'policy', what: 'security layer behind a GSSAPI login' });
      return false;
    }
    return true;
  }

  #lineLimit(line: Buffer): number {
    if (this.#dialogue.mode === SASL) return SASL_LINE;
    const { commandLine } = this.#dialogue.profile.limits;
    if (line.length <= commandLine) return commandLine;
    const start = line.toString('latin1', 0, 13).toUpperCase();
    if (start.startsWith('AUTH ') || start.startsWith('X-EXPS ')) return SASL_LINE;
    return this.#dialogue.offered.has('X-LINK2STATE') && /^(X-LINK2STATE|XRDST|XSHADOW|XQDISCARD)/.test(start)
      ? EXCHANGE_LINE
      : commandLine;
  }

  #discard(chunk: Buffer, at: number): number {
    const lineFeed = chunk.indexOf(LF, at);
    const end = lineFeed === -1 ? chunk.length : lineFeed + 1;
    this.#discarded += end - at;
    if (this.#discarded > DISCARD_LIMIT) {
      this.#dialogue.closeWith(replies.LINE_TOO_LONG, {
        origin: 'policy',
        what: 'command line without end',
        key: 'limits.session.command_line',
      });
    } else if (lineFeed !== -1) {
      const properEnd = lineFeed > at ? chunk[lineFeed - 1] === CR : this.#discardedCr;
      this.#dialogue.mode = COMMAND;
      if (properEnd) this.#dialogue.refuse(replies.LINE_TOO_LONG, 'limits.session.command_line');
      else this.#badLineEnd();
    }
    this.#discardedCr = chunk[end - 1] === CR;
    return end;
  }

  #takeLine(line: Buffer): void {
    this.#dialogue.countCommand();
    const text = line.toString('latin1', 0, line.length - 2);
    // protocol.md 1.7: CRLF and nothing else. Some server ends a line at every one of these.
    const isProper = line[line.length - 2] === CR && !/[\0\r]/.test(text);
    if (!isProper) this.#improper(line);
    else if (this.#dialogue.mode === SASL) takeResponse(this.#dialogue, text, line);
    else {
      this.#dialogue.said = text;
      if (text === '') this.#blankLines++;
      takeCommand(this.#dialogue, parseCommand(text, this.#dialogue.transaction.utf8), line);
    }
  }

  #improper(line: Buffer): void {
    const dialogue = this.#dialogue;
    if (dialogue.mode === SASL) {
      dialogue.said = ''; // a part of the login
    } else if (line[0] === 0 && dialogue.commands === 3 && this.#blankLines === 2) {
      dialogue.said = 'PROXY (version 2)'; // its signature is two empty lines, then NUL CR LF
    } else {
      dialogue.said = line.toString('latin1');
    }
    this.#badLineEnd();
  }

  #badLineEnd(): void {
    this.#dialogue.tellRefused(replies.BAD_LINE_END);
    this.#dialogue.closeWith(replies.BAD_LINE_END, {
      origin: 'policy',
      what: 'command line with a bare CR, bare LF or NUL',
    });
  }

  #readMailData(chunk: Buffer, at: number): number {
    const mailData = this.#dialogue.mailData as MailData;
    const found = mailData.scan(chunk, at);
    if (found === LINE_TOO_LONG) {
      const key = ofUpstream(this.#dialogue.profile, 'text_line');
      this.#dialogue.endNow(replies.TEXT_LINE_TOO_LONG, { origin: 'policy', what: 'line of mail data too long', key });
    } else if (found === REFUSED) {
      const { ambiguous: octets, ambiguousAt: offset } = mailData;
      const { profile } = this.#dialogue;
      const key = profile.dotLines === 'strict' ? ofUpstream(profile, 'dot_lines') : 'bare_lf';
      this.#dialogue.wire.event({ name: 'ambiguous_end', octets, offset, key });
      this.#dialogue.endNow(replies.AMBIGUOUS_END, { origin: 'policy', what: 'ambiguous end of mail data', key });
    } else if (found === ENDED && this.#dialogue.transaction.tooLarge) {
      const key = 'max_message_size';
      this.#dialogue.endNow(replies.MESSAGE_TOO_LARGE, { origin: 'policy', what: 'message too large', key });
    } else if (found === ENDED) {
      this.#dialogue.up.add(mailData.terminator);
      this.#dialogue.mode = COMMAND;
      this.#dialogue.mailData = null;
      this.#dialogue.expect(TO_END);
      this.#dialogue.messageEnded();
      this.#dialogue.hold = HOLD_REPLIES; // nothing is begun before the upstream has agreed that this was the end
      return mailData.end;
    }
    return chunk.length;
  }

  #passOn(chunk: Buffer, at: number): number {
    this.#dialogue.tunnelUsed = true;
    this.#dialogue.up.add(chunk.subarray(at));
    return chunk.length;
  }

  #readCounted(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#dialogue.left);
    this.#dialogue.left -= end - at;
    if (this.#dialogue.mode === COUNTED) {
      this.#dialogue.up.add(chunk.subarray(at, end));
      this.#dialogue.wire.event({ name: 'octets', octets: end - at });
    }
    if (this.#dialogue.left === 0) this.#dialogue.countedEnded();
    return end;
  }
}
