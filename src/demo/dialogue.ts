// One client's dialogue with the stand-in: octets in, replies out. Owns no socket.
//
// Invariant: whatever a client sends, memory per session stays bounded. The octets of mail data are counted and dropped.
// Who is refused, and which accounts there are, the house says.

import { type Caller, type Ends, type House, OPEN_HOUSE, type ReceivedMessage } from './house.ts';

export interface DialogueOptions {
  readonly onMessage: (message: ReceivedMessage) => void;
  readonly now?: () => Date;
  readonly house?: House;
}

// What the next octets are.
const COMMAND = 0; // a line that ends in LF
const MAIL_DATA = 1; // text up to CRLF.CRLF
const CHUNK = 2; // exactly #chunkLeft octets
const LOGIN = 3; // one base64 line, the name; then PASSWORD
const PASSWORD = 4; // one base64 line; then 535
const OTHER_LOGIN = 5; // one base64 line of NTLM or GSSAPI; then 535

const LONGEST_LINE = 65_536;
const MOST_RECIPIENTS = 64_000; // msExchSmtpMaxRecipients
const LARGEST_CHUNK = 2_147_483_647;
const END_OF_DATA = Buffer.from('\r\n.\r\n');
const LINE_END = Buffer.from('\r\n');
const EMPTY = Buffer.alloc(0);
const UNKNOWN = '500 5.3.3 Unrecognized command\r\n';
const LOGIN_FAILED = '535 5.7.3 Authentication unsuccessful.\r\n';
const LOGIN_FIRST = '504 5.7.0 Need to authenticate first\r\n';
const NO_SENDER = '503 5.5.2 Need mail command.\r\n';
const NO_RECIPIENT = '503 5.5.2 Need Rcpt command.\r\n';
const BAD_ARGUMENTS = '501 5.5.4 Invalid arguments\r\n';
const BAD_ADDRESS = '501 5.5.4 Invalid Address\r\n';

let sessions = 0;

export class Session {
  ended = false;
  readonly #caller: Caller;
  readonly #options: DialogueOptions;
  readonly #house: House;
  #state = COMMAND;
  #rest: Buffer = EMPTY;
  /** Of a login that is under way. */
  #loginName = '';
  /** null = no mail transaction. */
  #sender: string | null = null;
  #recipients: string[] = [];
  #octets = 0;
  /** The last octets of the mail data so far, for an end that comes in pieces. */
  #tail: Buffer = EMPTY;
  #chunkLeft = 0;
  #chunkSize = 0;
  #chunkIsLast = false;
  #messages = 0;

  constructor(ends: Ends, options: DialogueOptions) {
    this.#caller = { ...ends, session: ++sessions, heloName: '', login: null };
    this.#options = options;
    this.#house = options.house ?? OPEN_HOUSE;
    this.#house.journal.came(this.#caller);
  }

  greeting(): string {
    const now = (this.#options.now ?? (() => new Date()))();
    return this.#answer(`220 ${this.#house.tongue.banner(now)}\r\n`);
  }

  left(): void {
    this.ended = true;
    this.#house.journal.left(this.#caller);
  }

  /** The replies to everything that this chunk completed. */
  fromClient(chunk: Buffer): string {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let replies = '';
    while (this.#rest.length > 0 && !this.ended) {
      const before = this.#rest.length;
      if (this.#state === MAIL_DATA) replies += this.#answer(this.#mailData());
      else if (this.#state === CHUNK) replies += this.#answer(this.#chunk());
      else replies += this.#answer(this.#line());
      if (this.#rest.length === before) break;
    }
    return replies;
  }

  #answer(reply: string): string {
    if (reply !== '') this.#house.journal.answered(this.#caller, reply.slice(0, -2));
    return reply;
  }

  #line(): string {
    const end = this.#rest.indexOf(0x0a);
    if (end === -1) {
      if (this.#rest.length <= LONGEST_LINE) return '';
      this.ended = true;
      return '500 5.3.3 Line too long\r\n';
    }
    const line = this.#rest.toString('latin1', 0, end).replace(/\r$/, '');
    this.#rest = this.#rest.subarray(end + 1);
    if (this.#state === COMMAND) {
      this.#house.journal.said(this.#caller, line);
      return this.#command(line);
    }
    const said = Buffer.from(line, 'base64').toString();
    if (this.#state === LOGIN && line !== '*') {
      this.#loginName = said;
      this.#state = PASSWORD;
      return '334 UGFzc3dvcmQ6\r\n'; // "Password:"
    }
    const asked = this.#state === PASSWORD && line !== '*';
    this.#state = COMMAND;
    if (!asked || !this.#house.hasAccount(this.#loginName, said)) return LOGIN_FAILED;
    this.#caller.login = this.#loginName;
    this.#house.journal.loggedIn(this.#caller);
    return `${this.#house.tongue.loggedIn}\r\n`;
  }

  #command(line: string): string {
    const [, word = '', argument = ''] = /^(\S*)\s*(.*?)\s*$/s.exec(line) ?? [];
    switch (word.toUpperCase()) {
      case 'EHLO':
        this.#hello(argument);
        return `250-${this.#house.tongue.name} Hello [${this.#caller.address}]\r\n${keywordLines(this.#house.tongue.keywords)}`;
      case 'HELO':
        this.#hello(argument);
        return `250 ${this.#house.tongue.name} Hello [${this.#caller.address}]\r\n`;
      case 'MAIL':
        return this.#mail(argument);
      case 'RCPT':
        return this.#rcpt(argument);
      case 'DATA':
        return this.#data();
      case 'BDAT':
        return this.#bdat(argument);
      case 'RSET':
        this.#endTransaction();
        return '250 2.0.0 Resetting\r\n';
      case 'NOOP':
        return '250 2.0.0 OK\r\n';
      case 'QUIT':
        this.ended = true;
        return `221 2.0.0 ${this.#house.tongue.name} Service closing transmission channel\r\n`;
      case 'VRFY':
        return `252 2.1.5 Cannot VRFY user, but will take message for <${argument}>\r\n`;
      case 'HELP':
        return '214-This server supports the following commands:\r\n214 HELO EHLO RCPT DATA RSET MAIL QUIT HELP AUTH TURN ETRN BDAT VRFY\r\n';
      case 'AUTH':
      case 'X-EXPS':
        return this.#auth(argument);
      case 'XEXCH50':
      case 'X-LINK2STATE':
        return LOGIN_FIRST;
      case 'STARTTLS':
        return '554 5.7.3 Unable to initialize security subsystem\r\n';
      case 'TURN':
      case 'ETRN':
        return '502 5.3.3 Command is not implemented\r\n';
      default:
        return UNKNOWN;
    }
  }

  #hello(argument: string): void {
    this.#caller.heloName = argument;
    this.#endTransaction();
  }

  #mail(argument: string): string {
    const sender = pathIn(argument, /^FROM:/i);
    if (sender === null) return BAD_ARGUMENTS;
    if (this.#sender !== null) return '503 5.5.2 Sender already specified\r\n';
    const why = this.#house.whyNotFrom(this.#caller, sender);
    if (why !== null) return `${why}\r\n`;
    this.#sender = sender;
    return `${this.#house.tongue.senderTaken(sender)}\r\n`;
  }

  #rcpt(argument: string): string {
    if (this.#sender === null) return NO_SENDER;
    const recipient = pathIn(argument, /^TO:/i);
    if (recipient === null) return BAD_ARGUMENTS;
    if (recipient === '') return BAD_ADDRESS;
    if (this.#recipients.length >= MOST_RECIPIENTS) return '452 4.5.3 Too many recipients\r\n';
    const why = this.#house.whyNotTo(this.#caller, recipient);
    if (why !== null) return `${why}\r\n`;
    this.#recipients.push(recipient);
    return `${this.#house.tongue.recipientTaken(recipient)}\r\n`;
  }

  #data(): string {
    if (this.#sender === null) return NO_SENDER;
    if (this.#recipients.length === 0) return NO_RECIPIENT;
    this.#state = MAIL_DATA;
    this.#tail = LINE_END; // a dot on the very first line ends it, too
    return '354 Start mail input; end with <CRLF>.<CRLF>\r\n';
  }

  #mailData(): string {
    const text = Buffer.concat([this.#tail, this.#rest]);
    const end = text.indexOf(END_OF_DATA);
    if (end === -1) {
      this.#octets += this.#rest.length;
      this.#tail = Buffer.from(text.subarray(-4));
      this.#rest = EMPTY;
      return '';
    }
    this.#octets += end + LINE_END.length - this.#tail.length;
    this.#rest = text.subarray(end + END_OF_DATA.length);
    return this.#received();
  }

  // RFC 3030 §2: the octets follow whatever we think of the command.
  #bdat(argument: string): string {
    const [, size, last] = /^([0-9]{1,10})( +LAST)?$/i.exec(argument) ?? [];
    if (size === undefined || Number(size) > LARGEST_CHUNK) return BAD_ARGUMENTS;
    this.#chunkSize = Number(size);
    this.#chunkLeft = this.#chunkSize;
    this.#chunkIsLast = last !== undefined;
    if (this.#chunkSize === 0) return this.#chunkReceived();
    this.#state = CHUNK;
    return '';
  }

  #chunk(): string {
    const taken = Math.min(this.#chunkLeft, this.#rest.length);
    this.#rest = this.#rest.subarray(taken);
    this.#chunkLeft -= taken;
    return this.#chunkLeft === 0 ? this.#chunkReceived() : '';
  }

  #chunkReceived(): string {
    this.#state = COMMAND;
    if (this.#sender === null) return NO_SENDER;
    if (this.#recipients.length === 0) return NO_RECIPIENT;
    this.#octets += this.#chunkSize;
    return this.#chunkIsLast ? this.#received() : `250 2.6.0 CHUNK received OK, ${this.#chunkSize} octets\r\n`;
  }

  #received(): string {
    this.#messages += 1;
    this.#options.onMessage({
      clientAddress: this.#caller.address,
      heloName: this.#caller.heloName,
      sender: this.#sender ?? '',
      recipients: this.#recipients,
      octets: this.#octets,
    });
    this.#endTransaction();
    const id = `MAIL${String(this.#messages).padStart(8, '0')}@${this.#house.tongue.name}`;
    return `${this.#house.tongue.queued(id)}\r\n`;
  }

  #auth(argument: string): string {
    const [mechanism = '', initial] = argument.split(/ +/);
    if (mechanism.toUpperCase() === 'LOGIN') {
      this.#state = initial === undefined ? LOGIN : PASSWORD;
      this.#loginName = Buffer.from(initial ?? '', 'base64').toString();
      return initial === undefined ? '334 VXNlcm5hbWU6\r\n' : '334 UGFzc3dvcmQ6\r\n'; // "Username:", "Password:"
    }
    if (!/^(NTLM|GSSAPI)$/i.test(mechanism)) return '504 5.7.4 Unrecognized authentication type\r\n';
    if (initial !== undefined) return LOGIN_FAILED;
    this.#state = OTHER_LOGIN;
    return `334 ${mechanism.toUpperCase()} supported\r\n`;
  }

  #endTransaction(): void {
    this.#state = COMMAND;
    this.#sender = null;
    this.#recipients = [];
    this.#octets = 0;
    this.#tail = EMPTY;
  }
}

function keywordLines(keywords: readonly string[]): string {
  const last = keywords.length - 1;
  return keywords.map((keyword, index) => `250${index === last ? ' ' : '-'}${keyword}\r\n`).join('');
}

/** What stands between the outermost brackets, or the first word where there are none; null without the keyword. */
function pathIn(argument: string, keyword: RegExp): string | null {
  if (!keyword.test(argument)) return null;
  const rest = argument.replace(keyword, '').trim();
  const bracketed = /<(.*)>/s.exec(rest);
  return bracketed?.[1] ?? rest.split(' ', 1)[0] ?? '';
}
