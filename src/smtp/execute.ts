// What each command does, when it is its turn: judged, forwarded, or answered by us (protocol.md 4).
//
// Grammar is behind us (command.ts), the answers are ahead (answers.ts). A refused recipient is no error, however often;
// what breaks grammar or order is one, and a command that leads to no mail is junk (design.md 6).

import { foldAscii } from './bytes.ts';
import { hiddenBy, sizeLimitOf } from './causes.ts';
import { fromXtext, xforwardCommands } from './client-identity.ts';
import type { Command, Parameters } from './command.ts';
import { isTooLarge, takeBdat, takeData, takeXexch50 } from './data-commands.ts';
import {
  type Dialogue,
  HOLD_REPLIES,
  TO_EHLO,
  TO_HELO,
  TO_MAIL,
  TO_MAIL_IN_DOUBT,
  TO_PLAIN,
  TO_QUIT,
  TO_RCPT,
  TO_RSET,
} from './dialogue.ts';
import { takeAuth } from './login.ts';
import { type BadPath, type ForwardPath, parseForwardPath } from './path.ts';
import * as replies from './replies.ts';
import { takeStartTls } from './starttls.ts';
import { NONE, NOTHING, PERHAPS, SELDOM } from './transaction.ts';
import type { Decision, OwnReply } from './types.ts';

// Executed only when every reply before them is in (RFC 2920 §3.1, protocol.md 1.3).
const WAITS = new Set<string>(
  `EHLO HELO DATA BDAT AUTH X-EXPS VRFY EXPN HELP QUIT STARTTLS X-ANONYMOUSTLS XEXCH50 X-LINK2STATE XRDST XSHADOW
  XQDISCARD`.split(/\s+/),
);
const MAY_FOLLOW_BDAT = new Set<string>(['BDAT', 'bad BDAT', 'RSET', 'NOOP', 'QUIT']); // RFC 3030 §2

const REFUSALS = {
  unknown: replies.UNKNOWN_COMMAND,
  unavailable: replies.NOT_AVAILABLE,
  'bad argument': replies.BAD_ARGUMENT,
  'bad sender': replies.BAD_SENDER,
  'bad parameter': replies.BAD_PARAMETER,
} as const;

/** Takes a command in its turn: now, or when the replies before it are in. */
export function takeCommand(dialogue: Dialogue, command: Command, line: Buffer): void {
  if (dialogue.transaction.chunking && !MAY_FOLLOW_BDAT.has(command.verb)) {
    dialogue.refuse(replies.CHUNKING_BEGAN);
    return;
  }
  if (WAITS.has(command.verb)) dialogue.behindReplies(() => execute(dialogue, command, line));
  else execute(dialogue, command, line);
}

function execute(dialogue: Dialogue, command: Command, line: Buffer): void {
  switch (command.verb) {
    case 'RCPT':
      takeRcpt(dialogue, command, line);
      break;
    case 'MAIL':
      takeMail(dialogue, command, line);
      break;
    case 'DATA':
      takeData(dialogue, line);
      break;
    case 'BDAT':
      takeBdat(dialogue, command, line);
      break;
    case 'RSET':
      takeReset(dialogue, line);
      break;
    case 'NOOP':
      if (!dialogue.isJunk()) dialogue.forwardAndHold(line, TO_PLAIN); // RFC 2920 §3.1: the last one of a group
      break;
    case 'EHLO':
    case 'HELO':
      if (dialogue.hello !== null && dialogue.isJunk()) return;
      dialogue.hello = command.name;
      dialogue.forwardAndHold(line, command.verb === 'EHLO' ? TO_EHLO : TO_HELO);
      break;
    case 'VRFY':
    case 'EXPN':
      if (dialogue.isJunk()) return;
      if (dialogue.profile.vrfy === 'refuse') {
        dialogue.tellRefused(replies.CANNOT_VERIFY, 'vrfy');
        dialogue.say(replies.CANNOT_VERIFY);
      } else dialogue.forwardAndHold(line, TO_PLAIN);
      break;
    case 'HELP':
      if (!dialogue.isJunk()) dialogue.forwardAndHold(line, TO_PLAIN);
      break;
    case 'QUIT':
      dialogue.forwardAndHold(line, TO_QUIT);
      break;
    case 'AUTH':
    case 'X-EXPS':
      takeAuth(dialogue, command, line);
      break;
    case 'STARTTLS':
    case 'X-ANONYMOUSTLS':
      takeStartTls(dialogue, command.verb, line);
      break;
    case 'XEXCH50':
      if (!dialogue.offered.has('XEXCH50'))
        dialogue.refuse(replies.NOT_AVAILABLE, hiddenBy(dialogue.profile, command.verb));
      else takeXexch50(dialogue, command.size, line);
      break;
    case 'X-LINK2STATE':
    case 'XRDST':
    case 'XSHADOW':
    case 'XQDISCARD':
      if (dialogue.offered.has(command.verb === 'XQDISCARD' ? 'XSHADOW' : command.verb))
        dialogue.forwardAndHold(line, TO_PLAIN);
      else dialogue.refuse(replies.NOT_AVAILABLE, hiddenBy(dialogue.profile, command.verb));
      break;
    case 'bad recipient':
      if (isRcptTurn(dialogue)) takeBadRecipient(dialogue, command.path);
      break;
    case 'bad BDAT':
      dialogue.tellRefused(replies.BAD_CHUNK);
      dialogue.closeWith(replies.BAD_CHUNK, { origin: 'policy', what: 'malformed BDAT' });
      break;
    case 'foreign protocol':
      dialogue.tellRefused(replies.NOT_SMTP);
      dialogue.closeWith(replies.NOT_SMTP, { origin: 'policy', what: 'HTTP on an SMTP port' });
      break;
    default:
      dialogue.refuse(REFUSALS[command.verb]);
  }
}

/** Goes up at once, and what is pipelined behind it as well: the server's answer tells whether it was so. */
function takeReset(dialogue: Dialogue, line: Buffer): void {
  const { transaction } = dialogue;
  const kind = transaction.isClean ? TO_PLAIN : TO_RSET;
  if (transaction.tried === 0 && transaction.remains === NOTHING && dialogue.isJunk()) return;
  transaction.reset();
  transaction.remains = NOTHING;
  dialogue.forward(line, kind);
}

function takeMail(dialogue: Dialogue, command: Extract<Command, { verb: 'MAIL' }>, line: Buffer): void {
  const { path, parameters, utf8 } = command;
  if (dialogue.ending !== null) {
    dialogue.closeWith(dialogue.ending.own, dialogue.ending.reason);
  } else if (dialogue.mustGreet) {
    dialogue.refuse(replies.GREET_AGAIN); // RFC 3207 §4.2
  } else if (dialogue.transaction.state !== NONE && dialogue.transaction.remains === NOTHING) {
    dialogue.refuse(replies.NESTED_MAIL);
  } else if (!dialogue.offered.allowsMail(parameters, dialogue.profile, dialogue.tls)) {
    dialogue.refuse(replies.BAD_PARAMETER);
  } else if (isTooLarge(dialogue, declaredSize(parameters))) {
    dialogue.tellRefused(replies.MESSAGE_TOO_LARGE, sizeLimitOf(dialogue.profile, declaredSize(parameters)));
    if (!dialogue.isJunk()) dialogue.say(replies.MESSAGE_TOO_LARGE);
  } else if (dialogue.messages >= dialogue.profile.limits.messages && dialogue.exceeds('messages')) {
    dialogue.closeWith(replies.TOO_MANY_MESSAGES, {
      origin: 'policy',
      what: 'too many messages in one session',
      key: 'limits.session.messages',
    });
  } else {
    const question = dialogue.question('MAIL', path.written, path.address, '', []);
    dialogue.ask(question, (decision) => {
      if (decision.action !== 'proceed') {
        refuseSender(dialogue, decision, path.written);
        return;
      }
      if (decision.observed) {
        const reply = said(dialogue, decision.reply, '', path.written);
        senderEvent(dialogue, 'would_reject', decision, path.written, reply);
      }
      const { remains } = dialogue.transaction;
      const begin = (): void => {
        dialogue.transaction.begin(path.written, path.address, utf8);
        dialogue.interject(introduction(dialogue), () => {
          dialogue.forward(line, TO_MAIL);
          if (remains === SELDOM) dialogue.hold = HOLD_REPLIES;
        });
      };
      if (remains === NOTHING || remains === SELDOM) begin();
      else if (remains === PERHAPS) beginInDoubt(dialogue, line, begin);
      else resetAndBegin(dialogue, begin);
    });
  }
}

/** What is said in front of every MAIL. */
function introduction({ forwarding, helo, extended }: Dialogue): Buffer[] {
  return forwarding === null ? [] : xforwardCommands(forwarding.client, helo, extended, forwarding.attributes);
}

/** The server's answer tells whether it still holds the transaction before: then the client hears its 503, and nothing has
 * changed. One that takes it may have forgotten that transaction (Haraka), or have kept its recipients under the new
 * sender (go-smtp does so at a second MAIL): behind a RSET of ours both mean the same, and that answer is the client's. */
function beginInDoubt(dialogue: Dialogue, line: Buffer, begin: () => void): void {
  dialogue.forwardAndHold(line, TO_MAIL_IN_DOUBT);
  dialogue.takenInDoubt = () => resetAndBegin(dialogue, begin);
}

function resetAndBegin(dialogue: Dialogue, begin: () => void): void {
  dialogue.resetUpstream(() => {
    if (dialogue.transaction.remains === NOTHING) begin();
    else dialogue.endNow(replies.UPSTREAM_PROTOCOL, { origin: 'upstream', what: 'upstream refused RSET' });
  });
}

/** RFC 1870 §4: what MAIL declares with SIZE; 0 where it declares nothing, beyond all limits where it is no number. */
function declaredSize(parameters: Parameters): number {
  const size = parameters.get('SIZE');
  if (size === undefined) return 0;
  return size !== null && /^[0-9]{1,20}$/.test(size) ? Number(size) : Number.POSITIVE_INFINITY;
}

function refuseSender(dialogue: Dialogue, decision: Exclude<Decision, { action: 'proceed' }>, sender: string): void {
  const reply = dialogue.text(decision.reply, '', sender);
  senderEvent(dialogue, 'reject', decision, sender, reply);
  if (dialogue.isError()) return;
  dialogue.put(replies.replyLine(reply));
  if (decision.action === 'disconnect')
    dialogue.close({ origin: 'policy', what: 'sender refused', key: decision.rule ?? undefined });
}

function senderEvent(
  dialogue: Dialogue,
  decision: 'reject' | 'would_reject',
  { reason, rule, trace }: Why,
  sender: string,
  reply: string,
): void {
  dialogue.wire.event({ name: 'sender', decision, reason, rule, trace, sender, reply });
}

/** Counts a RCPT, and answers those that cannot be judged because nobody asked for a transaction, or too many came. */
function isRcptTurn(dialogue: Dialogue): boolean {
  const transaction = dialogue.transaction;
  if (transaction.state === NONE) {
    dialogue.refuse(replies.MAIL_NEEDED);
    return false;
  }
  transaction.tried++;
  // A refused recipient is no error (design.md 6). Who goes on far beyond the limit is (Postfix calls it overshoot).
  return transaction.tried <= 2 * dialogue.profile.limits.recipientsPerMessage || !dialogue.isError();
}

function takeRcpt(dialogue: Dialogue, command: Extract<Command, { verb: 'RCPT' }>, line: Buffer): void {
  if (!isRcptTurn(dialogue)) return;
  const transaction = dialogue.transaction;
  const { path, parameters } = command;
  if (
    path.bare &&
    dialogue.profile.unqualifiedRecipients === 'reject' &&
    foldAscii(path.address.local) !== 'postmaster'
  ) {
    refuseRecipient(dialogue, replies.UNQUALIFIED_RECIPIENT, { reason: 'unqualified', rule: null }, path.written);
    return;
  }
  if (path.gateway && !dialogue.profile.relaysAnywhere) {
    refuseRecipient(dialogue, dialogue.profile.relayReply, { reason: 'relay_trick', rule: null }, path.written);
    return;
  }
  const { offered, profile, tls } = dialogue;
  if (!offered.allowsRcpt(parameters, profile, tls) || !isHarmlessOrcpt(dialogue, path, parameters)) {
    const why: Why = { reason: 'syntax', rule: null, trace: whichParameter(line) };
    refuseRecipient(dialogue, replies.BAD_PARAMETER, why, path.written);
    return;
  }
  const over = transaction.recipients >= dialogue.profile.limits.recipientsPerMessage;
  if (over && dialogue.exceeds('recipients_per_message')) {
    refuseRecipient(dialogue, replies.TOO_MANY_RECIPIENTS, TOO_MANY, path.written);
    return;
  }
  const question = dialogue.question(
    'RCPT',
    transaction.sender,
    transaction.senderAddress,
    path.written,
    path.addresses,
  );
  const decision = dialogue.wire.judge(question);
  if (decision !== null) rcptDecided(dialogue, decision, line, path.written, over);
  else awaitDecision(dialogue, line, path.written, over);
}

/** In functions of their own, as few RCPTs need a closure. */
function awaitDecision(dialogue: Dialogue, line: Buffer, written: string, over: boolean): void {
  dialogue.await((decision) => rcptDecided(dialogue, decision, line, written, over));
}

function whichParameter(line: Buffer): () => string {
  return () => line.toString('latin1').trimEnd();
}

/** `over`: beyond the limit of recipients, where that is only observed. */
function rcptDecided(dialogue: Dialogue, decision: Decision, line: Buffer, written: string, over: boolean): void {
  if (decision.action === 'proceed') {
    if (decision.observed) observeRecipient(dialogue, decision.reply, decision, written);
    else if (over) observeRecipient(dialogue, replies.TOO_MANY_RECIPIENTS, TOO_MANY, written);
    else recipientEvent(dialogue, 'proceed', decision, written, '');
    dialogue.transaction.recipients++;
    dialogue.forward(line, TO_RCPT);
    return;
  }
  refuseRecipient(dialogue, decision.reply, decision, written);
  if (decision.action === 'disconnect') dialogue.close({ origin: 'policy', what: 'recipient refused' });
}

/** A server may take a parameter that it does not know for a part of the address (go-smtp does): then the last @ of the line
 * would be that of an ORCPT, which may name anybody where it was offered. */
function isHarmlessOrcpt({ offered }: Dialogue, { address }: ForwardPath, parameters: Parameters): boolean {
  const orcpt = parameters.get('ORCPT');
  if (orcpt === undefined || orcpt === null || offered.has('DSN')) return true;
  const original = parseForwardPath(fromXtext(orcpt.slice(orcpt.indexOf(';') + 1)), 0, false);
  return (
    'address' in original && original.addresses.every(({ domain }) => domain === null || domain === address.domain)
  );
}

function takeBadRecipient(dialogue: Dialogue, { trick, written }: BadPath): void {
  if (trick) refuseRecipient(dialogue, dialogue.profile.relayReply, { reason: 'relay_trick', rule: null }, written);
  else refuseRecipient(dialogue, replies.BAD_RECIPIENT, { reason: 'syntax', rule: null }, written);
}

/** What a decision says of itself. */
type Why = Pick<Decision, 'reason' | 'rule' | 'trace'>;

const TOO_MANY: Why = { reason: 'limit', rule: 'limits.session.recipients_per_message' };

function refuseRecipient(dialogue: Dialogue, own: OwnReply, why: Why, recipient: string): void {
  const reply = dialogue.text(own, recipient, dialogue.transaction.sender);
  recipientEvent(dialogue, 'reject', why, recipient, reply);
  dialogue.put(replies.replyLine(reply));
}

/** In observe: it goes on, and the log has what would have been said. */
function observeRecipient(dialogue: Dialogue, own: OwnReply | undefined, why: Why, recipient: string): void {
  recipientEvent(dialogue, 'would_reject', why, recipient, said(dialogue, own, recipient, dialogue.transaction.sender));
}

/** A reply of ours as the log has it. */
function said(dialogue: Dialogue, own: OwnReply | undefined, recipient: string, sender: string): string {
  return own === undefined ? '' : dialogue.text(own, recipient, sender);
}

function recipientEvent(
  dialogue: Dialogue,
  decision: 'proceed' | 'reject' | 'would_reject',
  { reason, rule, trace }: Why,
  recipient: string,
  reply: string,
): void {
  const { number: transaction, sender } = dialogue.transaction;
  dialogue.wire.event({ name: 'recipient', transaction, decision, reason, rule, trace, sender, recipient, reply });
}
