// The dialogue: one client, one upstream, and the firewall between them. Pure: bytes in, bytes out, no socket, no clock.
//
// The two directions are one machine. Client octets are commands until the *upstream's reply* says otherwise: 354 opens
// mail data only as the answer to DATA, 334 a login only as the answer to AUTH. So after every command that may change
// the mode, the client's next octets are held until the reply is in (protocol.md 1.2, 1.3). Only MAIL, RCPT and RSET
// are passed on in a pipeline, and only to an upstream that offered PIPELINING.
//
//      client octets ──► line ──► command ──► its turn? ──► judged? ──► forwarded, reply expected
//                                    │           │            │
//                                    └───────────┴────────────┴──────► our reply, in its place in the queue
//      upstream octets ──► whole reply ──► the one expected? ──► mode, transaction, capabilities ──► client
//
// Behind a STARTTLS that ends here the driver holds the handshake and the session begins anew; behind one that goes
// through, octets pass both ways unread (starttls.ts).
//
// What is forwarded is the very memory that was received; only an unfinished line is copied. Whatever does not fit – a
// surplus reply, a 3yz to the wrong verb, a line that ends in a bare LF – ends both connections: after that nobody knows
// what the other side reads. Not here: who may relay (the Wire's judge), time (the driver calls expire), sockets.

import { broken, takeOpaque, takeReply } from './answers.ts';
import { ClientOctets } from './client-octets.ts';
import {
  CLOSED,
  CLOSING,
  COMMAND,
  COUNTED,
  Dialogue,
  HOLD_EARLY,
  HOLD_GREETING,
  HOLD_JUDGE,
  HOLD_QUEUE,
  HOLD_REPLIES,
  HOLD_TLS,
  MAIL_DATA,
  OPAQUE,
  QUIT,
  RUN,
  SWALLOWED,
  TO_DATA,
  TO_END,
  TO_QUIT,
} from './dialogue.ts';
import * as replies from './replies.ts';
import { INCOMPLETE, MALFORMED, ReplyReader } from './reply.ts';
import { readSaid } from './said.ts';
import { beginAnew } from './starttls.ts';
import { NONE } from './transaction.ts';
import type { CloseReason, Decision, Forwarding, OwnReply, Profile, Wire } from './types.ts';

/** What a session is waiting for, in `doing`: the driver's timers and the log go by it. */
export const DOING = [
  ...['greeting', 'command', 'reply', 'go-ahead', 'mail data', 'confirmation', 'decision', 'nothing'],
  ...['TLS handshake', 'opaque octets'],
];
export const AWAITING_GREETING = 0;
export const AWAITING_COMMAND = 1;
export const AWAITING_REPLY = 2;
export const AWAITING_GO_AHEAD = 3; // the 354
export const AWAITING_MAIL_DATA = 4;
export const AWAITING_CONFIRMATION = 5; // the reply to the end of mail data
export const AWAITING_DECISION = 6;
export const DONE = 7;
export const AWAITING_HANDSHAKE = 8; // the driver's
export const AWAITING_OPAQUE = 9; // of either side: nothing is read any more

// HOLD_EARLY takes the place of these; the others end by another word than the upstream's, which looks again.
const RUNS_OR_WILL = new Set([RUN, HOLD_REPLIES, HOLD_QUEUE]);

export { QUIT } from './dialogue.ts';

export class Session {
  readonly #dialogue: Dialogue;
  readonly #client: ClientOctets;
  readonly #replies = new ReplyReader();
  #held = false; // what the driver was told
  #securing = false; // likewise
  #clientEnded = false;

  /** `clientAddress` fills {client_address} in replies. `names`: what a verified client certificate names, where the client
   * has come through TLS from the start; null in clear text. */
  constructor(wire: Wire, profile: Profile, clientAddress: string, names: readonly string[] | null) {
    this.#dialogue = new Dialogue(wire, profile, clientAddress, names);
    this.#client = new ClientOctets(this.#dialogue);
  }

  /** The name of the last EHLO or HELO, for the log: accepted or not; '' before it. */
  get helo(): string {
    return this.#dialogue.hello ?? '';
  }

  /** The verb of the last command, for the operator; '' before it, and where it may be part of a login. */
  get verb(): string {
    return readSaid(this.#dialogue.said, true).verb;
  }

  /** Who has logged in; null: nobody, or by a name that cannot be known. */
  get loginName(): string | null {
    return this.#dialogue.login?.name ?? null;
  }

  /** By a verified client certificate. */
  get isNamed(): boolean {
    return this.#dialogue.tlsSubject.length > 0;
  }

  /** Grows with every command while one is awaited, else with every reply: a driver sees by it that a wait is a new one.
   * What a client says meanwhile does not lengthen the upstream's time. */
  get progress(): number {
    return this.doing === AWAITING_COMMAND ? this.#dialogue.commands : this.#dialogue.replies;
  }

  /** The client's octets are mail data, and none of them waits here. */
  get inMailData(): boolean {
    const { mode, reads } = this.#dialogue;
    return (mode === MAIL_DATA || mode === COUNTED) && reads && !this.#client.isWaiting;
  }

  /** The next octets, so many, are mail data: of DATA, as far as can be told before they are read. */
  isMailData(octets: number): boolean {
    return this.inMailData && (this.#dialogue.mode === MAIL_DATA || octets <= this.#dialogue.left);
  }

  /** What the session waits for: one of AWAITING_… or DONE. */
  get doing(): number {
    const { mode, hold, queue } = this.#dialogue;
    if (mode === CLOSED) return DONE;
    if (hold === HOLD_GREETING) return AWAITING_GREETING;
    if (hold === HOLD_JUDGE) return AWAITING_DECISION;
    if (hold === HOLD_TLS) return AWAITING_HANDSHAKE;
    if (mode === OPAQUE) return AWAITING_OPAQUE;
    if (mode === MAIL_DATA || mode === COUNTED || mode === SWALLOWED) return AWAITING_MAIL_DATA;
    const owed = queue.peek();
    if (owed === -1) return AWAITING_COMMAND;
    const kind = owed & 0xff;
    return kind === TO_DATA ? AWAITING_GO_AHEAD : kind === TO_END ? AWAITING_CONFIRMATION : AWAITING_REPLY;
  }

  /** The next move is the upstream's: not the client's, nor the judge's. */
  get waitsForUpstream(): boolean {
    const { doing } = this;
    return doing <= AWAITING_CONFIRMATION && doing !== AWAITING_COMMAND && doing !== AWAITING_MAIL_DATA;
  }

  /** It has had its turn: nothing of the client is read until `goOn`, which the driver calls when others have had theirs
   * and the client has taken what it was sent. */
  get hasHadItsTurn(): boolean {
    return this.#dialogue.hasHadItsTurn && this.#dialogue.mode !== CLOSED;
  }

  /** Its next turn. */
  goOn(): void {
    const dialogue = this.#dialogue;
    dialogue.hasHadItsTurn = false;
    dialogue.beginTurn();
    this.#client.resume();
    this.#settle();
  }

  /** Takes octets of the client. Pieces of the chunk may be handed to Wire.toUpstream as they are; behind the call none is kept. */
  fromClient(chunk: Buffer): void {
    const { hold, mode, profile } = this.#dialogue;
    if (mode >= CLOSING) return;
    if (hold === HOLD_GREETING && profile.earlyTalker === 'reject') {
      const key = 'early_talker';
      this.#dialogue.said = firstLine(chunk);
      this.#dialogue.tellRefused(replies.SPOKE_TOO_EARLY, key);
      this.#dialogue.endNow(replies.SPOKE_TOO_EARLY, {
        origin: 'policy',
        what: 'client spoke before the greeting',
        key,
      });
      return;
    }
    this.#dialogue.beginTurn();
    this.#client.take(chunk);
    this.#settle();
  }

  /** From now on the upstream is told with every MAIL who the client is. */
  forwardIdentity(forwarding: Forwarding): void {
    this.#dialogue.forwarding = forwarding;
  }

  /** The server has heard an EHLO already, and this was its answer: should it take no other one, the client gets this. */
  serverHasHeardEhlo(list: Buffer): void {
    this.#dialogue.earlierList = list;
  }

  /** Takes octets of the upstream. */
  fromUpstream(chunk: Buffer): void {
    const dialogue = this.#dialogue;
    let at = 0;
    while (at < chunk.length && dialogue.mode !== CLOSED) {
      if (dialogue.mode === OPAQUE) {
        takeOpaque(dialogue, chunk.subarray(at));
        break;
      }
      const found = this.#replies.next(chunk, at);
      if (found === INCOMPLETE) {
        if (this.#isUncalledFor && RUNS_OR_WILL.has(dialogue.hold)) dialogue.hold = HOLD_EARLY;
        break;
      }
      if (found === MALFORMED) {
        broken(dialogue, 'upstream sent a malformed reply');
        return;
      }
      at = this.#replies.end;
      takeReply(dialogue, this.#replies.code, this.#replies.bytes);
    }
    // Only now goes on what waited: a reply that came with these and answers nothing is a surplus one, and seen as such.
    if (dialogue.mode === OPAQUE && !dialogue.tunnelUsed && this.#client.isWaiting) this.#endInClear();
    if (dialogue.mode !== CLOSED) {
      dialogue.beginTurn();
      dialogue.release();
      this.#client.resume();
    }
    this.#settle();
  }

  /** The handshake that Wire.secureClient asked for is complete. `names`: those of a verified client certificate. */
  clientSecured(names: readonly string[]): void {
    const dialogue = this.#dialogue;
    if (dialogue.mode === CLOSED || !this.#securing) return;
    this.#securing = false;
    beginAnew(dialogue, names);
    if (this.#isUncalledFor) dialogue.hold = HOLD_EARLY;
    this.#settle();
  }

  /** The handshake that Wire.secureClient asked for came to nothing. `why` and `key` are for the log. */
  handshakeFailed(why: string, key?: string): void {
    this.#dialogue.endNow(null, { origin: 'client', what: 'TLS handshake failed', cause: why, key });
  }

  /** The decision that Wire.judge owed. */
  judged(decision: Decision): void {
    const dialogue = this.#dialogue;
    const { decided } = dialogue;
    if (dialogue.mode === CLOSED || decided === null) return;
    dialogue.decided = null;
    dialogue.beginTurn();
    dialogue.hold = this.#isUncalledFor ? HOLD_EARLY : RUN;
    if (dialogue.hold === RUN) {
      decided(decision);
      this.#client.resume();
    }
    this.#settle();
  }

  /** The client sent FIN: it may still read (RFC 5321 §3.8 asks for QUIT; many do without). */
  clientEnded(): void {
    this.#clientEnded = true;
    this.#settle();
  }

  /** The client is gone. */
  clientLost(): void {
    this.#dialogue.endNow(null, { origin: 'client', what: `client was lost while awaiting ${DOING[this.doing]}` });
  }

  /** The upstream closed, or cannot be reached. */
  upstreamEnded(): void {
    if ((this.#dialogue.queue.peek() & 0xff) === TO_QUIT) {
      this.#dialogue.endNow(null, QUIT);
      return;
    }
    const { doing } = this;
    const what =
      doing === AWAITING_GREETING
        ? 'upstream cannot be reached, or closed before its greeting'
        : `upstream closed while awaiting ${DOING[doing]}`;
    this.#dialogue.endNow(lossReply(doing), { origin: 'upstream', what });
  }

  /** This machine lacked what a connection needs: no fault of the upstream's. `code`: the system's. */
  cannotDial(code: string): void {
    const what = 'this machine was short of what a connection needs';
    this.#dialogue.endNow(replies.UPSTREAM_UNAVAILABLE, { origin: 'operator', what, cause: code });
  }

  /** A time-out or deadline passed; `key` names it. */
  expire(key?: string): void {
    const { doing } = this;
    const waitsForClient = doing === AWAITING_COMMAND || doing === AWAITING_MAIL_DATA || doing === AWAITING_OPAQUE;
    this.#dialogue.endNow(waitsForClient ? replies.CLIENT_TIMEOUT : lossReply(doing), {
      origin: waitsForClient ? 'client' : 'upstream',
      what: `timeout while awaiting ${DOING[doing]}`,
      key,
    });
  }

  /** Ends with this 421 as soon as no transaction is under way. */
  drain(own = replies.SHUTTING_DOWN, reason: CloseReason = { origin: 'operator', what: 'drained' }): void {
    this.#dialogue.ending ??= { own, reason };
    this.#settle();
  }

  /** What waited in the tarpit is out. */
  waited(): void {
    this.#dialogue.stalled = false;
    this.#dialogue.beginTurn();
    this.#client.resume();
    this.#settle();
  }

  /** Ends with 421 now. */
  shutDown(): void {
    this.#dialogue.endNow(replies.SHUTTING_DOWN, { origin: 'operator', what: 'shut down' });
  }

  /** A reply that nobody asked for has begun: nothing more goes up, or its end would be the answer to that. */
  get #isUncalledFor(): boolean {
    const { mode, queue } = this.#dialogue;
    return this.#replies.isPartial && (mode === COUNTED || queue.isEmpty); // in mail data of DATA it is empty
  }

  /** Behind every step: what is due goes out, and whoever waits for a quiet moment gets it. */
  #settle(): void {
    const dialogue = this.#dialogue;
    if (dialogue.mode === CLOSED) return;
    dialogue.up.flush();
    if (dialogue.closing !== null && dialogue.queue.isEmpty && !dialogue.stalled) {
      dialogue.endNow(null, dialogue.closing);
      return;
    }
    if (dialogue.hold === HOLD_TLS) {
      this.#secure();
      return;
    }
    const reads = dialogue.reads && dialogue.mode < CLOSING;
    const quiet = reads && dialogue.queue.isEmpty;
    const greetless = dialogue.hold === HOLD_GREETING;
    const idle = quiet && dialogue.mode === COMMAND && dialogue.transaction.state === NONE;
    if (dialogue.ending !== null && (idle || greetless)) {
      dialogue.endNow(dialogue.ending.own, dialogue.ending.reason);
      return;
    }
    const cutShort = reads && dialogue.mode !== COMMAND; // inside mail data or a login: nothing is made up
    if (this.#clientEnded && (quiet || cutShort || (greetless && !this.#client.isWaiting))) {
      dialogue.endNow(null, { origin: 'client', what: `client closed while awaiting ${DOING[this.doing]}` });
      return;
    }
    dialogue.down.flush();
    this.#tellHold(!dialogue.reads && this.#client.isWaiting);
  }

  #tellHold(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    this.#dialogue.wire.hold(held);
  }

  /** The 220 to a STARTTLS goes out, and nothing in clear text may have come behind the command. */
  #secure(): void {
    const dialogue = this.#dialogue;
    dialogue.down.flush();
    if (this.#client.isWaiting) {
      this.#endInClear();
    } else if (this.#clientEnded) {
      this.clientLost();
    } else if (!this.#securing) {
      this.#securing = true;
      this.#tellHold(false); // what still waits outside was said in clear text as well
      dialogue.wire.secureClient();
    }
  }

  /** CVE-2011-0411: whoever said it, it is not heard. */
  #endInClear(): void {
    this.#dialogue.endNow(null, { origin: 'policy', what: 'octets in clear text behind STARTTLS' });
  }
}

/** What a client said, for the log: its first line, or the signature of a PROXY header of version 2. */
function firstLine(chunk: Buffer): string {
  const text = chunk.toString('latin1', 0, 256);
  return text.startsWith('\r\n\r\n\0') ? 'PROXY (version 2)' : (text.split('\r\n', 1)[0] as string);
}

/** What the client hears when the upstream is lost: 451 where a message may or may not have been taken. */
function lossReply(doing: number): OwnReply {
  if (doing === AWAITING_GREETING) return replies.UPSTREAM_UNAVAILABLE;
  return doing === AWAITING_CONFIRMATION ? replies.MESSAGE_NOT_CONFIRMED : replies.UPSTREAM_LOST;
}
