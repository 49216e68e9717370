// Everything the firewall ever says to a client, as one table, and the way it is put on the wire.
//
// A reply of ours is one line in one write (KB 912341: the SMTP client of Windows 2003 fails on a 354 or reply that
// comes in pieces), printable ASCII, at most 512 octets with its CRLF (RFC 5321 §4.5.3.1.5), and never a 2yz about mail: only
// the server behind us accepts it. The client hears a generic sentence; rule and reason are in the log.
// docs/replies.md is made of this table (docs/generate). Only a policy's own `replies` say something else.

import { toPrintable } from './bytes.ts';
import type { OwnReply } from './types.ts';

/** A reply with its documentation. */
export interface Sentence {
  readonly reply: OwnReply;
  readonly when: string;
  /** The settings that make or unmake it, as the log names them; none where nobody can change it. */
  readonly keys: readonly string[];
}

const sentences: Sentence[] = [];
/** All of them, as they stand below. */
export const EVERY_REPLY: readonly Sentence[] = sentences;

/** `line`: code, enhanced code and text, as the client hears them. */
function reply(line: string, when: string, ...keys: readonly string[]): OwnReply {
  const { code, enhanced, text } = /^(?<code>\d{3}) (?<enhanced>\d\.\d\.\d{1,2}) (?<text>.+)$/.exec(line)?.groups ?? {};
  const own = { code: Number(code), enhanced: enhanced as string, text: text as string };
  sentences.push({ reply: own, when, keys });
  return own;
}

// The connection
export const CONNECTION_REFUSED = reply(
  '554 5.7.1 Access denied',
  'No connector takes this client, or the one that does refuses it by `connect`. After it only QUIT is heard.',
  'connectors[].connect',
  'connectors[].remote_ip_ranges',
  'connectors[].bindings',
);
export const TOO_MANY_CONNECTIONS = reply(
  '421 4.7.0 Too many connections from {client_address}',
  'The source has as many connections as it may, or opens them too fast.',
  'limits.source.connections',
  'limits.source.connections_percent',
  'limits.source.connection_rate',
);
export const CONNECTOR_FULL = reply(
  '421 4.7.0 Too many connections, try again later',
  'The connector has as many connections as it may, from whomever.',
  'limits.connector.connections',
);
export const BANNED = reply(
  '421 4.7.0 Service for {client_address} is suspended, try again later',
  'The source is banned, at connection time or in the middle of a session, behind the transaction that is under way.',
  'limits.ban',
);
export const SERVER_BUSY = reply(
  '421 4.3.2 Too many connections, try again later',
  'All places at the servers behind were taken, and none came free in time.',
  'upstream.max_connections',
  'upstream.max_wait',
);
export const CONNECT_CANNOT_TELL = reply(
  '421 4.7.1 Cannot tell who you are, try again later',
  'Whether the client may connect rests on its name in DNS, and DNS did not answer.',
  'connectors[].connect',
);
export const BYE = reply('221 2.0.0 Bye', 'QUIT of a client that was refused at connection time.');
export const ONLY_QUIT = reply(
  '503 5.5.1 Only QUIT is accepted',
  'Anything but QUIT from a client that was refused at connection time; said once.',
);

// The recipient and the sender
export const RELAY_DENIED = reply(
  '554 5.7.1 <{recipient}>: Recipient address rejected: Relay access denied',
  'No rule allows a recipient that is in no accepted or relay domain; or its domain is blocked; or it hides another address.',
  'connectors[].rules',
  'accepted_domains',
  'relay_domains',
  'blocked_domains',
);
export const NO_SUCH_RECIPIENT = reply(
  '550 5.1.1 <{recipient}>: Recipient address rejected: User unknown',
  'The domain is accepted, and the list of valid recipients does not have the recipient.',
  'valid_recipients',
);
export const CANNOT_TELL = reply(
  '451 4.7.1 <{recipient}>: Cannot tell whether relaying is permitted, try again later',
  'The decision rests on what is not known: DNS did not answer, or the login has no known name.',
  'connectors[].rules',
);
export const BAD_RECIPIENT = reply(
  '501 5.1.3 <{recipient}>: Recipient address rejected: Bad address syntax',
  'The address of a RCPT is none that RFC 5321 allows.',
);
export const UNQUALIFIED_RECIPIENT = reply(
  '553 5.1.3 <{recipient}>: Recipient address rejected: Domain name required',
  'The address has no domain, and is not postmaster.',
  'connectors[].unqualified_recipients',
);
export const NOT_SUBMITTED = reply(
  '530 5.7.1 Client was not authenticated',
  'The client may not hand in mail here without the login that `submit` asks for.',
  'connectors[].submit',
);
export const SENDER_DENIED = reply(
  '550 5.7.1 Client does not have permissions to send as this sender',
  'The reverse-path is one that this client may not use.',
  'connectors[].senders',
);
export const SENDER_CANNOT_TELL = reply(
  '451 4.7.1 Cannot tell whether this sender is permitted, try again later',
  'Whether the reverse-path is permitted rests on what is not known.',
  'connectors[].senders',
  'connectors[].submit',
);
export const TLS_REQUIRED = reply(
  '530 5.7.0 Must issue a STARTTLS command first',
  'MAIL in clear text, where the connector takes mail in TLS only.',
  'connectors[].require_tls',
);
export const BAD_SENDER = reply(
  '501 5.1.7 Bad sender address syntax',
  'The address of a MAIL is none that RFC 5321 allows.',
);
export const BAD_PARAMETER = reply(
  '555 5.5.4 Parameter not recognized or not offered',
  'MAIL or RCPT has a parameter that is not known, is malformed, or that the EHLO reply did not offer.',
  'connectors[].hide_keywords',
  'connectors[].auth',
);
export const TOO_MANY_RECIPIENTS = reply(
  '452 4.5.3 Too many recipients',
  'The message has as many recipients as it may; those before it stay.',
  'limits.session.recipients_per_message',
);
export const RATE_LIMITED = reply(
  '450 4.7.1 Too much mail from {client_address}, try again later',
  'A rate of the source, the login, the sender or the connector is used up.',
  'limits.source',
  'limits.login',
  'limits.sender',
  'limits.connector',
);
export const CONFIGURATION_CHANGED = reply(
  '421 4.3.2 Configuration changed, please connect again',
  'A reload gave this session no place in the new policy, said at its next MAIL; or another `client_ca`, to a client that a certificate names.',
);

// Grammar
export const BAD_LINE_END = reply(
  '500 5.5.2 Commands must end in CRLF and hold no control characters',
  'A command line with a bare CR, a bare LF or a NUL; the session ends.',
);
export const LINE_TOO_LONG = reply(
  '500 5.5.2 Line too long',
  'A command line is longer than it may be; one without end ends the session.',
  'limits.session.command_line',
);
export const UNKNOWN_COMMAND = reply('500 5.5.1 Command unrecognized', 'The word is no command of SMTP.');
export const NOT_SMTP = reply(
  '500 5.5.1 This is an SMTP port',
  'The client speaks HTTP, or TLS where it has to begin in clear text; the session ends.',
  'listeners[].implicit_tls',
);
export const BAD_ARGUMENT = reply(
  '501 5.5.4 Syntax error in parameters or arguments',
  'The command is known, what stands behind it is malformed.',
);
export const NOT_AVAILABLE = reply(
  '502 5.5.1 Command not available',
  'The command was not offered, by the server behind or because a setting hides it.',
  'connectors[].auth',
  'connectors[].starttls',
  'connectors[].exchange_verbs',
);
export const SPOKE_TOO_EARLY = reply(
  '554 5.5.0 SMTP synchronization error: wait for the greeting',
  'The client spoke before the greeting; the session ends.',
  'connectors[].early_talker',
);

// Order
export const MAIL_NEEDED = reply('503 5.5.1 Need MAIL command', 'RCPT without a MAIL before it.');
export const NESTED_MAIL = reply('503 5.5.1 Nested MAIL command', 'MAIL inside a mail transaction.');
export const NO_RECIPIENTS = reply('503 5.5.1 No valid recipients', 'DATA or BDAT where no recipient was accepted.');
export const CHUNKING_BEGAN = reply(
  '503 5.5.1 Only BDAT, RSET, NOOP or QUIT after BDAT',
  'Another command between the chunks of a message (RFC 3030).',
);
export const BDAT_NOT_OFFERED = reply(
  '503 5.5.1 BDAT was not offered',
  'BDAT where the EHLO reply has no CHUNKING; the session ends.',
  'connectors[].chunking',
);
export const BAD_CHUNK = reply(
  '501 5.5.4 Syntax: BDAT count [LAST]',
  'A BDAT whose size cannot be read; the session ends.',
);
export const MESSAGE_TOO_LARGE = reply(
  '552 5.3.4 Message size exceeds the limit',
  'The message is larger than the connector or the server behind allows.',
  'connectors[].max_message_size',
);
export const NOT_IN_TRANSACTION = reply(
  '503 5.5.1 Not permitted during a mail transaction',
  'AUTH or STARTTLS between MAIL and the end of the message.',
);

// Logins
export const ALREADY_AUTHENTICATED = reply('503 5.5.1 Already authenticated', 'AUTH of a client that has logged in.');
export const UNKNOWN_MECHANISM = reply(
  '504 5.5.4 Unrecognized authentication type',
  'AUTH with a mechanism that was not offered.',
);
export const BAD_RESPONSE = reply(
  '501 5.5.2 Cannot decode the authentication response',
  'A response within AUTH is no base64, or not what its mechanism says.',
);
export const AUTH_NEEDS_TLS = reply(
  '538 5.7.11 Encryption required for requested authentication mechanism',
  'AUTH in clear text, where the connector takes logins in TLS only.',
  'connectors[].auth',
);
export const LOGINS_LIMITED = reply(
  '454 4.7.0 Too many failed logins, try again later',
  'Logins of this source, or of this user from it, have failed too often; the server is not asked.',
  'limits.source.auth_failure_rate',
  'limits.login.auth_failure_rate',
);

// TLS (RFC 3207). The 220 is no word about mail: it is our handshake that begins.
export const READY_FOR_TLS = reply(
  '220 2.0.0 Ready to start TLS',
  'STARTTLS that ends here; the handshake begins.',
  'connectors[].starttls',
);
export const TLS_ACTIVE = reply('503 5.5.1 TLS is already active', 'STARTTLS inside TLS.');
export const NOT_AFTER_LOGIN = reply(
  '503 5.5.1 Not permitted after authentication',
  'STARTTLS of a client that has logged in.',
);
export const GREET_AGAIN = reply(
  '503 5.5.1 Send EHLO or HELO first',
  'MAIL behind a TLS handshake without an EHLO between.',
);

// Mail data
export const AMBIGUOUS_END = reply(
  '554 5.6.0 Message refused: ambiguous end of mail data',
  'The mail data holds octets that end a message for one server and not for another; the session ends.',
  'connectors[].bare_lf',
  'upstream.dot_lines',
);

export const TEXT_LINE_TOO_LONG = reply(
  '554 5.6.0 Message refused: line too long',
  'A line of the mail data is longer than the server behind takes; the session ends.',
  'upstream.text_line',
);

// VRFY and EXPN refused by option (RFC 5321 §3.5.3: 252 promises nothing)
export const CANNOT_VERIFY = reply(
  '252 2.5.0 Cannot VRFY user, but will accept message and attempt delivery',
  'VRFY or EXPN, where the connector does not forward them.',
  'connectors[].vrfy',
);

// The end
export const TOO_MANY_ERRORS = reply(
  '421 4.7.0 Too many errors, closing transmission channel',
  'The session has made as many errors as it may.',
  'limits.session.errors',
);
export const TOO_MANY_COMMANDS = reply(
  '421 4.7.0 Too many commands without mail, closing transmission channel',
  'The session has said as many commands that bring no mail as it may.',
  'limits.session.junk_commands',
);
export const TOO_MANY_MESSAGES = reply(
  '421 4.7.0 Too many messages in one session, closing transmission channel',
  'The session has brought as many messages as it may; said at the next MAIL.',
  'limits.session.messages',
);
export const TOO_MANY_LOGINS = reply(
  '421 4.7.0 Too many failed logins, closing transmission channel',
  'As many logins of this session have failed as may; or of this user, where the name came within AUTH.',
  'limits.session.auth_failures',
  'limits.source.auth_failure_rate',
  'limits.login.auth_failure_rate',
);
export const CLIENT_TIMEOUT = reply(
  '421 4.4.2 Timeout, closing transmission channel',
  'The client was silent, slow, or brought no mail for too long.',
  'timeouts.client_idle',
  'timeouts.command',
  'timeouts.data_idle',
  'timeouts.min_data_rate',
  'timeouts.no_mail',
);
export const UPSTREAM_UNAVAILABLE = reply(
  '421 4.3.2 Service not available, try again later',
  'No server behind could be reached or greeted in time, or this machine was short of what a connection needs.',
  'timeouts.upstream_connect',
  'timeouts.upstream_greeting',
);
export const UPSTREAM_LOST = reply(
  '421 4.4.2 Connection to the mail server lost, try again later',
  'The server behind closed the connection or did not answer in time.',
  'timeouts.upstream_reply',
  'timeouts.upstream_data',
);
export const MESSAGE_NOT_CONFIRMED = reply(
  '451 4.4.2 Connection to the mail server lost before it confirmed the message',
  'The server behind was lost after the end of the message and before its answer; the client has to send it again.',
  'timeouts.upstream_final',
);
export const UPSTREAM_PROTOCOL = reply(
  '421 4.3.0 Mail server protocol error, closing transmission channel',
  'The server behind said what is no reply, or one that nobody asked for.',
);
export const SHUTTING_DOWN = reply(
  '421 4.3.2 Service shutting down, closing transmission channel',
  'The firewall drains: said between two transactions, or when the time for the drain is over.',
  'timeouts.drain',
);
export const ENDED_BY_OPERATOR = reply(
  '421 4.3.2 Session ended by the operator, closing transmission channel',
  'An operator ended this session (`DELETE /sessions/ID`); said between two transactions.',
);
export const INTERNAL_ERROR = reply(
  '421 4.3.0 Internal error, closing transmission channel',
  'A fault of the firewall itself was caught; the log has `defect`.',
);

/** What the placeholders of a reply stand for; latin-1 as the peer wrote it. */
export interface Fill {
  readonly recipient?: string;
  readonly sender?: string;
  readonly client_address?: string;
}

const LINE_LIMIT = 510; // RFC 5321 §4.5.3.1.5: 512 with CRLF
const PLACEHOLDER = /\{(recipient|sender|client_address)\}/;

/** A reply cut at its placeholders: text, name, text, name … text. */
interface Template {
  readonly pieces: readonly string[];
  /** Octets of the text alone. */
  readonly octets: number;
}

const templates = new WeakMap<OwnReply, Template>(); // of those that were said

function templateOf(own: OwnReply): Template {
  const known = templates.get(own);
  if (known !== undefined) return known;
  const pieces = own.text.split(PLACEHOLDER).map(toPrintable);
  const octets = pieces.reduce((sum, { length }, i) => (i % 2 === 0 ? sum + length : sum), 0);
  const template = { pieces, octets };
  templates.set(own, template);
  return template;
}

/** One reply line without its CRLF. The enhanced code appears only where `enhanced` says that the session offered them
 * (RFC 2034 §3). A filling that makes the line too long is shortened, so that the sentence behind it still stands. */
export function replyText(own: OwnReply, enhanced: boolean, fill: Fill = {}): string {
  const { pieces, octets } = templateOf(own);
  let text = enhanced && own.enhanced !== null ? `${own.code} ${own.enhanced} ` : `${own.code} `;
  let room = LINE_LIMIT - text.length - octets;
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i] as string;
    if (i % 2 === 0) text += piece;
    else {
      const filled = toPrintable(fill[piece as keyof Fill] ?? '').slice(0, Math.max(0, room));
      room -= filled.length;
      text += filled;
    }
  }
  return text.slice(0, LINE_LIMIT);
}

/** The same with its CRLF, as it goes out. */
export function formatReply(own: OwnReply, enhanced: boolean, fill: Fill = {}): Buffer {
  return replyLine(replyText(own, enhanced, fill));
}

export function replyLine(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, 'latin1');
}
