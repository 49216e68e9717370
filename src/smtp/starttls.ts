// STARTTLS: ended here, let through, or refused (RFC 3207; X-ANONYMOUSTLS is Exchange's name for the same).
//
// Ended here, the handshake is the driver's; what this file keeps is the seam. An octet that stands behind the command in
// clear text may be an attacker's (CVE-2011-0411) and ends the session unread; and nothing that was said before the
// handshake counts behind it, since somebody else may have said it. The 220 goes out all the same when such an octet is
// there already: a client hears the same however the network cut its words.
// Let through, the stream is opaque from the upstream's 220 on: only where anybody may relay anywhere (protocol.md 1.6).
//
// Not chosen: to hide the upstream's loss or our 421 behind the handshake. Both end a session in mid-handshake at once.

import { NO_CAPABILITIES } from './capabilities.ts';
import { hiddenBy } from './causes.ts';
import { type Dialogue, HOLD_TLS, OPAQUE, RUN, TO_STARTTLS } from './dialogue.ts';
import * as replies from './replies.ts';
import { NONE } from './transaction.ts';

export function takeStartTls(dialogue: Dialogue, verb: 'STARTTLS' | 'X-ANONYMOUSTLS', line: Buffer): void {
  if (dialogue.tls) {
    dialogue.refuse(replies.TLS_ACTIVE);
  } else if (!dialogue.offered.has(verb)) {
    dialogue.refuse(replies.NOT_AVAILABLE, hiddenBy(dialogue.profile, verb));
  } else if (dialogue.transaction.state !== NONE) {
    dialogue.refuse(replies.NOT_IN_TRANSACTION);
  } else if (dialogue.login !== null) {
    dialogue.refuse(replies.NOT_AFTER_LOGIN); // it would be void behind the handshake, but not for the upstream
  } else if (dialogue.profile.starttls === 'terminate') {
    dialogue.say(replies.READY_FOR_TLS);
    dialogue.hold = HOLD_TLS;
  } else {
    dialogue.forwardAndHold(line, TO_STARTTLS);
  }
}

/** The upstream agreed: whatever both sides say from here on goes by unread. */
export function openTunnel(dialogue: Dialogue): void {
  dialogue.mode = OPAQUE;
  dialogue.wire.event({ name: 'opaque' });
}

/** RFC 3207 §4.2: after the handshake the session is as at its beginning; what counts against a client stays. */
export function beginAnew(dialogue: Dialogue, names: readonly string[]): void {
  dialogue.hold = RUN;
  dialogue.tls = true;
  dialogue.tlsSubject = names;
  dialogue.hello = null;
  dialogue.helo = '';
  dialogue.offered = NO_CAPABILITIES;
  dialogue.mustGreet = true;
  dialogue.earlierList = dialogue.list;
  dialogue.list = null;
  dialogue.transaction.reset();
}
