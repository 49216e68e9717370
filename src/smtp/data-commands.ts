// The commands behind which octets follow that are no commands: DATA, BDAT, XEXCH50 (protocol.md 4).
//
// Whether they follow is the server's answer to say (answers.ts); but a BDAT that we refuse brings its octets all the same,
// and they are swallowed, exactly so many, before it is answered. Not here: what mail data holds, and where it ends.

import { hiddenBy, sizeLimitOf } from './causes.ts';
import type { Command } from './command.ts';
import { COUNTED, type Dialogue, SWALLOWED, TO_BDAT, TO_DATA, TO_END, TO_XEXCH50 } from './dialogue.ts';
import * as replies from './replies.ts';
import { NOTHING } from './transaction.ts';
import type { OwnReply } from './types.ts';

/** Beyond what the upstream offered, which every mode respects, or beyond the connector's own limit. */
export function isTooLarge(dialogue: Dialogue, octets: number): boolean {
  if (octets > dialogue.offered.size) return true;
  return octets > dialogue.profile.maxMessageSize && dialogue.exceeds('max_message_size');
}

export function takeData(dialogue: Dialogue, line: Buffer): void {
  if (dialogue.transaction.accepted > 0) dialogue.forwardAndHold(line, TO_DATA);
  else if (isFirstInVain(dialogue)) dialogue.say(replies.NO_RECIPIENTS);
  else dialogue.refuse(replies.NO_RECIPIENTS);
}

/** Whether this DATA or BDAT is the one that a client may pipeline behind recipients of which none was accepted. */
function isFirstInVain({ transaction }: Dialogue): boolean {
  const isFirst = transaction.tried > 0 && !transaction.failed;
  transaction.failed = true;
  return isFirst;
}

export function takeBdat(dialogue: Dialogue, command: Extract<Command, { verb: 'BDAT' }>, line: Buffer): void {
  if (!dialogue.offered.has('CHUNKING')) {
    const key = hiddenBy(dialogue.profile, 'BDAT');
    dialogue.tellRefused(replies.BDAT_NOT_OFFERED, key);
    dialogue.closeWith(replies.BDAT_NOT_OFFERED, {
      origin: 'policy',
      what: 'BDAT was not offered',
      key: key ?? undefined,
    });
    return;
  }
  if (command.size === 0 && !command.last && dialogue.isJunk()) return;
  const transaction = dialogue.transaction;
  dialogue.left = command.size;
  dialogue.lastSwallowed = command.last;
  // In doubt (behind a DATA or HELO that was refused) a server may hold no transaction, and read the octets as commands.
  if (transaction.accepted === 0 || transaction.remains !== NOTHING) {
    const isFirst = isFirstInVain(dialogue);
    if (!isFirst) dialogue.tellRefused(replies.NO_RECIPIENTS, null);
    // A message may come in many chunks at once: they are junk, not errors.
    if (isFirst || !dialogue.isJunk()) swallow(dialogue, replies.NO_RECIPIENTS);
  } else if (isTooLarge(dialogue, transaction.octets + command.size)) {
    // The upstream has half a message: nothing but RSET leads on from there.
    dialogue.tellRefused(replies.MESSAGE_TOO_LARGE, sizeLimitOf(dialogue.profile, transaction.octets + command.size));
    transaction.chunking = true;
    transaction.accepted = 0;
    swallow(dialogue, replies.MESSAGE_TOO_LARGE);
  } else {
    transaction.octets += command.size;
    transaction.chunking = !command.last;
    dialogue.afterCounted = command.last ? TO_END : TO_BDAT;
    dialogue.mode = COUNTED;
    dialogue.up.add(line);
    dialogue.expect(dialogue.afterCounted);
    if (command.size === 0) dialogue.countedEnded();
  }
}

function swallow(dialogue: Dialogue, own: OwnReply): void {
  dialogue.afterSwallowed = own;
  dialogue.mode = SWALLOWED;
  if (dialogue.left === 0) dialogue.countedEnded();
}

export function takeXexch50(dialogue: Dialogue, size: number, line: Buffer): void {
  dialogue.left = size;
  dialogue.forwardAndHold(line, TO_XEXCH50);
}
