// The dialogue: one client, one upstream, and the firewall between them. Pure: bytes in, bytes out, no socket, no clock.
//
// The two directions are one machine. Client octets are commands until the *upstream's reply* says otherwise: 354 opens
// mail data only as the answer to DATA, 334 a login only as the answer to AUTH. So after every command that may change
// the mode, the client's next octets are held until the reply is in (protocol.md 1.2, 1.3). Only MAIL, RCPT, RSET and
// NOOP are passed on in a pipeline, and only to an upstream that offered PIPELINING.
//
//      client octets ──► line ──► command ──► its turn? ──► judged? ──► forwarded, reply expected
//                                    │           │            │
//                                    └───────────┴────────────┴──────► our reply, in its place in the queue
//      upstream octets ──► whole reply ──► the one expected? ──► mode, transaction, capabilities ──► client
//
// What is forwarded is the very memory that was received; only an unfinished line is copied. Whatever does not fit – a
// surplus reply, a 3yz to the wrong verb, a line that ends in a bare LF – ends both connections: after that nobody knows
// what the other side reads. Not here: who may relay (the Wire's judge), time (the driver calls expire), sockets.

import { Carry, CR, foldAscii, LF, Spans } from './bytes.ts';
import { type Capabilities, filterEhlo, NO_CAPABILITIES } from './capabilities.ts';
import { type Command, parseCommand } from './command.ts';
import { ENDED, MailData, REFUSED } from './mail-data.ts';
import * as replies from './replies.ts';
import { formatReply } from './replies.ts';
import { INCOMPLETE, MALFORMED, ReplyReader } from './reply.ts';
import { QUEUE_LIMIT, QUEUE_LOW, ReplyQueue } from './reply-queue.ts';
import { SaslExchange } from './sasl.ts';
import { NONE, OPEN, Transaction } from './transaction.ts';
import type { CloseReason, Decision, Login, OwnReply, Profile, Question, Reason, Wire } from './types.ts';

// What the client's next octets are.
const COMMAND = 0; //   lines that end in CRLF
const MAIL_DATA = 1; // everything up to CRLF . CRLF
const COUNTED = 2; //   exactly #left octets for the upstream: a BDAT chunk, an XEXCH50 blob
const SWALLOWED = 3; // exactly #left octets of a BDAT that we refused
const SASL = 4; //      one response line of a login
const DISCARDED = 5; // the rest of an over-long line
const CLOSING = 6; //   nothing: a last reply of ours is in the queue
const CLOSED = 7;

// Why the client's octets are not read now.
const RUN = 0;
const HOLD_GREETING = 1; // the upstream has not greeted
const HOLD_REPLIES = 2; //  until every outstanding reply is in
const HOLD_QUEUE = 3; //    too many replies outstanding
const HOLD_JUDGE = 4; //    a decision is on its way
const HOLD_EARLY = 5; //    the upstream began to answer inside mail data: it may be reading commands already

// What a reply is the answer to: the low octet of a queue entry. The transaction's number stands above it.
const TO_PLAIN = 0; // NOOP, VRFY, HELP …: nothing hangs on the answer
const TO_EHLO = 1;
const TO_HELO = 2;
const TO_MAIL = 3;
const TO_RCPT = 4;
const TO_DATA = 5;
const TO_END = 6; // end of mail data, or BDAT LAST
const TO_BDAT = 7;
const TO_AUTH = 8;
const TO_QUIT = 9;
const TO_XEXCH50 = 10;

/** What a session is waiting for, in `doing`: the driver's timers and the log go by it. */
export const DOING = ['greeting', 'command', 'reply', 'go-ahead', 'mail data', 'confirmation', 'decision', 'nothing'];
export const AWAITING_GREETING = 0;
export const AWAITING_COMMAND = 1;
export const AWAITING_REPLY = 2;
export const AWAITING_GO_AHEAD = 3; // the 354
export const AWAITING_MAIL_DATA = 4;
export const AWAITING_CONFIRMATION = 5; // the reply to the end of mail data
export const AWAITING_DECISION = 6;
export const DONE = 7;

const SASL_LINE = 12288 + 2; // RFC 4954 §4.3, and CRLF
const EXCHANGE_LINE = 4096; // protocol.md 4: X-LINK2STATE and kin
const DISCARD_LIMIT = 65536;
const TLS_HANDSHAKE = 0x16; // the first octet of a ClientHello

export class Session {
  readonly #wire: Wire;
  readonly #profile: Profile;
  readonly #up: Spans;
  readonly #down: Spans;
  readonly #queue = new ReplyQueue();
  readonly #reader = new ReplyReader();
  readonly #line = new Carry(); // the unfinished command line
  readonly #transaction = new Transaction();

  #mode = COMMAND;
  #hold = HOLD_GREETING;
  #resumeWith: (() => void) | null = null; // a command that waits for the replies before it
  #decided: ((decision: Decision) => void) | null = null;
  #later: Buffer[] = []; // chunks that came while held
  #held = false; // what the driver was told
  #closing: CloseReason | null = null;
  #clientEnded = false;
  #draining = false;

  #mailData: MailData | null = null;
  #left = 0; // octets, in COUNTED and SWALLOWED
  #afterCounted = TO_BDAT;
  #afterSwallowed: OwnReply = replies.NO_RECIPIENTS;
  #discarded = 0;
  #discardedCr = false;

  #offered: Capabilities = NO_CAPABILITIES;
  #helo = '';
  #exchange: SaslExchange | null = null;
  #login: Login | null = null;
  #opaque = false; // a security layer may have been agreed on: a wrapped token begins with a NUL

  #errors = 0;
  #junk = 0;
  #messages = 0;
  #failedLogins = 0;

  constructor(wire: Wire, profile: Profile) {
    this.#wire = wire;
    this.#profile = profile;
    this.#up = new Spans((bytes) => wire.toUpstream(bytes));
    this.#down = new Spans((bytes) => wire.toClient(bytes));
  }

  /** Grows with every command and every reply: a driver sees by it that a wait is a new one. */
  progress = 0;

  get helo(): string {
    return this.#helo;
  }

  get login(): Login | null {
    return this.#login;
  }

  /** What the session waits for: one of AWAITING_… or DONE. */
  get doing(): number {
    if (this.#mode === CLOSED) return DONE;
    if (this.#hold === HOLD_GREETING) return AWAITING_GREETING;
    if (this.#hold === HOLD_JUDGE) return AWAITING_DECISION;
    if (this.#mode === MAIL_DATA || this.#mode === COUNTED || this.#mode === SWALLOWED) return AWAITING_MAIL_DATA;
    const owed = this.#queue.peek();
    if (owed === -1) return AWAITING_COMMAND;
    const kind = owed & 0xff;
    return kind === TO_DATA ? AWAITING_GO_AHEAD : kind === TO_END ? AWAITING_CONFIRMATION : AWAITING_REPLY;
  }

  // ---------------------------------------------------------------- what the driver tells

  /** Takes octets of the client. The chunk may be forwarded as it is: the caller does not touch it again. */
  fromClient(chunk: Buffer): void {
    if (this.#mode >= CLOSING) return;
    if (this.#hold !== RUN) {
      if (this.#hold === HOLD_GREETING && this.#profile.earlyTalker === 'reject') {
        this.#endNow(replies.SPOKE_TOO_EARLY, { origin: 'policy', what: 'client spoke before the greeting' });
        return;
      }
      this.#later.push(chunk);
    } else {
      this.#read(chunk);
    }
    this.#settle();
  }

  /** Takes octets of the upstream. */
  fromUpstream(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#mode !== CLOSED) {
      const found = this.#reader.next(chunk, at);
      if (found === INCOMPLETE) {
        if (this.#mode === MAIL_DATA || this.#mode === COUNTED) this.#hold = HOLD_EARLY;
        break;
      }
      if (found === MALFORMED) {
        this.#broken('upstream sent a malformed reply');
        return;
      }
      at = this.#reader.end;
      this.#reply(this.#reader.code, this.#reader.bytes);
    }
    this.#settle();
  }

  /** The decision that Wire.judge owed. */
  judged(decision: Decision): void {
    const decided = this.#decided;
    if (this.#mode === CLOSED || decided === null) return;
    this.#decided = null;
    this.#hold = RUN;
    decided(decision);
    this.#resume();
    this.#settle();
  }

  /** The client sent FIN: it may still read (RFC 5321 §3.8 asks for QUIT; many do without). */
  clientEnded(): void {
    this.#clientEnded = true;
    this.#settle();
  }

  /** The client is gone. */
  clientLost(): void {
    this.#endNow(null, { origin: 'client', what: `client was lost while awaiting ${DOING[this.doing]}` });
  }

  /** The upstream closed, or cannot be reached. */
  upstreamEnded(): void {
    const doing = this.doing;
    if ((this.#queue.peek() & 0xff) === TO_QUIT && this.#queue.peek() !== -1) {
      this.#endNow(null, { origin: 'client', what: 'quit' });
    } else {
      this.#endNow(lossReply(doing), { origin: 'upstream', what: `upstream closed while awaiting ${DOING[doing]}` });
    }
  }

  /** A time-out or deadline passed. */
  expire(): void {
    const doing = this.doing;
    const waitsForClient = doing === AWAITING_COMMAND || doing === AWAITING_MAIL_DATA;
    this.#endNow(waitsForClient ? replies.CLIENT_TIMEOUT : lossReply(doing), {
      origin: waitsForClient ? 'client' : 'upstream',
      what: `timeout while awaiting ${DOING[doing]}`,
    });
  }

  /** Ends with 421 as soon as no transaction is under way. */
  drain(): void {
    this.#draining = true;
    this.#settle();
  }

  /** Ends with 421 now. */
  shutDown(): void {
    this.#endNow(replies.SHUTTING_DOWN, { origin: 'operator', what: 'shut down' });
  }

  // ---------------------------------------------------------------- client octets

  #read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#hold === RUN && this.#mode < CLOSING) {
      if (this.#mode === MAIL_DATA) at = this.#readMailData(chunk, at);
      else if (this.#mode === COUNTED || this.#mode === SWALLOWED) at = this.#readCounted(chunk, at);
      else if (this.#mode === DISCARDED) at = this.#discard(chunk, at);
      else at = this.#readLine(chunk, at);
    }
    if (at < chunk.length && this.#mode < CLOSING) this.#later.unshift(chunk.subarray(at));
  }

  /** Reads on when nothing holds any more. */
  #resume(): void {
    while (this.#hold === RUN && this.#later.length > 0 && this.#mode < CLOSING) {
      this.#read(this.#later.shift() as Buffer);
    }
  }

  #readLine(chunk: Buffer, at: number): number {
    if (this.#line.length === 0 && !this.#mayBegin(chunk[at] as number)) return chunk.length;
    const lineFeed = chunk.indexOf(LF, at);
    const end = lineFeed === -1 ? chunk.length : lineFeed + 1;
    const carried = this.#line.length > 0 || lineFeed === -1;
    if (carried) this.#line.append(chunk, at, end);
    const line = carried ? this.#line.view() : chunk.subarray(at, end);
    if (line.length > this.#lineLimit(line)) {
      if (this.#mode === SASL) {
        this.#closeWith(replies.LINE_TOO_LONG, { origin: 'policy', what: 'authentication response too long' });
        return end;
      }
      // Not one octet of it goes on. What is left of it, and its end, is read as discarded.
      this.#mode = DISCARDED;
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
      this.#closeWith(replies.NOT_SMTP, { origin: 'policy', what: 'TLS on a plain SMTP port' });
      return false;
    }
    if (this.#opaque && !isLetter) {
      this.#endNow(null, { origin: 'policy', what: 'security layer behind a GSSAPI login' });
      return false;
    }
    return true;
  }

  #lineLimit(line: Buffer): number {
    if (this.#mode === SASL) return SASL_LINE;
    const { commandLine } = this.#profile.limits;
    if (line.length <= commandLine) return commandLine;
    const start = line.toString('latin1', 0, 13).toUpperCase();
    if (start.startsWith('AUTH ') || start.startsWith('X-EXPS ')) return SASL_LINE;
    return this.#offered.has('X-LINK2STATE') && /^(X-LINK2STATE|XRDST|XSHADOW|XQDISCARD) ?/.test(start)
      ? EXCHANGE_LINE
      : commandLine;
  }

  #discard(chunk: Buffer, at: number): number {
    const lineFeed = chunk.indexOf(LF, at);
    const end = lineFeed === -1 ? chunk.length : lineFeed + 1;
    this.#discarded += end - at;
    if (this.#discarded > DISCARD_LIMIT) {
      this.#closeWith(replies.LINE_TOO_LONG, { origin: 'policy', what: 'command line without end' });
    } else if (lineFeed !== -1) {
      const properEnd = lineFeed > at ? chunk[lineFeed - 1] === CR : this.#discardedCr;
      this.#mode = COMMAND;
      if (properEnd) this.#refuse(replies.LINE_TOO_LONG);
      else this.#badLineEnd();
    }
    this.#discardedCr = chunk[end - 1] === CR;
    return end;
  }

  #takeLine(line: Buffer): void {
    this.progress++;
    const text = line.toString('latin1', 0, line.length - 2);
    // protocol.md 1.7: CRLF and nothing else. Some server ends a line at every one of these.
    if (line.length < 2 || line[line.length - 2] !== CR || /[\0\r]/.test(text)) this.#badLineEnd();
    else if (this.#mode === SASL) this.#takeResponse(text, line);
    else this.#takeCommand(parseCommand(text, this.#transaction.utf8), line);
  }

  #badLineEnd(): void {
    this.#closeWith(replies.BAD_LINE_END, { origin: 'policy', what: 'command line with a bare CR, bare LF or NUL' });
  }

  #readMailData(chunk: Buffer, at: number): number {
    const mailData = this.#mailData as MailData;
    const found = mailData.scan(chunk, at);
    if (found === REFUSED) {
      this.#endNow(replies.AMBIGUOUS_END, { origin: 'policy', what: 'ambiguous end of mail data' });
    } else if (found === ENDED) {
      this.#mode = COMMAND;
      this.#mailData = null;
      this.#expect(TO_END);
      this.#transaction.reset();
      this.#hold = HOLD_REPLIES; // nothing is begun before the upstream has agreed that this was the end
      return mailData.end;
    }
    return chunk.length;
  }

  #readCounted(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    if (this.#mode === COUNTED) this.#up.add(chunk.subarray(at, end));
    if (this.#left === 0) this.#countedEnded();
    return end;
  }

  #countedEnded(): void {
    const wasSwallowed = this.#mode === SWALLOWED;
    this.#mode = COMMAND;
    if (wasSwallowed) {
      this.#say(this.#afterSwallowed);
      return;
    }
    if (this.#afterCounted === TO_XEXCH50) this.#expect(TO_PLAIN);
    else if (this.#afterCounted === TO_END) this.#transaction.reset();
    this.#hold = HOLD_REPLIES;
  }

  // ---------------------------------------------------------------- commands

  #takeCommand(command: Command, line: Buffer): void {
    if (this.#transaction.chunking && !MAY_FOLLOW_BDAT.has(command.verb)) {
      this.#refuse(replies.CHUNKING_BEGAN);
      return;
    }
    if (WAITS.has(command.verb)) this.#behindReplies(() => this.#execute(command, line));
    else this.#execute(command, line);
  }

  #execute(command: Command, line: Buffer): void {
    switch (command.verb) {
      case 'RCPT':
        this.#takeRcpt(command, line);
        break;
      case 'MAIL':
        this.#takeMail(command, line);
        break;
      case 'DATA':
        this.#takeData(line);
        break;
      case 'BDAT':
        this.#takeBdat(command, line);
        break;
      case 'RSET':
        if (this.#transaction.tried === 0 && this.#isJunk()) return;
        this.#transaction.reset();
        this.#forward(line, TO_PLAIN);
        break;
      case 'NOOP':
        if (!this.#isJunk()) this.#forward(line, TO_PLAIN);
        break;
      case 'EHLO':
      case 'HELO':
        if (this.#helo !== '' && this.#isJunk()) return;
        this.#helo = command.name;
        this.#offered = NO_CAPABILITIES;
        this.#transaction.reset();
        this.#forwardAndHold(line, command.verb === 'EHLO' ? TO_EHLO : TO_HELO);
        break;
      case 'VRFY':
      case 'EXPN':
        if (this.#isJunk()) return;
        if (this.#profile.vrfy === 'refuse') this.#say(replies.CANNOT_VERIFY);
        else this.#forwardAndHold(line, TO_PLAIN);
        break;
      case 'HELP':
        if (!this.#isJunk()) this.#forwardAndHold(line, TO_PLAIN);
        break;
      case 'QUIT':
        this.#forwardAndHold(line, TO_QUIT);
        break;
      case 'AUTH':
      case 'X-EXPS':
        this.#takeAuth(command, line);
        break;
      case 'XEXCH50':
        if (!this.#offered.has('XEXCH50')) this.#refuse(replies.NOT_AVAILABLE);
        else this.#takeXexch50(command.size, line);
        break;
      case 'X-LINK2STATE':
      case 'XRDST':
      case 'XSHADOW':
      case 'XQDISCARD':
        if (this.#offered.has(command.verb === 'XQDISCARD' ? 'XSHADOW' : command.verb))
          this.#forwardAndHold(line, TO_PLAIN);
        else this.#refuse(replies.NOT_AVAILABLE);
        break;
      case 'bad recipient':
        if (this.#isRcptTurn()) this.#takeBadRecipient(command.path?.trick === true, command.path?.written ?? '');
        break;
      case 'bad BDAT':
        this.#closeWith(replies.BAD_CHUNK, { origin: 'policy', what: 'malformed BDAT' });
        break;
      case 'foreign protocol':
        this.#closeWith(replies.NOT_SMTP, { origin: 'policy', what: 'HTTP on an SMTP port' });
        break;
      default:
        this.#refuse(REFUSALS[command.verb]);
    }
  }

  #takeMail(command: Extract<Command, { verb: 'MAIL' }>, line: Buffer): void {
    const { path, parameters, utf8 } = command;
    if (this.#draining) {
      this.#closeWith(replies.SHUTTING_DOWN, { origin: 'operator', what: 'drained' });
    } else if (this.#transaction.state !== NONE) {
      this.#refuse(replies.NESTED_MAIL);
    } else if (!this.#offered.allowsMail(parameters)) {
      this.#refuse(replies.BAD_PARAMETER);
    } else if (this.#messages >= this.#profile.limits.messages && this.#exceeds('messages')) {
      this.#closeWith(replies.TOO_MANY_MESSAGES, { origin: 'policy', what: 'too many messages in one session' });
    } else {
      const question = this.#question('MAIL', path.written, path.address, '', []);
      this.#ask(question, (decision) => {
        if (decision.action !== 'proceed') {
          this.#refuseSender(decision, path.written);
          return;
        }
        if (decision.observed) this.#senderEvent('would_reject', decision.reason, path.written, '');
        this.#transaction.begin(path.written, path.address, utf8);
        this.#forward(line, TO_MAIL);
      });
    }
  }

  #refuseSender(decision: Exclude<Decision, { action: 'proceed' }>, sender: string): void {
    const reply = formatReply(decision.reply, this.#offersCodes, { sender });
    this.#senderEvent('reject', decision.reason, sender, reply.toString('latin1').trimEnd());
    if (this.#isError()) return;
    this.#put(reply);
    if (decision.action === 'disconnect') this.#close({ origin: 'policy', what: 'sender refused' });
  }

  #senderEvent(decision: 'reject' | 'would_reject', reason: Reason, sender: string, reply: string): void {
    this.#wire.event({ name: 'sender', decision, reason, sender, reply });
  }

  /** Counts a RCPT, and answers those that cannot be judged because nobody asked for a transaction, or too many came. */
  #isRcptTurn(): boolean {
    const transaction = this.#transaction;
    if (transaction.state === NONE) {
      this.#refuse(replies.MAIL_NEEDED);
      return false;
    }
    transaction.tried++;
    // A refused recipient is no error (design.md 6). Who goes on far beyond the limit is (Postfix calls it overshoot).
    return transaction.tried <= 2 * this.#profile.limits.recipientsPerMessage || !this.#isError();
  }

  #takeRcpt(command: Extract<Command, { verb: 'RCPT' }>, line: Buffer): void {
    if (!this.#isRcptTurn()) return;
    const transaction = this.#transaction;
    const { path, parameters } = command;
    if (
      path.bare &&
      this.#profile.unqualifiedRecipients === 'reject' &&
      foldAscii(path.address.local) !== 'postmaster'
    ) {
      this.#refuseRecipient(replies.UNQUALIFIED_RECIPIENT, 'unqualified', null, path.written);
      return;
    }
    if (path.gateway && !this.#profile.relaysAnywhere) {
      this.#refuseRecipient(this.#profile.relayReply, 'relay_trick', null, path.written);
      return;
    }
    if (!this.#offered.allowsRcpt(parameters)) {
      this.#refuseRecipient(replies.BAD_PARAMETER, 'syntax', null, path.written);
      return;
    }
    if (
      transaction.recipients >= this.#profile.limits.recipientsPerMessage &&
      this.#exceeds('recipients_per_message')
    ) {
      this.#refuseRecipient(replies.TOO_MANY_RECIPIENTS, 'limit', null, path.written);
      return;
    }
    const addresses = path.bare ? path.addresses.slice(1) : path.addresses;
    const question = this.#question('RCPT', transaction.sender, transaction.senderAddress, path.written, addresses);
    this.#ask(question, (decision) => {
      if (decision.action === 'proceed') {
        const { observed, reason, rule } = decision;
        this.#recipientEvent(observed ? 'would_reject' : 'proceed', reason, rule, path.written, '');
        transaction.recipients++;
        this.#forward(line, TO_RCPT);
        return;
      }
      this.#refuseRecipient(decision.reply, decision.reason, decision.rule, path.written);
      if (decision.action === 'disconnect') this.#close({ origin: 'policy', what: 'recipient refused' });
    });
  }

  #takeBadRecipient(trick: boolean, written: string): void {
    if (trick) this.#refuseRecipient(this.#profile.relayReply, 'relay_trick', null, written);
    else this.#refuseRecipient(replies.BAD_RECIPIENT, 'syntax', null, written);
  }

  #refuseRecipient(own: OwnReply, reason: Reason, rule: string | null, recipient: string): void {
    const reply = formatReply(own, this.#offersCodes, { recipient, sender: this.#transaction.sender });
    this.#recipientEvent('reject', reason, rule, recipient, reply.toString('latin1').trimEnd());
    this.#put(reply);
  }

  #recipientEvent(
    decision: 'proceed' | 'reject' | 'would_reject',
    reason: Reason,
    rule: string | null,
    recipient: string,
    reply: string,
  ): void {
    this.#wire.event({ name: 'recipient', decision, reason, rule, sender: this.#transaction.sender, recipient, reply });
  }

  #takeData(line: Buffer): void {
    if (this.#transaction.state === OPEN && this.#transaction.accepted > 0) this.#forwardAndHold(line, TO_DATA);
    else if (this.#transaction.tried > 0) this.#say(replies.NO_RECIPIENTS);
    else this.#refuse(replies.NO_RECIPIENTS);
  }

  #takeBdat(command: Extract<Command, { verb: 'BDAT' }>, line: Buffer): void {
    if (!this.#offered.has('CHUNKING')) {
      this.#closeWith(replies.BDAT_NOT_OFFERED, { origin: 'policy', what: 'BDAT was not offered' });
      return;
    }
    if (command.size === 0 && !command.last && this.#isJunk()) return;
    const transaction = this.#transaction;
    this.#left = command.size;
    if (transaction.state !== OPEN || transaction.accepted === 0) {
      this.#swallow(replies.NO_RECIPIENTS);
    } else if (transaction.octets + command.size > this.#offered.size) {
      transaction.reset(); // the upstream has half a message: nothing but RSET leads on from there
      this.#swallow(replies.CHUNK_TOO_LARGE);
    } else {
      transaction.octets += command.size;
      transaction.chunking = !command.last;
      this.#afterCounted = command.last ? TO_END : TO_BDAT;
      this.#mode = COUNTED;
      this.#up.add(line);
      this.#expect(this.#afterCounted);
      if (command.size === 0) this.#countedEnded();
    }
  }

  #swallow(own: OwnReply): void {
    this.#afterSwallowed = own;
    this.#mode = SWALLOWED;
    if (this.#left === 0) this.#countedEnded();
  }

  #takeXexch50(size: number, line: Buffer): void {
    this.#left = size;
    this.#forwardAndHold(line, TO_XEXCH50);
  }

  // ---------------------------------------------------------------- logins

  #takeAuth(command: Extract<Command, { verb: 'AUTH' | 'X-EXPS' }>, line: Buffer): void {
    if (this.#profile.auth === 'require_tls') {
      this.#refuse(replies.AUTH_NEEDS_TLS);
    } else if (!this.#offered.has(command.verb)) {
      this.#refuse(replies.NOT_AVAILABLE);
    } else if (this.#login !== null) {
      this.#refuse(replies.ALREADY_AUTHENTICATED);
    } else if (this.#transaction.state !== NONE) {
      this.#refuse(replies.NOT_IN_TRANSACTION); // RFC 4954 §4
    } else if (!this.#offered.offersMechanism(command.verb, command.mechanism)) {
      this.#refuse(replies.UNKNOWN_MECHANISM);
    } else if (this.#failedLogins >= this.#profile.limits.authFailures && this.#exceeds('auth_failures')) {
      this.#closeWith(replies.TOO_MANY_LOGINS, { origin: 'policy', what: 'too many failed logins' });
    } else {
      const exchange = new SaslExchange(command.mechanism);
      if (command.initial !== null && !exchange.respondInitially(command.initial)) {
        this.#refuse(replies.BAD_RESPONSE);
        return;
      }
      this.#exchange = exchange;
      this.#forwardAndHold(line, TO_AUTH);
    }
  }

  #takeResponse(text: string, line: Buffer): void {
    this.#mode = COMMAND;
    if (text === '*') {
      this.#exchange = null; // RFC 4954 §4: cancelled; the upstream says 501
    } else if (!(this.#exchange as SaslExchange).respond(text)) {
      // The upstream waits for a response that it will not get: there is no way on.
      this.#closeWith(replies.BAD_RESPONSE, { origin: 'policy', what: 'authentication response refused' });
      return;
    }
    this.#forwardAndHold(line, TO_AUTH);
  }

  #authAnswered(code: number): void {
    const exchange = this.#exchange;
    if (code === 334 && exchange !== null) {
      this.#mode = SASL;
      return;
    }
    this.#exchange = null;
    if (exchange === null) return;
    if (code === 235) {
      this.#opaque = exchange.opaque;
      if (exchange.anonymous) return;
      this.#login = { mechanism: exchange.mechanism, name: exchange.name };
      this.#wire.event({ name: 'login', login: this.#login });
    } else if (code >= 400) {
      this.#failedLogins++;
      this.#wire.event({ name: 'login_failed', mechanism: exchange.mechanism });
    }
  }

  // ---------------------------------------------------------------- upstream replies

  #reply(code: number, bytes: Buffer): void {
    this.progress++;
    if (this.#hold === HOLD_GREETING) {
      this.#greeting(code, bytes);
      return;
    }
    const owed = this.#queue.peek();
    const flowing = this.#mode === MAIL_DATA || this.#mode === COUNTED;
    if (owed === -1 || flowing) {
      this.#uncalledFor(code, bytes, flowing);
      return;
    }
    const kind = owed & 0xff;
    if (code === 421) {
      this.#down.add(bytes);
      this.#endNow(null, { origin: 'upstream', what: 'upstream said 421' });
      return;
    }
    // protocol.md 1.2: a 3yz changes the mode, so it must be the one that was asked for.
    const wanted =
      kind === TO_DATA || kind === TO_XEXCH50 ? 354 : kind === TO_AUTH && this.#exchange !== null ? 334 : 0;
    if ((code >= 300 && code < 400 && code !== wanted) || (kind === TO_DATA && code < 300)) {
      this.#broken('upstream sent a reply that does not fit the command');
      return;
    }
    this.#queue.shift();
    this.#down.add(this.#answered(kind, owed >>> 8, code, bytes));
    if (kind === TO_QUIT) {
      this.#endNow(null, { origin: 'client', what: 'quit' });
      return;
    }
    for (let ours = this.#queue.takeOurs(); ours !== null; ours = this.#queue.takeOurs()) this.#down.add(ours);
    this.#release();
  }

  /** What a reply does to our view of the session; the octets that the client gets. */
  #answered(kind: number, number: number, code: number, bytes: Buffer): Buffer {
    const transaction = this.#transaction;
    const good = code < 300;
    const current = number === transaction.number;
    switch (kind) {
      case TO_EHLO:
      case TO_HELO:
        if (good) {
          const { bytes: filtered, offered } = filterEhlo(bytes, this.#profile, false);
          if (kind === TO_EHLO) this.#offered = offered;
          return filtered;
        }
        break;
      case TO_MAIL:
        if (!current) break;
        if (good) transaction.state = OPEN;
        else transaction.reset();
        break;
      case TO_RCPT:
        if (!current) break;
        if (good) transaction.accepted++;
        else transaction.recipients--;
        break;
      case TO_DATA:
        if (code === 354) this.#openMailData();
        break;
      case TO_END:
        if (good) {
          this.#messages++;
          this.#junk = 0;
          this.#wire.event({ name: 'message' });
        }
        break;
      case TO_BDAT:
        if (!good && current) transaction.reset();
        break;
      case TO_AUTH:
        this.#authAnswered(code);
        break;
      case TO_XEXCH50:
        if (code === 354) {
          this.#afterCounted = TO_XEXCH50;
          this.#mode = COUNTED;
          if (this.#left === 0) this.#countedEnded();
        }
        break;
    }
    return bytes;
  }

  #openMailData(): void {
    const { bareLf, dotLines, relaysAnywhere } = this.#profile;
    // protocol.md 1.5: an ambiguous terminator may pass only where nothing could be smuggled past us.
    const lenient = bareLf === 'pass' && !relaysAnywhere ? 'reject' : bareLf;
    this.#mailData = new MailData({ bareLf: lenient, dotLines }, (bytes) => this.#up.add(bytes));
    this.#mode = MAIL_DATA;
  }

  #greeting(code: number, bytes: Buffer): void {
    if (code < 400 && code !== 220) {
      this.#broken(`upstream greeted with ${code}`);
      return;
    }
    this.#down.add(bytes);
    if (code === 220) {
      this.#hold = RUN;
      this.#resume();
    } else {
      this.#endNow(null, { origin: 'upstream', what: `upstream greeted with ${code}` });
    }
  }

  /** A reply to nothing, or one inside mail data: whatever it means, the two sides are out of step (protocol.md 1.9). */
  #uncalledFor(code: number, bytes: Buffer, flowing: boolean): void {
    if (code === 421 || (flowing && code >= 400)) {
      this.#down.add(bytes);
      this.#endNow(null, {
        origin: 'upstream',
        what: flowing ? 'upstream answered inside mail data' : 'upstream said 421',
      });
    } else {
      this.#broken(flowing ? 'upstream answered inside mail data' : 'upstream sent a surplus reply');
    }
  }

  #broken(what: string): void {
    this.#endNow(replies.UPSTREAM_PROTOCOL, { origin: 'upstream', what });
  }

  // ---------------------------------------------------------------- small moves

  get #offersCodes(): boolean {
    return this.#offered.has('ENHANCEDSTATUSCODES');
  }

  #question(
    protocolState: Question['protocolState'],
    sender: string,
    senderAddress: Question['senderAddress'],
    recipient: string,
    addresses: Question['addresses'],
  ): Question {
    const { helo, login } = this;
    return { protocolState, helo, login, tls: false, sender, senderAddress, recipient, addresses };
  }

  #ask(question: Question, decided: (decision: Decision) => void): void {
    const decision = this.#wire.judge(question);
    if (decision !== null) {
      decided(decision);
      return;
    }
    this.#hold = HOLD_JUDGE;
    this.#decided = decided;
  }

  #expect(kind: number): void {
    this.#queue.expect(kind | (this.#transaction.number << 8));
  }

  #forward(line: Buffer, kind: number): void {
    this.#up.add(line);
    this.#expect(kind);
    if (!this.#offered.has('PIPELINING')) this.#hold = HOLD_REPLIES;
    else if (this.#queue.length >= QUEUE_LIMIT) this.#hold = HOLD_QUEUE;
  }

  #forwardAndHold(line: Buffer, kind: number): void {
    this.#forward(line, kind);
    this.#hold = HOLD_REPLIES;
  }

  /** Runs `then` when every reply before it is in: now, or later with the client held meanwhile. */
  #behindReplies(then: () => void): void {
    if (this.#queue.outstanding === 0) {
      then();
      return;
    }
    this.#hold = HOLD_REPLIES;
    this.#resumeWith = then;
  }

  #release(): void {
    const over =
      (this.#hold === HOLD_REPLIES && this.#queue.outstanding === 0) ||
      (this.#hold === HOLD_QUEUE && this.#queue.length <= QUEUE_LOW);
    if (!over) return;
    this.#hold = RUN;
    const then = this.#resumeWith;
    this.#resumeWith = null;
    then?.();
    this.#resume();
  }

  #say(own: OwnReply, fill: replies.Fill = {}): void {
    this.#put(formatReply(own, this.#offersCodes, fill));
  }

  /** Puts a reply of ours in its place: now, or behind the replies that the upstream owes. */
  #put(bytes: Buffer): void {
    if (this.#queue.isEmpty) {
      this.#down.add(bytes);
      return;
    }
    this.#queue.say(bytes);
    if (this.#queue.length >= QUEUE_LIMIT) this.#hold = HOLD_QUEUE;
  }

  /** Refuses what breaks the grammar or the order of commands; too many of these end the session. */
  #refuse(own: OwnReply, fill: replies.Fill = {}): void {
    if (!this.#isError()) this.#say(own, fill);
  }

  /** Counts an error; true when it was one too many and the session is closing. */
  #isError(): boolean {
    return (
      ++this.#errors > this.#profile.limits.errors &&
      this.#exceeds('errors') &&
      this.#closeWith(replies.TOO_MANY_ERRORS, { origin: 'policy', what: 'too many errors' })
    );
  }

  /** Counts a command that leads to no mail; true when it was one too many and the session is closing. */
  #isJunk(): boolean {
    return (
      ++this.#junk > this.#profile.limits.junkCommands &&
      this.#exceeds('junk_commands') &&
      this.#closeWith(replies.TOO_MANY_COMMANDS, { origin: 'policy', what: 'too many commands without mail' })
    );
  }

  /** Says that a limit was passed; true where it is enforced. */
  #exceeds(key: string): boolean {
    this.#wire.event({ name: 'limited', kind: 'session', key });
    return this.#profile.mode === 'enforce';
  }

  /** Ends the session with a reply of ours, in its turn. Always true. */
  #closeWith(own: OwnReply, reason: CloseReason): true {
    this.#say(own);
    this.#close(reason);
    return true;
  }

  /** Ends the session when the replies in the queue are out; the client is read no more. */
  #close(reason: CloseReason): void {
    this.#mode = CLOSING;
    this.#closing = reason;
    this.#later = [];
  }

  /** Ends both connections now; the upstream hears nothing more, the client `own` if given. */
  #endNow(own: OwnReply | null, reason: CloseReason): void {
    if (this.#mode === CLOSED) return;
    // Before the first EHLO it carries its code all the same, as Exchange's and Postfix's do at the door.
    if (own !== null) this.#down.add(formatReply(own, this.#offersCodes || this.#helo === ''));
    this.#mode = CLOSED;
    this.#later = [];
    this.#up.flush(); // approved, and gone already had the chunk been cut here
    this.#down.flush();
    this.#wire.close(reason);
  }

  /** Behind every step: what is due goes out, and whoever waits for a quiet moment gets it. */
  #settle(): void {
    if (this.#mode === CLOSED) return;
    this.#up.flush();
    if (this.#closing !== null && this.#queue.isEmpty) {
      this.#endNow(null, this.#closing);
      return;
    }
    const quiet = this.#hold === RUN && this.#queue.isEmpty && this.#mode !== CLOSING;
    const idle = quiet && this.#mode === COMMAND && this.#transaction.state === NONE;
    if (this.#draining && (idle || this.#hold === HOLD_GREETING)) {
      this.#endNow(replies.SHUTTING_DOWN, { origin: 'operator', what: 'drained' });
      return;
    }
    const cutShort = this.#mode !== COMMAND && this.#mode < CLOSING && this.#hold === RUN;
    const neverBegan = this.#hold === HOLD_GREETING && this.#later.length === 0;
    if (this.#clientEnded && (quiet || cutShort || neverBegan)) {
      this.#endNow(null, { origin: 'client', what: `client closed while awaiting ${DOING[this.doing]}` });
      return;
    }
    this.#down.flush();
    const held = this.#hold !== RUN && this.#later.length > 0;
    if (held !== this.#held) {
      this.#held = held;
      this.#wire.hold(held);
    }
  }
}

// Executed only when every reply before them is in (RFC 2920 §3.1, protocol.md 1.3).
const WAITS = new Set<string>(
  'EHLO HELO DATA BDAT AUTH X-EXPS VRFY EXPN HELP QUIT XEXCH50 X-LINK2STATE XRDST XSHADOW XQDISCARD'.split(' '),
);
const MAY_FOLLOW_BDAT = new Set<string>(['BDAT', 'bad BDAT', 'RSET', 'NOOP', 'QUIT']); // RFC 3030 §2

const REFUSALS = {
  unknown: replies.UNKNOWN_COMMAND,
  unavailable: replies.NOT_AVAILABLE,
  'bad argument': replies.BAD_ARGUMENT,
  'bad sender': replies.BAD_SENDER,
  'bad parameter': replies.BAD_PARAMETER,
} as const;

/** What the client hears when the upstream is lost: 451 where a message may or may not have been taken. */
function lossReply(doing: number): OwnReply {
  if (doing === AWAITING_GREETING) return replies.UPSTREAM_UNAVAILABLE;
  return doing === AWAITING_CONFIRMATION ? replies.MESSAGE_NOT_CONFIRMED : replies.UPSTREAM_LOST;
}
