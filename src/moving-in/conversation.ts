// A dialogue as a protocol log has it: commands and replies in order, into transactions.
//
// A reply belongs to the oldest command that has none, as in the dialogue itself (RFC 2920). It reads what an old server put
// into its log, so it is lenient where smtp/ is strict, and it decides nothing.

import type { LoggedMessage } from './logged.ts';
import { answerOf, type Client, copyOf, Interned, type OpenRecipient, type Place, Transaction } from './transaction.ts';

// What a command without a reply is waiting for.
const OTHER = 0;
const HELLO = 1;
const LOGIN = 2;
const MAIL = 3;
const RCPT = 4;
const DATA = 5; //     for 354
const END = 6; //      for the answer to the message
const CHUNK = 7; //    a BDAT that is not the last
const RESET = 8;
const START_TLS = 9;

/** By the first four letters, which tell them apart. */
const AWAITED: ReadonlyMap<string, number> = new Map([
  ['MAIL', MAIL],
  ['RCPT', RCPT],
  ['DATA', DATA],
  ['BDAT', CHUNK],
  ['EHLO', HELLO],
  ['HELO', HELLO],
  ['RSET', RESET],
  ['AUTH', LOGIN],
  ['X-EX', LOGIN], // X-EXPS
  ['STAR', START_TLS], // STARTTLS
  ['X-AN', START_TLS], // X-ANONYMOUSTLS
]);

const MOST_AWAITED = 4096; // no client pipelines more; else the log and we have lost each other

const replies = new Interned();

export class Conversation {
  readonly client: Client;
  readonly #out: (message: LoggedMessage) => void;
  #open: Transaction | null = null;
  #awaited: number[] = [];
  /** Of each RCPT that is awaited. */
  #awaitedRecipients: (OpenRecipient | null)[] = [];
  /** The name of a login that is under way. */
  #trying: string | null = null;

  /** `fromStart`: the log has the session from its beginning, so that what it does not tell was not. */
  constructor(client: Client, fromStart: boolean, out: (message: LoggedMessage) => void) {
    this.client = client;
    this.#out = out;
    if (fromStart) {
      client.login = null;
      client.tls = false;
    }
  }

  command(line: string, at: () => number | null, place: Place): void {
    const kind = this.#awaited.at(-1);
    if (kind === LOGIN && !/^[A-Za-z-]{4,} ?/.test(line)) return; // part of a login, where a log shows that
    const said = AWAITED.get(line.slice(0, 4)) ?? AWAITED.get(line.slice(0, 4).toUpperCase()) ?? OTHER;
    if (said === MAIL) this.#mail(pathIn(line), at(), place);
    else if (said === RCPT) {
      this.#open ??= new Transaction(place, at(), null);
      this.#awaitedRecipients.push(this.#open.add(copyOf(pathIn(line))));
    } else if (said === HELLO) this.client.helo = copyOf(line.slice(5).trim());
    else if (said === LOGIN) this.#trying = null;
    this.#await(said === CHUNK && / LAST\s*$/i.test(line) ? END : said);
  }

  /** What the server said, with its code: the text from here to there. */
  reply(text: string, from: number, to: number): void {
    const kind = this.#awaited[0];
    if (kind === undefined) return; // the greeting, or a 421 that nobody asked for
    if (kind === LOGIN && text.startsWith('334', from)) return;
    this.#awaited.shift();
    const answer = to > from ? answerOf(text.charCodeAt(from)) : 'unknown';
    switch (kind) {
      case MAIL:
        if (this.#open !== null) this.#open.senderAnswer = answer;
        if (answer === 'refused' || answer === 'deferred') this.#end('no');
        return;
      case RCPT: {
        const recipient = this.#awaitedRecipients.shift();
        if (recipient == null) return;
        recipient.answer = answer;
        recipient.reply = replies.of(text.slice(from, to));
        return;
      }
      case DATA:
        if (text.startsWith('354', from)) this.#awaited.unshift(END);
        else if (to > from) this.#end('no');
        return;
      case CHUNK:
        if (answer === 'refused' || answer === 'deferred') this.#end('no');
        return;
      case END:
        this.#end(answer === 'accepted' ? 'yes' : answer === 'unknown' ? 'unknown' : 'no');
        return;
      case HELLO:
      case RESET:
        if (answer === 'accepted' || answer === 'unknown') this.#end('no');
        return;
      case START_TLS:
        if (answer === 'accepted') {
          this.#end('no');
          this.client.tls = true;
        }
        return;
      case LOGIN:
        if (answer === 'accepted' && typeof this.client.login !== 'string') this.client.login = this.#trying ?? '?';
    }
  }

  /** The log names who tries to log in. */
  tries(name: string): void {
    this.#trying = copyOf(name);
  }

  /** The log names who has logged in. */
  loggedIn(name: string): void {
    this.client.login = copyOf(name);
  }

  /** The session is over, or the log is. */
  end(): void {
    this.#end(this.#awaited.includes(END) ? 'unknown' : 'no');
    this.#awaited = [];
    this.#awaitedRecipients = [];
  }

  #mail(path: string, at: number | null, place: Place): void {
    this.#end('no');
    this.#open = new Transaction(place, at, copyOf(path));
  }

  #await(kind: number): void {
    if (this.#awaited.length >= MOST_AWAITED) {
      this.#awaited = [];
      this.#awaitedRecipients = [];
    }
    this.#awaited.push(kind);
  }

  #end(delivered: LoggedMessage['delivered']): void {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    open.delivered = delivered;
    this.#out(open.logged(this.client));
  }
}

const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const CLOSE = 0x3e; // >

/** The path behind FROM: or TO:, without brackets; lenient: what no server would take is told as it stands. */
export function pathIn(line: string): string {
  const colon = line.indexOf(':');
  if (colon === -1) return '';
  let from = colon + 1;
  while (line[from] === ' ' || line[from] === '\t') from++;
  if (line[from] !== '<') {
    const blank = line.indexOf(' ', from);
    return line.slice(from, blank === -1 ? undefined : blank);
  }
  let quoted = false;
  for (let at = from + 1; at < line.length; at++) {
    const character = line.charCodeAt(at);
    if (character === BACKSLASH) at++;
    else if (character === QUOTE) quoted = !quoted;
    else if (character === CLOSE && !quoted) return line.slice(from + 1, at);
  }
  return line.slice(from + 1);
}
