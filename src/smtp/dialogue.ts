// The state of one session that its two sides share, and the small moves both make on it.
//
// The client's octets (client-octets.ts) become commands (execute.ts, login.ts), the upstream's become replies
// (answers.ts); what each does to the other is written here, and session.ts is the way into it all. Fields are public
// within this folder and nowhere else. Every queue entry, every reply of ours and every end passes through these moves,
// so that order (RFC 2920 §3.2) and the limits have one home.

import { Spans } from './bytes.ts';
import { type Capabilities, NO_CAPABILITIES } from './capabilities.ts';
import type { MailData } from './mail-data.ts';
import * as replies from './replies.ts';
import { formatReply, replyLine, replyText } from './replies.ts';
import { ReplyQueue } from './reply-queue.ts';
import { readSaid } from './said.ts';
import type { SaslExchange } from './sasl.ts';
import { NONE, SURELY, Transaction } from './transaction.ts';
import type { CloseReason, Decision, Forwarding, Login, OwnReply, Profile, Question, Wire } from './types.ts';

// What the client's next octets are.
export const COMMAND = 0; //   lines that end in CRLF
export const MAIL_DATA = 1; // everything up to CRLF . CRLF
export const COUNTED = 2; //   exactly `left` octets for the upstream: a BDAT chunk, an XEXCH50 blob
export const SWALLOWED = 3; // exactly `left` octets of a BDAT that we refused
export const SASL = 4; //      one response line of a login
export const DISCARDED = 5; // the rest of an over-long line
export const OPAQUE = 6; //    whatever it is: a STARTTLS went through, nothing is read any more
export const CLOSING = 7; //   nothing: a last reply of ours is in the queue
export const CLOSED = 8;

// Why the client's octets are not read now.
export const RUN = 0;
export const HOLD_GREETING = 1; // the upstream has not greeted
export const HOLD_REPLIES = 2; //  until every outstanding reply is in
export const HOLD_QUEUE = 3; //    too many replies outstanding
export const HOLD_JUDGE = 4; //    a decision is on its way
export const HOLD_EARLY = 5; //    the upstream began to answer inside mail data: it may be reading commands already
export const HOLD_TLS = 6; //      the client's TLS handshake is due

// One turn of a session: who sends commands without end, or does not read what they are answered, gives way to others.
const TURN_COMMANDS = 32; // some 0.3 ms
const TURN_OCTETS = 64 * 1024; // for the client

const FIVE = 0x35; // '5', the first octet of every permanent refusal

// What a reply is the answer to: the low octet of a queue entry. The transaction's number stands above it.
export const TO_PLAIN = 0; // NOOP, VRFY, HELP …: nothing hangs on the answer
export const TO_EHLO = 1;
export const TO_HELO = 2;
export const TO_MAIL = 3;
export const TO_RCPT = 4;
export const TO_DATA = 5;
export const TO_END = 6; // end of mail data, or BDAT LAST
export const TO_BDAT = 7;
export const TO_AUTH = 8;
export const TO_QUIT = 9;
export const TO_XEXCH50 = 10;
export const TO_OURS = 11; // a command that the client has not sent: it never hears the answer
export const TO_STARTTLS = 12; // passthrough
export const TO_RSET = 13; // of the client, in a transaction
export const TO_OUR_RSET = 14;
export const TO_MAIL_IN_DOUBT = 15; // a MAIL while the server may or may not hold another transaction

/** How a session ends whose QUIT was answered. */
export const QUIT: CloseReason = { origin: 'client', what: 'quit' };

const RSET = Buffer.from('RSET\r\n', 'latin1');

export class Dialogue {
  readonly wire: Wire;
  readonly profile: Profile;
  readonly clientAddress: string;
  readonly up: Spans;
  readonly down: Spans;
  readonly queue = new ReplyQueue();
  readonly transaction = new Transaction();

  mode = COMMAND;
  hold = HOLD_GREETING;
  resumeWith: (() => void) | null = null; // a command that waits for the replies before it
  takenInDoubt: (() => void) | null = null; // when the MAIL in doubt is accepted
  decided: ((decision: Decision) => void) | null = null;
  closing: CloseReason | null = null;
  /** What is said, and why, at the next boundary between transactions. */
  ending: { readonly own: OwnReply; readonly reason: CloseReason } | null = null;
  stalled = false; // a reply is in the tarpit: nothing is read until it is out
  hasHadItsTurn = false; // nothing is read until the driver gives it another one
  commands = 0; // so far
  replies = 0;
  said = ''; // the last command line, for the log; latin-1
  triedLogin = false; // what is said from here on may be a part of one

  mailData: MailData | null = null;
  left = 0; // octets, in COUNTED and SWALLOWED
  afterCounted = TO_BDAT;
  afterSwallowed: OwnReply = replies.NO_RECIPIENTS;
  lastSwallowed = false;

  hello: string | null = null; // the name of the last one said, accepted or not
  // What the server accepted (RFC 5321 §4.1.4: what a refused EHLO or HELO asked for did not happen).
  offered: Capabilities = NO_CAPABILITIES;
  helo = '';
  extended = false; // by EHLO
  bearsCodes = false; // a reply of the server had an enhanced code, offered or not
  list: Buffer | null = null; // the server's whole answer to the last EHLO, where it may be needed once more
  earlierList: Buffer | null = null; // the same, heard before a client had to greet (anew): some servers take EHLO once
  forwarding: Forwarding | null = null;
  tls: boolean; // the client's side is encrypted
  tlsSubject: readonly string[];
  mustGreet = false; // a handshake voided what was said before it: EHLO or HELO must come again
  exchange: SaslExchange | null = null;
  login: Login | null = null;
  ended: Pick<Transaction, 'number' | 'sender' | 'octets'> | null = null; // the message whose answer is owed
  tunnelUsed = false; // OPAQUE, and the client has spoken in it: a TLS server never speaks first
  opaque = false; // a security layer may have been agreed on: a wrapped token begins with a NUL

  #turnEndsAt = TURN_COMMANDS; // in `commands`
  #turnOctets = 0;

  errors = 0;
  junk = 0;
  messages = 0;
  failedLogins = 0;

  /** `names`: those of a verified client certificate, where TLS came before all else; null in clear text. */
  constructor(wire: Wire, profile: Profile, clientAddress: string, names: readonly string[] | null) {
    this.wire = wire;
    this.profile = profile;
    this.clientAddress = clientAddress;
    this.tls = names !== null;
    this.tlsSubject = names ?? [];
    this.up = new Spans((bytes) => wire.toUpstream(bytes));
    this.down = new Spans((bytes) => wire.toClient(bytes));
  }

  get reads(): boolean {
    return this.hold === RUN && !this.stalled && !this.hasHadItsTurn;
  }

  /** A command line, or what stands for one, was taken. */
  countCommand(): void {
    if (++this.commands >= this.#turnEndsAt) this.hasHadItsTurn = true;
  }

  /** Whoever has had its turn reads on when the driver gives it the next one, and not before. */
  beginTurn(): void {
    this.#turnEndsAt = this.commands + TURN_COMMANDS;
    this.#turnOctets = 0;
  }

  get offersCodes(): boolean {
    return this.bearsCodes || this.offered.has('ENHANCEDSTATUSCODES');
  }

  question(
    protocolState: Question['protocolState'],
    sender: string,
    senderAddress: Question['senderAddress'],
    recipient: string,
    addresses: Question['addresses'],
  ): Question {
    const { helo, login, tls, tlsSubject } = this;
    const { number: transaction } = this.transaction;
    return { protocolState, transaction, helo, login, tls, tlsSubject, sender, senderAddress, recipient, addresses };
  }

  ask(question: Question, decided: (decision: Decision) => void): void {
    const decision = this.wire.judge(question);
    if (decision !== null) decided(decision);
    else this.await(decided);
  }

  /** The judge owes a decision. */
  await(decided: (decision: Decision) => void): void {
    this.hold = HOLD_JUDGE;
    this.decided = decided;
  }

  expect(kind: number): void {
    this.queue.expect(kind | (this.transaction.number << 8));
  }

  forward(line: Buffer, kind: number): void {
    this.up.add(line);
    this.expect(kind);
    if (!this.offered.has('PIPELINING')) this.hold = HOLD_REPLIES;
    else if (this.queue.isFull) this.hold = HOLD_QUEUE;
  }

  forwardAndHold(line: Buffer, kind: number): void {
    this.forward(line, kind);
    this.hold = HOLD_REPLIES;
  }

  /** Says commands of our own to the upstream, in front of the client's next one, which `then` forwards. Their replies are
   * swallowed, whatever they are; one at a time where the upstream did not offer PIPELINING. */
  interject(lines: readonly Buffer[], then: () => void): void {
    const [line, ...rest] = lines;
    if (line === undefined) {
      then();
      return;
    }
    this.forward(line, TO_OURS);
    if (this.hold === HOLD_REPLIES) this.resumeWith = () => this.interject(rest, then);
    else this.interject(rest, then);
  }

  /** Makes sure that the server holds no transaction, whatever it thinks of what was said, and `then` goes on. */
  resetUpstream(then: () => void): void {
    this.transaction.reset();
    this.forwardAndHold(RSET, TO_OUR_RSET);
    this.resumeWith = then;
  }

  /** Runs `then` when every reply before it is in: now, or later with the client held meanwhile. */
  behindReplies(then: () => void): void {
    if (this.queue.outstanding === 0) {
      then();
      return;
    }
    this.hold = HOLD_REPLIES;
    this.resumeWith = then;
  }

  release(): void {
    const over =
      (this.hold === HOLD_REPLIES && this.queue.outstanding === 0) ||
      (this.hold === HOLD_QUEUE && this.queue.isHalfEmpty);
    if (!over) return;
    this.hold = RUN;
    const then = this.resumeWith;
    this.resumeWith = null;
    then?.();
  }

  /** A reply of ours as the client would read it, its placeholders filled. */
  text(own: OwnReply, recipient = '', sender = ''): string {
    return replyText(own, this.offersCodes, { recipient, sender, client_address: this.clientAddress });
  }

  say(own: OwnReply): void {
    this.put(replyLine(this.text(own)));
  }

  /** A reply on its way to the client, by way of the tarpit if it is a 5yz to somebody who has not logged in. */
  deliver(bytes: Buffer): void {
    if (bytes[0] === FIVE && this.login === null && this.profile.tarpit > 0) {
      this.down.flush();
      this.wire.tarpit();
      this.stalled = true;
    }
    this.down.add(bytes);
    this.#turnOctets += bytes.length;
    if (this.#turnOctets >= TURN_OCTETS) this.hasHadItsTurn = true;
  }

  /** Puts a reply of ours in its place: now, or behind the replies that the upstream owes. */
  put(bytes: Buffer): void {
    if (this.queue.isEmpty) {
      this.deliver(bytes);
      return;
    }
    this.queue.say(bytes);
    if (this.queue.isFull) this.hold = HOLD_QUEUE;
  }

  /** Refuses what breaks the grammar or the order of commands; too many of these end the session. `key`: the setting that
   * is the cause. */
  refuse(own: OwnReply, key: string | null = null): void {
    this.tellRefused(own, key);
    if (!this.isError()) this.say(own);
  }

  /** For the log: the last command line is answered by us, with this. */
  tellRefused(own: OwnReply, key: string | null = null): void {
    const { verb, text: said, login } = readSaid(this.said, this.triedLogin);
    this.triedLogin ||= login;
    const reply = this.text(own);
    this.wire.event({ name: 'refused', verb, said, reply, key });
  }

  /** Counts an error; true when it was one too many and the session is closing. */
  isError(): boolean {
    return (
      ++this.errors > this.profile.limits.errors &&
      this.exceeds('errors') &&
      this.closeWith(replies.TOO_MANY_ERRORS, {
        origin: 'policy',
        what: 'too many errors',
        key: 'limits.session.errors',
      })
    );
  }

  /** Counts a command that leads to no mail; true when it was one too many and the session is closing. */
  isJunk(): boolean {
    return (
      ++this.junk > this.profile.limits.junkCommands &&
      this.exceeds('junk_commands') &&
      this.closeWith(replies.TOO_MANY_COMMANDS, {
        origin: 'policy',
        what: 'too many commands without mail',
        key: 'limits.session.junk_commands',
      })
    );
  }

  /** Says that a limit was passed; true where it is enforced. */
  exceeds(key: string): boolean {
    const enforced = this.profile.mode === 'enforce';
    this.wire.event({ name: 'limited', kind: 'session', key, ...(enforced ? {} : { observed: true }) });
    return enforced;
  }

  /** Ends the session with a reply of ours, in its turn. Always true. */
  closeWith(own: OwnReply, reason: CloseReason): true {
    this.say(own);
    this.close(reason);
    return true;
  }

  /** Ends the session when the replies in the queue are out; the client is read no more. */
  close(reason: CloseReason): void {
    this.mode = CLOSING;
    this.closing = reason;
  }

  /** Ends both connections now; the upstream hears nothing more, the client `own` if given. */
  endNow(own: OwnReply | null, reason: CloseReason): void {
    if (this.mode === CLOSED) return;
    // In a handshake and in a stream that we do not read, words of ours would be noise.
    if (this.hold === HOLD_TLS) this.down.drop();
    const mute = this.hold === HOLD_TLS || this.mode === OPAQUE;
    // Before the first EHLO it carries its code all the same, as Exchange's and Postfix's do at connection time.
    const fill = { client_address: this.clientAddress };
    if (own !== null && !mute) this.down.add(formatReply(own, this.offersCodes || this.hello === null, fill));
    this.mode = CLOSED;
    this.up.flush(); // approved, and gone already had the chunk been cut here
    this.down.flush();
    this.wire.close(reason);
  }

  /** Mail data on its way, as long as the message is not too large. The rest is read to its end and thrown away, so that
   * the client hears why; the upstream, which gets no end, drops its half. */
  sendMailData(bytes: Buffer): void {
    const { transaction, profile } = this;
    const before = transaction.octets;
    transaction.octets += bytes.length;
    this.wire.event({ name: 'octets', octets: bytes.length });
    const limit = profile.maxMessageSize;
    if (before <= limit && transaction.octets > limit && this.exceeds('max_message_size')) {
      transaction.tooLarge = true;
      this.up.add(bytes.subarray(0, limit - before));
    } else if (!transaction.tooLarge) {
      this.up.add(bytes);
    }
  }

  /** All of a message is on its way, so its transaction is over; what its answer is about is kept for the log. */
  messageEnded(): void {
    const { number, sender, octets } = this.transaction;
    this.ended = { number, sender, octets };
    this.transaction.reset();
  }

  /** The counted octets are through: what follows is commands again. */
  countedEnded(): void {
    const wasSwallowed = this.mode === SWALLOWED;
    this.mode = COMMAND;
    if (wasSwallowed) {
      this.say(this.afterSwallowed);
      // RFC 3030 §2: LAST ends it, refused or not, so MAIL may come; the server has not heard of it.
      const { transaction } = this;
      if (this.lastSwallowed && transaction.state !== NONE && !transaction.chunking) transaction.remains = SURELY;
      return;
    }
    if (this.afterCounted === TO_XEXCH50) this.expect(TO_PLAIN);
    else if (this.afterCounted === TO_END) this.messageEnded();
    this.hold = HOLD_REPLIES;
  }
}
