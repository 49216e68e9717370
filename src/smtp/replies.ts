// Everything the firewall ever says to a client, as one table, and the way it is put on the wire.
//
// A reply of ours is one line in one write (KB 912341: the SMTP client of Windows 2003 fails on a 354 or reply that
// comes in pieces), printable ASCII, at most 512 octets with its CRLF (RFC 5321 §4.5.3.1.5), and never a 2yz but the 252
// of a VRFY refused by option and the 220 of a STARTTLS that ends here: only the server behind us accepts mail. The client
// hears a generic sentence; rule and reason are in the log.

import { toPrintable } from './bytes.ts';
import type { OwnReply } from './types.ts';

function reply(code: number, enhanced: string, text: string): OwnReply {
  return { code, enhanced, text };
}

// The recipient and the sender
export const RELAY_DENIED = reply(554, '5.7.1', '<{recipient}>: Recipient address rejected: Relay access denied');
export const BAD_RECIPIENT = reply(501, '5.1.3', '<{recipient}>: Recipient address rejected: Bad address syntax');
export const UNQUALIFIED_RECIPIENT = reply(
  553,
  '5.1.3',
  '<{recipient}>: Recipient address rejected: Domain name required',
);
export const BAD_SENDER = reply(501, '5.1.7', 'Bad sender address syntax');
export const BAD_PARAMETER = reply(555, '5.5.4', 'Parameter not recognized or not offered');
export const TOO_MANY_RECIPIENTS = reply(452, '4.5.3', 'Too many recipients');

// Grammar
export const BAD_LINE_END = reply(500, '5.5.2', 'Commands must end in CRLF and hold no control characters');
export const LINE_TOO_LONG = reply(500, '5.5.2', 'Line too long');
export const UNKNOWN_COMMAND = reply(500, '5.5.1', 'Command unrecognized');
export const NOT_SMTP = reply(500, '5.5.1', 'This is an SMTP port');
export const BAD_ARGUMENT = reply(501, '5.5.4', 'Syntax error in parameters or arguments');
export const NOT_AVAILABLE = reply(502, '5.5.1', 'Command not available');
export const SPOKE_TOO_EARLY = reply(554, '5.5.0', 'SMTP synchronization error: wait for the greeting');

// Order
export const MAIL_NEEDED = reply(503, '5.5.1', 'Need MAIL command');
export const NESTED_MAIL = reply(503, '5.5.1', 'Nested MAIL command');
export const NO_RECIPIENTS = reply(503, '5.5.1', 'No valid recipients');
export const CHUNKING_BEGAN = reply(503, '5.5.1', 'Only BDAT, RSET, NOOP or QUIT after BDAT');
export const BDAT_NOT_OFFERED = reply(503, '5.5.1', 'BDAT was not offered');
export const BAD_CHUNK = reply(501, '5.5.4', 'Syntax: BDAT count [LAST]');
export const MESSAGE_TOO_LARGE = reply(552, '5.3.4', 'Message size exceeds the limit');
export const NOT_IN_TRANSACTION = reply(503, '5.5.1', 'Not permitted during a mail transaction');

// Logins
export const ALREADY_AUTHENTICATED = reply(503, '5.5.1', 'Already authenticated');
export const UNKNOWN_MECHANISM = reply(504, '5.5.4', 'Unrecognized authentication type');
export const BAD_RESPONSE = reply(501, '5.5.2', 'Cannot decode the authentication response');
export const AUTH_NEEDS_TLS = reply(538, '5.7.11', 'Encryption required for requested authentication mechanism');
export const LOGINS_LIMITED = reply(454, '4.7.0', 'Too many failed logins, try again later');

// TLS (RFC 3207). The 220 is no word about mail: it is our handshake that begins.
export const READY_FOR_TLS = reply(220, '2.0.0', 'Ready to start TLS');
export const TLS_ACTIVE = reply(503, '5.5.1', 'TLS is already active');
export const NOT_AFTER_LOGIN = reply(503, '5.5.1', 'Not permitted after authentication');
export const GREET_AGAIN = reply(503, '5.5.1', 'Send EHLO or HELO first');

// Mail data
export const AMBIGUOUS_END = reply(554, '5.6.0', 'Message refused: ambiguous end of mail data');

// VRFY and EXPN refused by option (RFC 5321 §3.5.3: 252 promises nothing)
export const CANNOT_VERIFY = reply(252, '2.5.0', 'Cannot VRFY user, but will accept message and attempt delivery');

// The end
export const TOO_MANY_ERRORS = reply(421, '4.7.0', 'Too many errors, closing transmission channel');
export const TOO_MANY_COMMANDS = reply(421, '4.7.0', 'Too many commands without mail, closing transmission channel');
export const TOO_MANY_MESSAGES = reply(421, '4.7.0', 'Too many messages in one session, closing transmission channel');
export const TOO_MANY_LOGINS = reply(421, '4.7.0', 'Too many failed logins, closing transmission channel');
export const CLIENT_TIMEOUT = reply(421, '4.4.2', 'Timeout, closing transmission channel');
export const UPSTREAM_UNAVAILABLE = reply(421, '4.3.2', 'Service not available, try again later');
export const UPSTREAM_LOST = reply(421, '4.4.2', 'Connection to the mail server lost, try again later');
export const MESSAGE_NOT_CONFIRMED = reply(
  451,
  '4.4.2',
  'Connection to the mail server lost before it confirmed the message',
);
export const UPSTREAM_PROTOCOL = reply(421, '4.3.0', 'Mail server protocol error, closing transmission channel');
export const SHUTTING_DOWN = reply(421, '4.3.2', 'Service shutting down, closing transmission channel');
export const INTERNAL_ERROR = reply(421, '4.3.0', 'Internal error, closing transmission channel');
export const CONNECTION_REFUSED = reply(554, '5.7.1', 'Access denied');
export const TOO_MANY_CONNECTIONS = reply(421, '4.7.0', 'Too many connections from {client_address}');
export const CONNECTOR_FULL = reply(421, '4.7.0', 'Too many connections, try again later');
export const BANNED = reply(421, '4.7.0', 'Service for {client_address} is suspended, try again later');
export const SERVER_BUSY = reply(421, '4.3.2', 'Too many connections, try again later');

/** What the placeholders of a reply stand for; latin-1 as the peer wrote it. */
export interface Fill {
  readonly recipient?: string;
  readonly sender?: string;
  readonly client_address?: string;
}

const LINE_LIMIT = 510; // RFC 5321 §4.5.3.1.5: 512 with CRLF
const PLACEHOLDER = /\{(recipient|sender|client_address)\}/g;

/** One reply line with its CRLF. The enhanced code appears only where `enhanced` says that the session offered them
 * (RFC 2034 §3). A filling that makes the line too long is shortened, so that the sentence behind it still stands. */
export function formatReply(own: OwnReply, enhanced: boolean, fill: Fill = {}): Buffer {
  const head = enhanced && own.enhanced !== null ? `${own.code} ${own.enhanced} ` : `${own.code} `;
  let room = LINE_LIMIT - head.length - own.text.replace(PLACEHOLDER, '').length;
  const text = own.text.replace(PLACEHOLDER, (_, name: keyof Fill) => {
    const filled = toPrintable(fill[name] ?? '').slice(0, Math.max(0, room));
    room -= filled.length;
    return filled;
  });
  return Buffer.from(`${(head + toPrintable(text)).slice(0, LINE_LIMIT)}\r\n`, 'latin1');
}
