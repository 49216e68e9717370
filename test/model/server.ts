// The server behind, as the model has it: it reads what it gets, and whoever searches says what it answers to it.
//
// It is the reference for what a server got to read and which RCPT it executed, and in which transaction. It answers the
// oldest command that it has not answered, so with every possible answer it stands for every server there is, but for
// what servers do not agree on: that are its `habits` (protocol.md 1.10). What it reads it checks at once: a command may
// be there only whole, only in a form that was allowed, only as many as it bears, and nothing behind one that changes the
// mode. It ends mail data where any server would. It knows nothing of the session's code.

import { Violation } from './violation.ts';

/** Where servers do not agree. */
export interface Habits {
  readonly hello: 'resets' | 'keeps'; // the transaction, in the middle of one
  readonly mailAgain: 'refused' | 'resets' | 'keeps recipients';
  readonly refusedData: 'keeps' | 'ends';
  readonly refusedEnd: 'ends' | 'keeps';
}

export const RFC: Habits = { hello: 'resets', mailAgain: 'refused', refusedData: 'keeps', refusedEnd: 'ends' };

export type Answer = 'ok' | 'no' | 'later' | '421' | 'wrong' | 'malformed' | 'half' | 'two';

const COMMAND = 0;
const MAIL_DATA = 1;
const SASL = 2;
const TAIL = 8; // octets of mail data of which its end may still be made

const MODE_CHANGING = /^(EHLO|HELO|DATA|BDAT|AUTH|QUIT|STARTTLS|NOOP|VRFY|HELP)\b/i;

/** What a server might take for an end of mail data that is none (protocol.md 3). */
const DOUBTFUL_END =
  /(?:^|[\r\n])\0*\.[\0 \t]*(?:\n|\r(?!\n))|(?:(?<!\r)\n|\r|(?:^|[\r\n])\0+)\.[\0 \t]*\r\n|(?:^|[\r\n])\.[\0 \t]+\r\n/;

export class Server {
  readonly isOfTheModel = true;
  readonly habits: Habits;
  readonly keywords: readonly string[];
  /** Octets that it has not read. */
  inbox = '';
  mode = COMMAND;
  greeted = false;
  pipelining = false;
  /** The reverse-path of its transaction; null: none. */
  sender: string | null = null;
  /** What it executed in this transaction: each as it was approved, `sender>recipient`. */
  recipients: readonly string[] = [];
  /** What is left to say of a half-said reply. */
  rest = '';
  /** It has said what nobody asked for: it may be reading commands already. */
  isAstray = false;
  isGone = false;

  constructor(habits: Habits, keywords: readonly string[]) {
    this.habits = habits;
    this.keywords = keywords;
  }

  /** Octets come in; what it reads them as, in order. */
  hears(octets: string): { readonly kind: 'line' | 'data' | 'payload'; readonly octets: string }[] {
    if (this.isAstray)
      throw new Violation('1.9 order of replies', `${show(octets)} behind a reply that nobody asked for`);
    if (this.isGone) throw new Violation('1.11 fail closed', `${show(octets)} to a server that is gone`);
    if (!this.greeted) throw new Violation('1.3 held', `${show(octets)} before the greeting`);
    const before = this.inbox;
    this.inbox += octets;
    if (this.mode === MAIL_DATA) {
      if (endOf(before) !== -1) throw new Violation('1.3 held', `${show(octets)} behind the end of mail data`);
      if (DOUBTFUL_END.test(this.inbox.replace(/(^|\r\n)\.\r\n/, '$1')))
        throw new Violation('1.5 no ambiguous end', show(this.inbox));
      if (this.next === '' && this.inbox.length > TAIL) this.inbox = `~${this.inbox.slice(-TAIL + 1)}`;
      return [{ kind: 'data', octets }];
    }
    return this.#commands(before.length);
  }

  #commands(from: number): { readonly kind: 'line' | 'payload'; readonly octets: string }[] {
    const read: { readonly kind: 'line' | 'payload'; readonly octets: string }[] = [];
    let at = 0;
    let units = 0;
    let behind = '';
    while (at < this.inbox.length) {
      if (behind !== '')
        throw new Violation('1.3 held', `${show(this.inbox.slice(at))} behind an unanswered ${behind}`);
      const end = this.inbox.indexOf('\r\n', at) + 2;
      const line = this.inbox.slice(at, end === 1 ? undefined : end);
      if (end === 1 || /[\r\n\0]/.test(line.slice(0, -2))) throw new Violation('1.7 whole lines', show(line));
      if (at >= from) read.push({ kind: 'line', octets: line });
      if (this.mode === SASL || MODE_CHANGING.test(line)) behind = line.slice(0, 4);
      at = end;
      if (++units > 1 && !this.pipelining)
        throw new Violation('1.3 held', `${show(line)} to a server without PIPELINING`);
      const size = /^BDAT (\d+)/i.exec(line);
      if (size === null) continue;
      const payload = this.inbox.slice(at, at + Number(size[1]));
      const fresh = payload.slice(Math.max(0, from - at));
      if (fresh !== '') read.push({ kind: 'payload', octets: fresh });
      at += payload.length;
    }
    return read;
  }

  /** The line that it answers next: '' when none is there yet. */
  get next(): string {
    if (this.mode === MAIL_DATA) return endOf(this.inbox) === -1 ? '' : '.';
    const end = this.inbox.indexOf('\r\n');
    if (end === -1) return '';
    const line = this.inbox.slice(0, end + 2);
    const size = /^BDAT (\d+)/i.exec(line);
    return size === null || this.inbox.length >= line.length + Number(size[1]) ? line : '';
  }

  /** It reads octets that are no commands, and has not got all of them. */
  get isInside(): boolean {
    return this.next === '' && (this.mode === MAIL_DATA || /^BDAT /i.test(this.inbox));
  }

  /** Whether a server may give this answer now. */
  mayAnswer(answer: Answer): boolean {
    const line = this.next;
    if (line === '' || this.rest !== '' || this.isGone || !this.greeted) return false;
    const verb = verbOf(line);
    const isGood = answer === 'ok' || answer === 'half' || answer === 'two';
    if (answer === 'two')
      return this.inbox === line && (verb === 'MAIL' || verb === 'RSET' || verb === 'RCPT') && this.mayAnswer('ok');
    if (!isGood) return answer !== 'no' || verb !== 'QUIT';
    if (verb === 'MAIL') return this.sender === null || this.habits.mailAgain !== 'refused';
    if (verb === 'RCPT') return this.sender !== null;
    if (verb === 'DATA' || verb === 'BDAT') return this.recipients.length > 0;
    return true;
  }

  /** It says something that answers nothing. */
  saysUncalledFor(reply: string): string {
    this.isAstray = true;
    return reply;
  }

  saysRest(): string {
    const { rest } = this;
    this.rest = '';
    return rest;
  }

  /** What it says to the oldest unanswered command; its reply names that command behind a colon. `approved`: as what it
   * was, if it is a RCPT. */
  answers(answer: Answer, approved: string): { readonly said: string; readonly line: string; readonly code: number } {
    const line = this.next;
    const inData = this.mode === MAIL_DATA;
    const inSasl = this.mode === SASL;
    const verb = inData ? '.' : inSasl ? 'SASL' : verbOf(line);
    const code = codeFor(answer, verb, line);
    const size = /^BDAT (\d+)( LAST)?/i.exec(line);
    this.inbox = this.inbox.slice(inData ? endOf(this.inbox) : line.length + Number(size?.[1] ?? 0));
    if (answer === 'malformed') {
      this.isAstray = true;
      return { said: '25 what\r\n', line, code: 0 };
    }
    if (answer === 'wrong') this.isAstray = true;
    else this.#executed(inSasl ? 'SASL' : verb, line, code, size, approved);
    const tag = tagOf(verb, line);
    const whole = code === 250 && verb === 'EHLO' ? this.#list() : `${code} :${tag}\r\n`;
    if (code === 421 || (verb === 'QUIT' && code === 221)) this.isGone = true;
    if (answer === 'two') {
      this.isAstray = true;
      return { said: `${whole}250 surplus\r\n`, line, code };
    }
    if (answer !== 'half') return { said: whole, line, code };
    this.rest = whole.slice(2);
    return { said: whole.slice(0, 2), line, code };
  }

  #list(): string {
    const lines = [`:EHLO`, ...this.keywords];
    return lines.map((text, at) => `250${at === lines.length - 1 ? ' ' : '-'}${text}\r\n`).join('');
  }

  #executed(verb: string, line: string, code: number, size: RegExpExecArray | null, approved: string): void {
    const good = code < 300;
    if (verb === '.' || (size !== null && (good ? size[2] !== undefined : true))) {
      this.mode = COMMAND;
      if (good || this.habits.refusedEnd === 'ends') this.#reset();
    } else if (verb === 'EHLO' || verb === 'HELO') {
      if (!good) return;
      this.pipelining = verb === 'EHLO' && this.keywords.includes('PIPELINING');
      if (this.habits.hello === 'resets') this.#reset();
    } else if (verb === 'RSET') {
      if (good) this.#reset();
    } else if (verb === 'MAIL' && good) {
      if (this.habits.mailAgain !== 'keeps recipients') this.recipients = [];
      this.sender = pathOf(line);
    } else if (verb === 'RCPT' && good) {
      if (!this.recipients.includes(approved)) this.recipients = [...this.recipients, approved].toSorted();
    } else if (verb === 'DATA') {
      if (code === 354) this.mode = MAIL_DATA;
      else if (this.habits.refusedData === 'ends') this.#reset();
    } else if (verb === 'AUTH' || verb === 'SASL') {
      this.mode = code === 334 ? SASL : COMMAND;
    }
  }

  #reset(): void {
    this.sender = null;
    this.recipients = [];
  }

  get state(): string {
    const { inbox, mode, pipelining, sender, recipients, rest, isAstray, isGone, greeted } = this;
    const flags = +pipelining + 2 * +isAstray + 4 * +greeted + 8 * +isGone;
    return `${inbox}\x1d${mode} ${flags}\x1d${sender}\x1d${recipients.join()}\x1d${rest}`;
  }
}

/** Behind the end of mail data; -1 where there is none. */
export function endOf(octets: string): number {
  const end = /^\.\r\n|\r\n\.\r\n/.exec(octets);
  return end === null ? -1 : end.index + end[0].length;
}

function codeFor(answer: Answer, verb: string, line: string): number {
  if (answer === 'no') return 550;
  if (answer === 'later') return 451;
  if (answer === '421') return 421;
  if (answer === 'wrong') return verb === 'DATA' ? 250 : 354;
  if (verb === 'DATA') return 354;
  if (verb === 'QUIT') return 221;
  if (verb === 'AUTH') return / LOGIN\r\n$/i.test(line) ? 334 : 235;
  return verb === 'SASL' ? 235 : 250;
}

/** What a reply names: the verb, and of MAIL and RCPT the address. */
export function tagOf(verb: string, line: string): string {
  return verb === 'MAIL' || verb === 'RCPT' ? `${verb}${pathOf(line)}` : verb;
}

export function verbOf(line: string): string {
  return (/^[A-Za-z-]*/.exec(line)?.[0] ?? '').toUpperCase();
}

export function pathOf(line: string): string {
  return /<([^>]*)>/.exec(line)?.[1] ?? line;
}

export function show(octets: string): string {
  return JSON.stringify(octets);
}
