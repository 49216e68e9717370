// What the upstream's replies mean: each is the answer to one command, and only it changes the mode (protocol.md 1.2, 1.9).
//
// A reply that nobody asked for, of the wrong class, or in the middle of mail data ends both connections: the upstream may
// be reading commands already, and whatever we sent next could be one.

import { filterEhlo, NO_CAPABILITIES, onlyFirstLine } from './capabilities.ts';
import {
  CLOSED,
  COUNTED,
  type Dialogue,
  HOLD_GREETING,
  MAIL_DATA,
  QUIT,
  RUN,
  TO_AUTH,
  TO_BDAT,
  TO_DATA,
  TO_EHLO,
  TO_END,
  TO_HELO,
  TO_MAIL,
  TO_MAIL_IN_DOUBT,
  TO_OUR_RSET,
  TO_OURS,
  TO_QUIT,
  TO_RCPT,
  TO_RSET,
  TO_STARTTLS,
  TO_XEXCH50,
} from './dialogue.ts';
import { authAnswered } from './login.ts';
import { MailData } from './mail-data.ts';
import * as replies from './replies.ts';
import { openTunnel } from './starttls.ts';
import { NOTHING, OPEN, PERHAPS, SELDOM } from './transaction.ts';
import type { AnsweredCommand, ReplyClass, SessionEvent } from './types.ts';

/** Takes one whole reply of the upstream: is it the one that is owed, and what does it change? */
export function takeReply(dialogue: Dialogue, code: number, bytes: Buffer): void {
  dialogue.replies++;
  if (dialogue.hold === HOLD_GREETING) {
    greeting(dialogue, code, bytes);
    return;
  }
  dialogue.bearsCodes ||= dialogue.hello !== null && bearsCode(bytes);
  const owed = dialogue.queue.peek();
  const flowing = dialogue.mode === MAIL_DATA || dialogue.mode === COUNTED;
  if (owed === -1 || flowing) {
    uncalledFor(dialogue, code, bytes, flowing);
    return;
  }
  const kind = owed & 0xff;
  tellReplied(dialogue, kind, code);
  if (code === 421) {
    refusedByUpstream(dialogue, kind, code, bytes);
    dialogue.down.add(bytes);
    dialogue.endNow(null, { origin: 'upstream', what: 'upstream said 421' });
    return;
  }
  // protocol.md 1.2: a 3yz changes the mode, so it must be the one that was asked for.
  const wanted =
    kind === TO_DATA || kind === TO_XEXCH50 ? 354 : kind === TO_AUTH && dialogue.exchange !== null ? 334 : 0;
  if ((code >= 300 && code < 400 && code !== wanted) || (kind === TO_DATA && code < 300)) {
    broken(dialogue, 'upstream sent a reply that does not fit the command');
    return;
  }
  dialogue.queue.shift();
  const heard = answered(dialogue, kind, owed >>> 8, code, bytes);
  if (dialogue.mode === CLOSED) return;
  if (heard !== null) dialogue.deliver(heard);
  if (kind === TO_QUIT) {
    dialogue.endNow(null, QUIT);
    return;
  }
  for (let ours = dialogue.queue.takeOurs(); ours !== null; ours = dialogue.queue.takeOurs()) dialogue.deliver(ours);
}

/** RFC 3463: `250 2.1.0 …`, of one class. A host name behind the code of an EHLO reply is none. */
function bearsCode(bytes: Buffer): boolean {
  return bytes[4] === bytes[0] && /^([245])\d\d[ -]\1\.\d{1,3}\.\d{1,3} /.test(bytes.toString('latin1', 0, 14));
}

/** What a reply does to our view of the session; the octets that the client gets, or null: it hears nothing of it. */
function answered(dialogue: Dialogue, kind: number, number: number, code: number, bytes: Buffer): Buffer | null {
  const transaction = dialogue.transaction;
  const good = code < 300;
  const current = number === transaction.number;
  switch (kind) {
    case TO_EHLO:
    case TO_HELO:
      return helloAnswered(dialogue, kind === TO_EHLO ? 'EHLO' : 'HELO', code, bytes);
    case TO_OURS:
      return null;
    case TO_RSET:
      if (!good) transaction.remains = PERHAPS;
      break;
    case TO_OUR_RSET:
      transaction.remains = good ? NOTHING : PERHAPS;
      return null;
    case TO_MAIL_IN_DOUBT: {
      const then = dialogue.takenInDoubt;
      dialogue.takenInDoubt = null;
      if (!good) {
        refusedByUpstream(dialogue, kind, code, bytes);
        break;
      }
      dialogue.resumeWith = then; // when this chunk is read: what comes with it answers nothing of ours
      return null;
    }
    case TO_MAIL:
      if (!good) refusedByUpstream(dialogue, kind, code, bytes);
      if (!current) break;
      if (!good) transaction.reset();
      else if (transaction.remains === NOTHING || transaction.remains === SELDOM) {
        transaction.state = OPEN;
        transaction.remains = NOTHING;
      } else broken(dialogue, 'upstream refused RSET and took MAIL'); // whose recipients would it have?
      break;
    case TO_RCPT:
      dialogue.wire.event({ name: 'answered', code, reply: shown(bytes) });
      if (!current) break;
      if (good) transaction.accepted++;
      else transaction.recipients--;
      break;
    case TO_DATA:
      if (code === 354) openMailData(dialogue);
      else {
        transaction.remains = PERHAPS; // over at Haraka, qpsmtpd and Twisted; not at Postfix and Exim
        refusedByUpstream(dialogue, kind, code, bytes);
      }
      break;
    case TO_END:
      if (good) {
        dialogue.messages++;
        dialogue.junk = 0;
        dialogue.wire.event({ name: 'message', ...about(dialogue, code, bytes) });
      } else {
        transaction.remains = SELDOM; // Postfix goes on with it behind smtpd_end_of_data_restrictions
        refusedByUpstream(dialogue, kind, code, bytes);
      }
      dialogue.ended = null;
      break;
    case TO_BDAT:
      if (!good) refusedByUpstream(dialogue, kind, code, bytes);
      if (good || !current) break;
      transaction.reset();
      transaction.remains = PERHAPS;
      break;
    case TO_AUTH:
      authAnswered(dialogue, code, lastText(bytes));
      break;
    case TO_XEXCH50:
      if (code === 354) {
        dialogue.afterCounted = TO_XEXCH50;
        dialogue.mode = COUNTED;
        if (dialogue.left === 0) dialogue.countedEnded();
      }
      break;
    case TO_STARTTLS:
      if (code === 220) openTunnel(dialogue);
      break;
  }
  return bytes;
}

const STATES: Readonly<Record<number, 'MAIL' | 'DATA' | 'END-OF-MESSAGE'>> = {
  [TO_MAIL]: 'MAIL',
  [TO_MAIL_IN_DOUBT]: 'MAIL',
  [TO_DATA]: 'DATA',
  [TO_BDAT]: 'DATA',
  [TO_END]: 'END-OF-MESSAGE',
};
const SHOWN = 1024; // octets of a reply, for the log

/** For the log: a step of a mail transaction was answered with 4yz or 5yz. */
function refusedByUpstream(dialogue: Dialogue, kind: number, code: number, bytes: Buffer): void {
  const protocolState = STATES[kind];
  if (kind === TO_RCPT) dialogue.wire.event({ name: 'answered', code, reply: shown(bytes) });
  else if (protocolState !== undefined)
    dialogue.wire.event({ name: 'upstream_refused', protocolState, ...about(dialogue, code, bytes) });
}

/** For the log: which message is answered, and with what. At its end its transaction is over already. */
function about({ ended, transaction }: Dialogue, code: number, bytes: Buffer) {
  const { number, sender, octets } = ended ?? transaction;
  return { transaction: number, sender, octets, code, reply: shown(bytes) };
}

function shown(bytes: Buffer): string {
  return bytes.toString('latin1', 0, SHOWN).trimEnd();
}

const COMMANDS: Readonly<Record<number, AnsweredCommand>> = {
  [TO_EHLO]: 'EHLO',
  [TO_HELO]: 'HELO',
  [TO_AUTH]: 'AUTH',
  [TO_STARTTLS]: 'STARTTLS',
  [TO_MAIL]: 'MAIL',
  [TO_MAIL_IN_DOUBT]: 'MAIL',
  [TO_RCPT]: 'RCPT',
  [TO_DATA]: 'DATA',
  [TO_BDAT]: 'BDAT',
  [TO_END]: 'END-OF-MESSAGE',
  [TO_RSET]: 'RSET',
  [TO_OUR_RSET]: 'RSET',
  [TO_QUIT]: 'QUIT',
};
const CLASSES: readonly ReplyClass[] = ['2yz', '3yz', '4yz', '5yz'];
const KINDS = 0x10;
/** Each of these events once: there is one for every reply. By kind, and then by class. */
const REPLIED: readonly (readonly SessionEvent[])[] = Array.from({ length: KINDS }, (_, kind) =>
  CLASSES.map((replyClass) => ({ name: 'replied', command: COMMANDS[kind] ?? 'other', replyClass })),
);

/** For the metrics. */
function tellReplied(dialogue: Dialogue, kind: number, code: number): void {
  const event = REPLIED[kind]?.[Math.floor(code / 100) - 2];
  if (event !== undefined) dialogue.wire.event(event);
}

/** RFC 5321 §4.1.4: only an accepted one changes anything. */
function helloAnswered(dialogue: Dialogue, verb: 'EHLO' | 'HELO', code: number, bytes: Buffer): Buffer {
  const { transaction, earlierList, profile, tls } = dialogue;
  // OpenSMTPD, qpsmtpd and others take EHLO once, and had one before: ours, or the client's in clear text. Other refusals
  // are about the name or the client.
  const hadOne = earlierList !== null && (code === 503 || code === 502 || code === 500);
  if (code >= 400 && !hadOne) {
    if (transaction.state === OPEN) transaction.remains = PERHAPS;
    return bytes;
  }
  const list = hadOne ? (verb === 'EHLO' ? earlierList : onlyFirstLine(earlierList)) : bytes;
  const { bytes: filtered, offered } = filterEhlo(list, profile, tls, verb);
  dialogue.helo = dialogue.hello ?? '';
  dialogue.extended = verb === 'EHLO';
  dialogue.offered = verb === 'EHLO' ? offered : NO_CAPABILITIES;
  dialogue.mustGreet = false;
  dialogue.earlierList = null;
  dialogue.list = verb === 'EHLO' && profile.starttls === 'terminate' && !tls ? Buffer.from(list) : null; // its chunk is let go
  // Courier and go-smtp take it in the middle of a transaction and go on with that.
  if (!transaction.isClean) dialogue.resumeWith = () => dialogue.resetUpstream(() => {});
  return filtered;
}

/** What the upstream says in a stream that nobody reads. */
export function takeOpaque(dialogue: Dialogue, bytes: Buffer): void {
  dialogue.replies++;
  if (dialogue.tunnelUsed) dialogue.down.add(bytes);
  else dialogue.endNow(null, { origin: 'upstream', what: 'upstream spoke first behind STARTTLS' });
}

/** The text of a reply's last line. */
function lastText(bytes: Buffer): string {
  const text = bytes.toString('latin1').trimEnd();
  return text.slice(text.lastIndexOf('\n') + 5);
}

function openMailData(dialogue: Dialogue): void {
  const { bareLf, dotLines, textLine, relaysAnywhere } = dialogue.profile;
  // protocol.md 1.5: an ambiguous terminator may pass only where nothing could be smuggled past us.
  const lenient = bareLf === 'pass' && !relaysAnywhere ? 'reject' : bareLf;
  dialogue.mailData = new MailData({ bareLf: lenient, dotLines, textLine }, (bytes) => dialogue.sendMailData(bytes));
  dialogue.mode = MAIL_DATA;
}

function greeting(dialogue: Dialogue, code: number, bytes: Buffer): void {
  if (code < 400 && code !== 220) {
    broken(dialogue, `upstream greeted with ${code}`);
    return;
  }
  dialogue.down.add(bytes);
  if (code === 220) {
    dialogue.hold = RUN;
  } else {
    dialogue.endNow(null, { origin: 'upstream', what: `upstream greeted with ${code}` });
  }
}

/** A reply to nothing, or one inside mail data: whatever it means, the two sides are out of step (protocol.md 1.9). */
function uncalledFor(dialogue: Dialogue, code: number, bytes: Buffer, flowing: boolean): void {
  if (code === 421 || (flowing && code >= 400)) {
    if (flowing) refusedByUpstream(dialogue, TO_END, code, bytes);
    dialogue.down.add(bytes);
    dialogue.endNow(null, {
      origin: 'upstream',
      what: flowing ? 'upstream answered inside mail data' : 'upstream said 421',
    });
  } else {
    broken(dialogue, flowing ? 'upstream answered inside mail data' : 'upstream sent a surplus reply');
  }
}

/** The two sides are out of step, or the upstream makes no sense: nobody knows what it will execute next. */
export function broken(dialogue: Dialogue, what: string): void {
  dialogue.endNow(replies.UPSTREAM_PROTOCOL, { origin: 'upstream', what });
}
