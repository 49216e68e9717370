// The client's words as the model reads them: which reply belongs to which of them, and what its envelope is.
//
// It is the reference for order and for nothing lost: each command has one reply, in order; what went up is what was said,
// octet for octet and whole lines left out, each of these with a reply of ours that the order of commands or a verdict
// explains. What stands behind DATA, AUTH or BDAT is not read before the answer says what it is. It knows nothing of the
// session's code: an upstream's reply is known by the colon that names its command (server.ts).

import { endOf, pathOf, show, tagOf, verbOf } from './server.ts';
import { Violation } from './violation.ts';

const GREETING = 0;
const COMMAND = 1;
const MAIL_DATA = 2;
const RESPONSE = 3; // of a login
const OVER = 4;
const WELL_FORMED = /^(RCPT TO|MAIL FROM):<\w@\w+\.example>\r\n$/; // of the scenarios, as well
const RSET = 'RSET\r\n';
const LINE_LIMIT = 60; // of the scenarios
const TAIL = 8; // octets of mail data of which its end may still be made

/** One command of the client, until it is answered. */
interface Said {
  readonly line: string;
  readonly isSent: boolean;
  /** A MAIL that found another one before it. */
  readonly isNested: boolean;
}

export class Client {
  readonly isOfTheModel = true;
  readonly isPatient: boolean;
  /** Octets that are not cut into commands yet. */
  stream = '';
  /** Of these, so many have gone up: mail data, or a BDAT's. */
  passed = 0;
  said: readonly Said[] = [];
  mode = GREETING;
  sender: string | null = null;
  recipients: readonly string[] = [];
  chunking = false;
  /** What the judge refused, and the client has not heard. */
  refusals: readonly string[] = [];
  /** A BDAT LAST in vain ends a transaction (RFC 3030 §2), but no server has heard of it; a RSET of ours does, and its client has not. */
  mayBeOver = false;
  /** The server refused its DATA, or its greeting in a transaction, and may have dropped the transaction: no octets of a BDAT go there. */
  isInDoubt = false;
  /** What it said before is void: EHLO must come again. */
  mustGreet = false;
  isDraining = false;
  offers: readonly string[] = [];
  loggedIn = false;
  inTls = false;

  /** `isPatient`: the scenario has no limits, so a refusal of ours needs a reason. */
  constructor(isPatient: boolean) {
    this.isPatient = isPatient;
  }

  says(octets: string): void {
    this.stream += octets;
    this.#cut();
  }

  #cut(): void {
    while (this.mode <= COMMAND || this.mode === RESPONSE) {
      const last = this.said.at(-1);
      if (last !== undefined && (this.mode === RESPONSE || /^(DATA|AUTH|BDAT|STARTTLS)\b/i.test(last.line))) return;
      const end = this.stream.indexOf('\n') + 1;
      if (end === 0) return;
      const line = this.stream.slice(0, end);
      this.stream = this.stream.slice(end);
      const isNested =
        /^MAIL/i.test(line) && (this.sender !== null || this.said.some((other) => /^MAIL/i.test(other.line)));
      this.said = [...this.said, { line, isSent: false, isNested }];
      const isTooLong = line.length > LINE_LIMIT; // nobody looks what is in it
      if (!line.endsWith('\r\n') || (!isTooLong && /[\r\n\0]/.test(line.slice(0, -2)))) this.mode = OVER;
    }
  }

  // --- what goes up

  /** A command line went up: is it the next of the client's that may, or one of ours? */
  sent(line: string): void {
    const done = this.said.findLastIndex(({ isSent }) => isSent);
    const at = this.said.findIndex((said, index) => index > done && said.line === line);
    if (at !== -1) {
      this.#mark(at, true);
    } else if (done !== -1 && this.said[done]?.line === RSET && line !== RSET) {
      this.#mark(done, false); // so that one was ours, in front of the client's
      this.mayBeOver = true;
      this.sent(line);
    } else if (line === RSET) {
      this.mayBeOver = true;
    } else if (!/^XFORWARD .*\r\n$/.test(line) && !(/^MAIL/i.test(line) && this.said[0]?.line === line))
      throw new Violation('1.1 approved octets', `${show(line)} went up, and nobody said it`);
  }

  #mark(at: number, isSent: boolean): void {
    this.said = this.said.map((said, index) => (index === at ? { ...said, isSent } : said));
  }

  sentOctets(octets: string): void {
    const expected = this.stream.slice(this.passed, this.passed + octets.length);
    if (expected !== octets)
      throw new Violation('1.16 byte-identical', `${show(octets)} went up for ${show(expected)}`);
    this.passed += octets.length;
    // What is far behind ends nothing.
    if (this.mode !== MAIL_DATA || this.passed <= TAIL || endOf(this.stream) !== -1) return;
    this.stream = `~${this.stream.slice(this.passed - TAIL + 1)}`;
    this.passed = TAIL;
  }

  /** The judge said no, in these words. */
  refused(verb: string, path: string, words: string): void {
    this.refusals = [...this.refusals, `${verb} ${path} ${words}`];
  }

  // --- what comes back

  /** Every reply of a step; `isClosing`: the session ended with it. */
  hears(octets: string, isClosing: boolean): void {
    const replies = octets.match(/(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/g) ?? [];
    if (replies.join('') !== octets) throw new Violation('1.9 order of replies', `no replies: ${show(octets)}`);
    for (const [at, reply] of replies.entries()) this.#heard(reply, isClosing && at === replies.length - 1);
  }

  #heard(reply: string, isLast: boolean): void {
    const code = Number(reply.slice(0, 3));
    const tag = /^\d{3}[ -]:(\S*)/.exec(reply)?.[1] ?? null;
    if (this.mode === GREETING) {
      if (tag === null && !isLast) throw new Violation('1.9 order of replies', `${show(reply)} before the greeting`);
      this.mode = COMMAND;
      this.#cut();
      return;
    }
    if (tag === null && code < 400 && !(code === 220 && this.said[0]?.line.startsWith('STARTTLS')))
      throw new Violation('1.11 good replies are the server’s', show(reply));
    const isEnd = tag === null ? code !== 503 : code === 421 || tag === 'early'; // 503 of ours is about the order, and ends nothing
    if (isLast && code >= 400 && isEnd) return; // the end, whatever it was about
    if (this.mode === MAIL_DATA) this.#endAnswered(reply, code, tag);
    else this.#answered(reply, code, tag);
    this.#cut();
  }

  #endAnswered(reply: string, code: number, tag: string | null): void {
    const length = endOf(this.stream);
    if (tag !== '.' || this.passed !== length)
      throw new Violation('1.9 order of replies', `${show(reply)} inside mail data ${show(this.stream)}`);
    this.stream = this.stream.slice(length);
    this.passed = 0;
    this.mode = COMMAND;
    this.sender = null;
    this.recipients = [];
    if (code < 200 || (code >= 300 && code < 400)) throw new Violation('1.9 order of replies', show(reply));
  }

  #answered(reply: string, code: number, tag: string | null): void {
    let said = this.said[0];
    if (said === undefined) throw new Violation('1.9 order of replies', `${show(reply)} answers nothing`);
    const verb = this.mode === RESPONSE ? 'SASL' : verbOf(said.line);
    if (tag === null && said.isSent) said = this.#otherOf(said);
    if ((tag !== null) !== said.isSent || (tag !== null && tag !== tagOf(verb, said.line)))
      throw new Violation('1.9 order of replies', `${show(reply)} answers ${show(said.line)}`);
    if (!said.isSent && this.isPatient && !this.#isRight(said, verb, reply))
      throw new Violation('6 must pass', `${show(said.line)} was refused by us: ${show(reply)}`);
    this.said = this.said.slice(1);
    if (verb === 'BDAT') this.#chunkAnswered(said, code);
    else this.#means(verb, said.line, code, reply);
  }

  /** Of two lines that are the same, with none between them that went up, it may have been the later that did. */
  #otherOf(first: Said): Said {
    const next = this.said.findIndex(({ isSent }, index) => index > 0 && isSent);
    const at = this.said.findIndex((said, index) => index > 0 && !said.isSent && said.line === first.line);
    // One that found another before it: what went up was that one, said again by us behind a RSET of ours.
    if (at === -1 || (next !== -1 && next < at)) return first.isNested ? { ...first, isSent: false } : first;
    const [one, ...rest] = this.said.map((said, index) =>
      index === 0 || index === at ? { ...said, isSent: index === at } : said,
    );
    this.said = [one as Said, ...rest];
    return one as Said;
  }

  #means(verb: string, line: string, code: number, reply: string): void {
    if (verb === 'AUTH' || verb === 'SASL') {
      this.mode = code === 334 ? RESPONSE : COMMAND;
      if (code === 235) this.loggedIn = true;
    } else if (code === 354) {
      if (verb !== 'DATA') throw new Violation('1.2 the reply changes the mode', `${show(line)} was answered with 354`);
      this.mode = MAIL_DATA;
    } else if (verb === 'RSET') {
      this.#reset(); // refused or not: what is pipelined behind it cannot know
    } else if (code >= 300) {
      if (/^(DATA|EHLO|HELO)$/.test(verb)) this.isInDoubt = true;
    } else if (verb === 'EHLO' || verb === 'HELO') {
      this.mustGreet = false;
      this.offers = reply.split('\r\n').map((offer) => offer.slice(4));
      this.#reset();
    } else if (verb === 'MAIL') {
      this.#reset();
      this.sender = pathOf(line);
    } else if (verb === 'RCPT' && this.sender !== null && !this.recipients.includes(pathOf(line)))
      this.recipients = [...this.recipients, pathOf(line)].toSorted();
  }

  #chunkAnswered(said: Said, code: number): void {
    const size = Number(/^BDAT (\d+)/i.exec(said.line)?.[1] ?? 0);
    if (said.isSent ? this.passed !== size : this.passed !== 0)
      throw new Violation('1.9 order of replies', `BDAT answered behind ${this.passed} of its ${size} octets`);
    this.stream = this.stream.slice(size);
    this.passed = 0;
    if (code >= 300 ? said.isSent : / LAST\r\n$/i.test(said.line)) this.#reset();
    else this.chunking = code < 300;
    if (!said.isSent && / LAST\r\n$/i.test(said.line)) this.mayBeOver = true;
  }

  #reset(): void {
    this.sender = null;
    this.recipients = [];
    this.chunking = false;
    this.mayBeOver = false;
    this.isInDoubt = false;
  }

  /** Behind a handshake the session is as at its beginning. */
  secured(): void {
    this.#reset();
    this.mustGreet = true;
    this.inTls = true;
    this.offers = [];
  }

  /** Whether our refusal has a reason. */
  #isRight({ line, isNested }: Said, verb: string, reply: string): boolean {
    // By its words, as what the same line is refused for may be known before the earlier of the two is answered.
    const isRefused =
      this.refusals[0] === `${verb} ${verb === 'AUTH' ? '' : pathOf(line)} ${reply.slice('550 '.length, -2)}`;
    if (isRefused) this.refusals = this.refusals.slice(1);
    if (this.chunking && !/^(BDAT|RSET|NOOP|QUIT)$/.test(verb)) return true;
    if ((verb === 'RCPT' || verb === 'MAIL') && !WELL_FORMED.test(line)) return true;
    switch (verb) {
      case 'RCPT':
        return isRefused || this.sender === null || this.mayBeOver;
      case 'MAIL':
        return isRefused || isNested || this.mustGreet || this.isDraining;
      case 'DATA':
        return this.recipients.length === 0 || this.mayBeOver;
      case 'BDAT':
        return (
          this.recipients.length === 0 || this.mayBeOver || this.isInDoubt || !/^BDAT \d{1,9}( LAST)?\r\n$/.test(line)
        );
      case 'AUTH':
        return (
          isRefused || this.loggedIn || this.sender !== null || !this.offers.some((offer) => offer.startsWith('AUTH'))
        );
      case 'STARTTLS':
        return true; // ours to answer
      case 'EHLO':
      case 'HELO':
      case 'RSET':
      case 'NOOP':
      case 'QUIT':
        return line.length > 60 || !line.endsWith('\r\n') || line.endsWith('\r\r\n');
      default:
        return true;
    }
  }

  /** Nothing of the client waits for an answer, but what it has not said to its end. */
  get isAnswered(): boolean {
    if (this.said.length === 0) return this.mode !== MAIL_DATA || endOf(this.stream) === -1;
    const size = /^BDAT (\d+)/i.exec(this.said[0]?.line ?? '');
    return size !== null && this.stream.length < Number(size[1]);
  }

  /** Lines that it has said and that are not answered, or not read. */
  get unanswered(): number {
    const { said, stream, passed } = this;
    return said.length + stream.slice(passed).split('\n').length - 1 + (stream.length > passed + 40 ? 1 : 0);
  }

  /** It has said such a MAIL, or one of these lines and a RSET behind it, and waits for the answers: Postern says RSET too, and a
   * MAIL once more behind it, and who only hears what goes up cannot tell which of two lines that are the same it was. */
  couldNotTell(octets: string): boolean {
    const before = this.said.map(({ line }) => line).join('') + this.stream;
    const again = before.slice(0, Math.max(0, before.lastIndexOf(RSET)));
    return octets
      .split(/(?<=\n)/)
      .some((line) => line !== RSET && line.endsWith('\n') && (/^MAIL/.test(line) ? before : again).includes(line));
  }

  get state(): string {
    const {
      stream,
      passed,
      mode,
      sender,
      recipients,
      refusals,
      chunking,
      mustGreet,
      isDraining,
      loggedIn,
      inTls,
      mayBeOver,
      isInDoubt,
    } = this;
    const said = this.said.map(({ line, isSent, isNested }) => `${+isSent}${+isNested}${line}`);
    const flags =
      +chunking + 2 * +mustGreet + 4 * +isDraining + 8 * +loggedIn + 16 * +inTls + 32 * +mayBeOver + 64 * +isInDoubt;
    return `${stream}\x1d${passed}\x1d${said.join('')}\x1d${mode} ${flags}\x1d${sender}\x1d${recipients.join()}\x1d${refusals.join()}`;
  }
}
