// What is said to a server before the client is: STARTTLS where TLS is wanted, XCLIENT where it is told who the client is,
// and one EHLO of ours for each, to learn whether it offers that. Pure: octets in, the next step out.
//
//      greeting ──► EHLO ──► STARTTLS ──► (the driver makes TLS) ──► EHLO ──► XCLIENT ──► new greeting
//
// It ends with the greeting that the client is shown, octet for octet: that behind XCLIENT, else the first. The client's
// own EHLO then goes its way as ever, so the server judges the client's name and not ours (RFC 3207 §4.2 and XCLIENT both
// make a server forget what it heard). Behind STARTTLS our second EHLO is left out where nothing more is to be learnt.
// Strict: one reply to one command, nothing behind it. Octets behind the 220 to STARTTLS were put there in clear text, by
// whomever (the twin of CVE-2011-0411): such a server is given up. Not here: time, sockets, certificates.

import { type ClientIdentity, offeredAttributes, xclientCommands } from './client-identity.ts';
import { COMPLETE, INCOMPLETE, ReplyReader } from './reply.ts';

export interface UpstreamHandoverOptions {
  /** What we call ourselves in EHLO: a host name, or the address literal that is known once we are connected. */
  readonly ourName: () => string;
  readonly startTls: 'no' | 'if offered' | 'required';
  /** What has to be offered for the server to be told of the client. */
  readonly identity: 'XCLIENT' | 'XFORWARD' | null;
}

/** What the driver does next. */
export type Step =
  | { readonly do: 'read' }
  | { readonly do: 'send'; readonly bytes: Buffer }
  | { readonly do: 'start TLS' }
  /** XCLIENT is due: the driver says who the client is, through `introduce`. */
  | { readonly do: 'introduce' }
  | ({ readonly do: 'end' } & HandedOver)
  /** `code`: the reply's, where it is for that code. */
  | { readonly do: 'give up'; readonly why: string; readonly code: number | null };

export interface HandedOver {
  /** What the client is shown: one whole reply. */
  readonly greeting: Buffer;
  /** It is the answer to XCLIENT, and so the server's word on this client. */
  readonly introduced: boolean;
  /** The server was to be told who the client is, and does not offer that or did not understand it. */
  readonly unidentified: boolean;
  /** The attributes that XFORWARD may have; none where it is not wanted or not offered. */
  readonly xforward: readonly string[];
  /** The server's whole answer to an EHLO of ours which it still remembers: it may take no other one. */
  readonly list: Buffer | null;
}

// What the next reply answers.
const GREETING = 0;
const HELLO = 1;
const STARTTLS = 2;
const SECOND_HELLO = 3; // inside TLS
const INTRODUCTION = 4;
const NOTHING = 5;

const ALREADY_GREETED = 503; // OpenSMTPD's `Already identified`

const READ: Step = { do: 'read' };

export class UpstreamHandover {
  readonly #options: UpstreamHandoverOptions;
  #replies = new ReplyReader();
  #awaits = GREETING;
  #greeting: Buffer = Buffer.alloc(0);
  #keywords = new Map<string, string>();
  #list: Buffer | null = null; // the answer in which they stood
  #introductions: Buffer[] = [];
  #isIntroduced = false;
  #unidentified = false;

  constructor(options: UpstreamHandoverOptions) {
    this.#options = options;
  }

  /** Takes octets of the server. */
  fromUpstream(chunk: Buffer): Step {
    if (this.#awaits === NOTHING) return this.#giveUp('it spoke out of turn');
    const found = this.#replies.next(chunk, 0);
    if (found === INCOMPLETE) return READ;
    if (found !== COMPLETE) return this.#giveUp('it sent something that is no SMTP reply');
    if (this.#replies.end < chunk.length) {
      const where = this.#awaits === STARTTLS ? 'octets in clear text behind its reply to STARTTLS' : 'a surplus reply';
      return this.#giveUp(`it sent ${where}`);
    }
    const { code, bytes } = this.#replies;
    switch (this.#awaits) {
      case GREETING:
        return this.#greeted(code, bytes);
      case HELLO:
      case SECOND_HELLO:
        return this.#helloAnswered(code, bytes);
      case STARTTLS:
        return this.#startTlsAnswered(code);
      default:
        return this.#introduced(code, bytes);
    }
  }

  /** The driver has made TLS; nothing that was heard before counts any more, but for a server that takes EHLO once. */
  tlsStarted(): Step {
    this.#replies = new ReplyReader();
    return this.#options.identity === null ? this.#end() : this.#hello(SECOND_HELLO);
  }

  /** Who the client is, as asked for. */
  introduce(client: ClientIdentity): Step {
    this.#introductions = xclientCommands(client, offeredAttributes(this.#keywords.get('XCLIENT') ?? ''));
    return this.#sayNext();
  }

  #greeted(code: number, bytes: Buffer): Step {
    if (code < 400 && code !== 220) return this.#giveUp(`it greeted with ${code}`, code);
    this.#greeting = bytes;
    return code === 220 ? this.#hello(HELLO) : this.#end();
  }

  #hello(awaits: number): Step {
    this.#awaits = awaits;
    return { do: 'send', bytes: Buffer.from(`EHLO ${this.#options.ourName()}\r\n`, 'latin1') };
  }

  #helloAnswered(code: number, bytes: Buffer): Step {
    if (code < 500 && code !== 250) return this.#giveUp(`it answered our EHLO with ${code}`, code);
    if (code === 250) {
      this.#keywords = keywordsOf(bytes);
      this.#list = Buffer.from(bytes); // the chunk that it came in is let go
    } else if (this.#awaits === HELLO || code !== ALREADY_GREETED) {
      this.#keywords.clear(); // RFC 5321 §3.2: 5yz = it knows no EHLO, so it offers nothing
    }
    const { startTls } = this.#options;
    if (this.#awaits === HELLO && startTls !== 'no') {
      if (this.#keywords.has('STARTTLS')) {
        this.#awaits = STARTTLS;
        return { do: 'send', bytes: Buffer.from('STARTTLS\r\n', 'latin1') };
      }
      if (startTls === 'required') return this.#giveUp('it does not offer STARTTLS');
    }
    return this.#identify();
  }

  #startTlsAnswered(code: number): Step {
    this.#awaits = NOTHING;
    if (code === 220) return { do: 'start TLS' };
    const goesOn = this.#options.startTls === 'if offered' && code >= 400 && code !== 421;
    return goesOn ? this.#identify() : this.#giveUp(`it answered STARTTLS with ${code}`, code);
  }

  #identify(): Step {
    const { identity } = this.#options;
    this.#unidentified = identity !== null && !this.#keywords.has(identity);
    if (identity !== 'XCLIENT' || this.#unidentified) return this.#end();
    this.#awaits = NOTHING;
    return { do: 'introduce' };
  }

  #sayNext(): Step {
    const bytes = this.#introductions.shift();
    if (bytes === undefined) return this.#end();
    this.#awaits = INTRODUCTION;
    return { do: 'send', bytes };
  }

  /** A refusal may be the server's word on this client (as a greeting of 554 is): the client is shown it. But 501 and 503
   * are about the command: Postfix with `inet_protocols = ipv4` says so to every IPv6 address. It has learnt nothing then,
   * as one that does not offer XCLIENT, and its greeting stands. */
  #introduced(code: number, bytes: Buffer): Step {
    if (code < 400 && code !== 220) return this.#giveUp(`it answered XCLIENT with ${code}`, code);
    if (code === 501 || code === 503) {
      this.#unidentified = true;
      return this.#end();
    }
    this.#greeting = bytes;
    this.#isIntroduced = true;
    return code === 220 ? this.#sayNext() : this.#end();
  }

  #end(): Step {
    this.#awaits = NOTHING;
    return {
      do: 'end',
      greeting: this.#greeting,
      introduced: this.#isIntroduced,
      unidentified: this.#unidentified,
      list: this.#list,
      xforward: this.#options.identity === 'XFORWARD' ? offeredAttributes(this.#keywords.get('XFORWARD') ?? '') : [],
    };
  }

  #giveUp(why: string, code: number | null = null): Step {
    this.#awaits = NOTHING;
    return { do: 'give up', why, code };
  }
}

/** Keyword → what stands behind it, of a whole EHLO reply. */
function keywordsOf(reply: Buffer): Map<string, string> {
  const keywords = new Map<string, string>();
  for (const line of reply.toString('latin1').split(/\r?\n/).slice(1)) {
    const match = /^250[ -]([^ ]+) ?(.*)$/.exec(line);
    if (match !== null) keywords.set((match[1] as string).toUpperCase(), match[2] as string);
  }
  return keywords;
}
