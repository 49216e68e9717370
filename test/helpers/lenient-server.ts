// A mail server that executes whatever a sloppy server might, as a pure machine: octets in, actions out.
//
// It is the yardstick of the firewall: a forbidden recipient that this server executes, in any dialect, is the proof of
// a bypass. Leading blanks, missing brackets, missing colons, any separator behind a verb's four letters: all are taken.
// RCPT without MAIL, a nested MAIL and DATA or BDAT without a recipient are refused, as real servers refuse them, because
// a proxy that lost step shows up there; a refused BDAT does not swallow its payload.
//
// It has no sockets and no clock: a delay is a number in an action, and who drives it decides what that means.
// It relays nothing, checks no password (but that of the user `bad`), and what follows its STARTTLS is plain text.

import { type Action, type Backend, PLAIN_REPLIES, Voice } from './backend.ts';
import { type Dialect, LineReader, trimEnd, trimStart } from './dialects.ts';
import { isPositive, loginOf, namesBad, pathOf, sizeAsC, sizeAsWritten, verbOf } from './lenient-readings.ts';
import { SecurityLayer } from './security-layer.ts';

/** Mail that the server took responsibility for. Latin-1; `data` is what lay between 354 and its end, with the stuffed
 * dots gone and every line ended by CRLF (BDAT: the payload as it came). */
export interface Message {
  readonly reversePath: string;
  readonly recipients: readonly string[];
  readonly data: string;
}

/** A recipient that was executed, and what the server knew then. */
export interface Executed {
  readonly recipient: string;
  readonly reversePath: string;
  /** Who logged in; '' where the mechanism does not say it in clear, null where nobody did. */
  readonly login: string | null;
  /** The command line of the last EHLO or HELO that it accepted. */
  readonly hello: string;
  /** What `mark` said, and what it said at the MAIL. */
  readonly mark: unknown;
  readonly begun: unknown;
}

/** The challenges of each mechanism, in order; an initial response answers the first. */
const CHALLENGES: Readonly<Record<string, readonly string[]>> = {
  PLAIN: [''],
  XOAUTH2: [''],
  LOGIN: ['VXNlcm5hbWU6', 'UGFzc3dvcmQ6'],
  'CRAM-MD5': ['PDE3QG1vY2s+'],
  'DIGEST-MD5': ['cmVhbG09Im1vY2siLG5vbmNlPSIxNyIscW9wPSJhdXRoIixhbGdvcml0aG09bWQ1LXNlc3M=', 'cnNwYXV0aD0xNw=='],
  NTLM: ['', 'TlRMTVNTUAACAAAAAAAAADgAAAABAgAAAAECAwQFBgcAAAAAAAAAADgAAAA='],
  GSSAPI: ['', 'YIGZBgkq', 'BQQF'],
};

// What the next octets are
const COMMAND = 0;
const SASL = 1; // one line that answers a 334
const DATA = 2; // lines up to the end of mail data
const COUNTED = 3; // exactly #left octets
const OVER = 4; // closed from our side: nothing is read any more

export class LenientServer {
  /** Every command line as this server read it, in order, executed or not; blanks around it are gone. */
  readonly commands: string[] = [];
  readonly messages: Message[] = [];
  /** Every recipient that was executed, whatever became of its mail. */
  readonly recipients: string[] = [];
  /** The same, with what the server knew. */
  readonly executed: Executed[] = [];
  readonly backend: Backend;
  readonly #voice: Voice;
  readonly #lines: LineReader;
  readonly #layer = new SecurityLayer();
  readonly #mark: () => unknown;
  readonly #chunks: Buffer[] = [];
  #mode = COMMAND;
  #quitted = false;
  #greeted = false;
  #wrapped = false;
  #authenticated = false;
  #login: string | null = null;
  #mechanism = '';
  #challenges: readonly string[] = [];
  #responses: string[] = [];
  #hello = '';
  #begun: unknown = undefined;
  #reversePath: string | null = null;
  #envelope: string[] = [];
  #data: string[] = [];
  #chunking = false;
  #left = 0;
  #counted: (payload: string) => void = () => {};
  #done: () => void = () => {};

  /** `mark` is asked at every MAIL and every recipient that is executed. */
  constructor(options: { readonly dialect: Dialect; readonly backend?: Backend; readonly mark?: () => unknown }) {
    this.backend = options.backend ?? {};
    this.#mark = options.mark ?? (() => undefined);
    this.#voice = new Voice(this.backend);
    this.#lines = new LineReader(options.dialect);
  }

  /** All octets that came in, in order. */
  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Whether a MAIL is open. */
  get inTransaction(): boolean {
    return this.#reversePath !== null;
  }

  greeting(): Buffer {
    return this.#voice.greeting();
  }

  /** What the server does about these octets, in order. */
  receive(chunk: Buffer): Action[] {
    const octets = Buffer.from(chunk);
    this.#chunks.push(octets);
    this.#lines.append(this.#wrapped ? this.#layer.unwrap(octets) : octets);
    while (this.#step());
    return this.#voice.take();
  }

  /** Reads one unit of what has come in; false when there is none. */
  #step(): boolean {
    switch (this.#mode) {
      case COMMAND:
        return this.#command();
      case SASL:
        return this.#response();
      case DATA:
        return this.#dataLine();
      case COUNTED:
        return this.#payload();
      default:
        return false;
    }
  }

  #command(): boolean {
    const read = this.#lines.command();
    if (read === null) return false;
    const line = trimStart(trimEnd(read));
    this.commands.push(line);
    if (this.#quitted) return true; // reads on in silence: what comes behind a QUIT shall be seen
    this.#execute(verbOf(line), line);
    const hasty = this.backend.strict_no_pipelining && this.#lines.length > 0;
    if (hasty && (this.#mode === COMMAND || this.#mode === SASL)) {
      this.#say('PIPELINED', '503 5.5.0 one command at a time');
      this.#close();
    }
    return true;
  }

  #execute(verb: string, line: string): void {
    switch (verb) {
      case 'EHLO':
      case 'HELO':
        this.#greet(verb, line);
        break;
      case 'MAIL':
      case 'SOML':
      case 'SEND':
      case 'SAML':
        this.#mail(verb, line);
        break;
      case 'RCPT':
        this.#rcpt(line);
        break;
      case 'DATA':
        this.#dataCommand();
        break;
      case 'BDAT':
        this.#bdat(line);
        break;
      case 'AUTH':
      case 'X-EXPS':
        this.#auth(verb, line);
        break;
      case 'XEXCH50':
        this.#xexch50(line);
        break;
      case 'QUIT':
        this.#say(verb, '221 2.0.0 bye');
        this.#voice.close(false);
        this.#quitted = true;
        break;
      case 'RSET':
        if (isPositive(this.#say(verb, PLAIN_REPLIES.RSET as string))) this.#reset();
        break;
      default:
        this.#say(verb, PLAIN_REPLIES[verb] ?? '500 5.5.1 what?');
    }
  }

  #greet(verb: 'EHLO' | 'HELO', line: string): void {
    const { hello_again } = this.backend;
    if (this.#greeted && hello_again === 'once') {
      this.#say('HELLO2', '503 5.5.1 already identified');
      return;
    }
    const code = this.#say(verb, verb === 'EHLO' ? this.#voice.ehlo() : (PLAIN_REPLIES.HELO as string));
    if (!isPositive(code)) return;
    this.#greeted = true;
    this.#hello = line;
    if (hello_again !== 'keeps') this.#reset();
  }

  #mail(verb: string, line: string): void {
    const { mail_again } = this.backend;
    const nested = this.#reversePath !== null;
    const refused = nested && mail_again === undefined;
    const code = refused ? this.#say('MAIL2', '503 5.5.1 nested MAIL') : this.#say(verb, '250 2.1.0 ok');
    if (!isPositive(code)) return;
    if (mail_again !== 'keeps recipients') this.#reset();
    this.#reversePath = pathOf(line);
    this.#begun = this.#mark();
  }

  #rcpt(line: string): void {
    const lone = this.#reversePath === null;
    const code = lone ? this.#say('RCPT0', '503 5.5.1 need MAIL') : this.#say('RCPT', '250 2.1.5 ok');
    if (!isPositive(code)) return;
    const recipient = pathOf(line);
    this.#envelope.push(recipient);
    this.recipients.push(recipient);
    const reversePath = this.#reversePath ?? '';
    this.executed.push({
      recipient,
      reversePath,
      login: this.#login,
      hello: this.#hello,
      mark: this.#mark(),
      begun: this.#begun,
    });
  }

  // --- mail data

  #dataCommand(): void {
    if (this.#chunking) this.#say('DATA', '503 5.5.1 BDAT has begun');
    else if (this.#envelope.length === 0) this.#say('DATA', '503 5.5.1 no recipients');
    else if (this.#say('DATA', '354 go ahead') !== 354 && this.backend.refused_data === 'ends') this.#reset();
  }

  #dataLine(): boolean {
    if (this.backend.close_in === 'DATA' && this.#lines.length > 0) {
      this.#close();
      return true;
    }
    const line = this.#lines.data();
    if (line === null) return false;
    if (this.backend.data_early !== undefined) {
      this.#reset();
      this.#say('EARLY', this.backend.data_early);
    } else if (this.#lines.endsData(line)) {
      this.#endOfData();
    } else {
      this.#data.push(line.startsWith('.') ? line.slice(1) : line, '\r\n');
    }
    return true;
  }

  #endOfData(): void {
    if (this.backend.close_in === 'EOD') {
      this.#close();
      return;
    }
    const message = { reversePath: this.#reversePath ?? '', recipients: this.#envelope, data: this.#data.join('') };
    this.#data = [];
    const taken = isPositive(this.#say('EOD', '250 2.6.0 queued'));
    if (taken) this.messages.push(message);
    if (taken || this.backend.refused_end !== 'keeps') this.#reset();
  }

  #bdat(line: string): void {
    const kind = this.backend.bdat ?? 'normal';
    const size = kind === 'u32' ? sizeAsC(line) : sizeAsWritten(line);
    if (kind === 'unsupported') this.#say('BDAT', '500 5.5.1 what?');
    else if (kind === 'reject-nodrain') this.#say('BDAT', '552 5.3.4 too big');
    else if (size === null) this.#say('BDAT', '501 5.5.4 how many octets?');
    else if (this.#envelope.length === 0) this.#say('BDAT', '503 5.5.1 no recipients');
    else this.#chunk(size, /\sLAST/i.test(line));
  }

  #chunk(size: number, last: boolean): void {
    const keep = (payload: string) => this.#data.push(payload);
    this.#count(size, keep, () => {
      if (last) this.#endOfData();
      else this.#say('BDAT', '250 2.0.0 chunk taken');
      this.#chunking = !last;
    });
  }

  #xexch50(line: string): void {
    const size = sizeAsWritten(line);
    if (!this.backend.xexch50 || size === null) {
      this.#say('XEXCH50', '504 5.7.4 need to authenticate first');
      return;
    }
    if (this.#say('XEXCH50', '354 send binary data') !== 354) return;
    const forget = () => {};
    this.#count(size, forget, () => {
      this.#voice.say('XEXCH50-DONE', '250 2.0.0 binary data taken');
    });
  }

  #count(size: number, counted: (payload: string) => void, done: () => void): void {
    this.#mode = COUNTED;
    this.#left = size;
    this.#counted = counted;
    this.#done = done;
  }

  #payload(): boolean {
    const part = this.#lines.take(this.#left);
    this.#left -= part.length;
    this.#counted(part.toString('latin1'));
    if (this.#left > 0) return false;
    this.#mode = COMMAND;
    this.#done();
    return true;
  }

  // --- logins

  #auth(verb: string, line: string): void {
    const [, mechanism = '', initial] = line.split(/[ \t]+/);
    this.#mechanism = mechanism.toUpperCase();
    const known = this.#mechanism !== 'NTLM' || this.backend.ntlm !== false;
    const challenges = known ? CHALLENGES[this.#mechanism] : undefined;
    if (this.#authenticated) this.#say(verb, '503 5.5.1 already authenticated');
    else if (challenges === undefined) this.#say(verb, '504 5.5.4 unknown mechanism');
    else {
      this.#responses = initial === undefined ? [] : [initial];
      this.#challenges = initial === undefined ? challenges : challenges.slice(1);
      this.#challenge(verb);
    }
  }

  #challenge(verb: string): void {
    const [next, ...rest] = this.#challenges;
    this.#challenges = rest;
    if (next !== undefined) {
      this.#say(verb, `334 ${next}`);
    } else if (this.#responses.some(namesBad)) {
      this.#say(verb, '535 5.7.8 who?');
    } else {
      this.#authenticated = isPositive(this.#say(verb, '235 2.7.0 welcome'));
      if (this.#authenticated) this.#login = loginOf(this.#mechanism, this.#responses);
      if (this.#mechanism === 'GSSAPI' && this.backend.gssapi === 'layer') this.#wrap();
    }
  }

  #response(): boolean {
    const line = this.#lines.command();
    if (line === null) return false;
    if (line === '*') {
      this.#say('SASL', '501 5.7.0 as you like');
    } else {
      this.#responses.push(line);
      this.#challenge('SASL');
    }
    return true;
  }

  #wrap(): void {
    this.#wrapped = true;
    this.#lines.append(this.#layer.unwrap(this.#lines.take(this.#lines.length)));
  }

  // --- out

  /** The code that was really said decides what the next octets are. */
  #say(verb: string, text: string): number {
    const code = this.#voice.say(verb, text);
    if (code === 354) this.#mode = DATA;
    else if (code === 334) this.#mode = SASL;
    else this.#mode = code === 0 ? OVER : COMMAND;
    return code;
  }

  #close(): void {
    this.#voice.close(false);
    this.#mode = OVER;
  }

  #reset(): void {
    this.#reversePath = null;
    this.#envelope = [];
    this.#data = [];
    this.#chunking = false;
  }
}
