// The lines about a client: of its session, and at connection time. A part of the table in lines.ts.

import { line } from './fields.ts';

// Who it is about, where a session is.
const WHO = ['session', 'client_address', 'client_port', 'connector'] as const;
const PERHAPS = ['helo_name', 'sasl_method', 'sasl_username'] as const;
const DECIDED = ['protocol_state', 'decision', 'reason', 'reply'] as const;
const ANSWERED = ['origin', 'protocol_state', 'answer', 'reply'] as const;
const OF_COMMAND = [
  [...WHO, 'said', 'decision', 'reply'],
  [...PERHAPS, 'verb', 'key'],
] as const;
const OF_RECIPIENT = [
  [...WHO, ...DECIDED, 'sender', 'recipient'],
  [...PERHAPS, 'rule', 'key', 'trace'],
] as const;
const OF_SENDER = [
  [...WHO, ...DECIDED, 'sender'],
  [...PERHAPS, 'rule', 'key', 'trace'],
] as const;
const OF_LOGIN = [
  [...WHO, ...DECIDED, 'sasl_method'],
  ['helo_name', 'sasl_username', 'rule', 'key'],
] as const;
const OF_ANSWER = [
  [...WHO, ...ANSWERED, 'sender', 'recipient', 'decision', 'reason'],
  [...PERHAPS, 'server'],
] as const;
const OF_MESSAGE = [
  [...WHO, ...ANSWERED],
  [...PERHAPS, 'server', 'sender'],
] as const;
const OF_END = [[...WHO, 'protocol_state', 'decision', 'octets', 'offset', 'key'], PERHAPS] as const;
const OF_DOOR = [
  ['client_address', 'client_port', 'protocol_state', 'decision', 'reason', 'reply'],
  ['connector', 'key'],
] as const;
const OF_HEADER = [
  ['client_address', 'client_port', 'protocol_state', 'local_address', 'local_port', 'decision', 'reason'],
  ['key', 'said'],
] as const;

const ADDRESS_LOST = 'until then its own address is judged in the place of its clients';

export const ABOUT_CLIENTS = {
  // Of a session
  recipient_refused: line(
    'info',
    'recipient refused',
    'A recipient was refused by policy, a limit, or our grammar.',
    ...OF_RECIPIENT,
  ),
  recipient_would_be_refused: line(
    'info',
    'recipient would be refused',
    'In observe: it would have been refused, and was let pass.',
    ...OF_RECIPIENT,
  ),
  recipient_refused_by_server: line(
    'info',
    'recipient refused by the server',
    'We let it pass, and the server behind said 5yz.',
    ...OF_ANSWER,
  ),
  recipient_deferred_by_server: line(
    'info',
    'recipient deferred by the server',
    'We let it pass, and the server behind said 4yz.',
    ...OF_ANSWER,
  ),
  sender_refused: line('info', 'sender refused', 'A MAIL was refused by policy or a limit.', ...OF_SENDER),
  sender_would_be_refused: line(
    'info',
    'sender would be refused',
    'In observe: it would have been refused, and was let pass.',
    ...OF_SENDER,
  ),
  sender_refused_by_server: line(
    'info',
    'sender refused by the server',
    'The server behind said 5yz to MAIL.',
    ...OF_MESSAGE,
  ),
  sender_deferred_by_server: line(
    'info',
    'sender deferred by the server',
    'The server behind said 4yz to MAIL.',
    ...OF_MESSAGE,
  ),
  message_refused_by_server: line(
    'info',
    'message refused by the server',
    'The server behind said 5yz to DATA or to the end of a message.',
    ...OF_MESSAGE,
  ),
  message_deferred_by_server: line(
    'info',
    'message deferred by the server',
    'The server behind said 4yz to DATA or to the end of a message.',
    ...OF_MESSAGE,
  ),
  message: line(
    'info',
    'message',
    'The server behind has answered a message, and taken it or not: one line for each, as `log.messages` says. Of a message that ' +
      'it took 100 recipients are listed, else 5, and 5 that we refused.',
    [...WHO, ...(['server', 'sender', 'recipients', 'relayed', 'octets', 'seconds', 'answer', 'reply'] as const)],
    [...PERHAPS, 'recipients_untold'],
  ),
  message_unended: line(
    'info',
    'message not ended',
    'The server behind took recipients, and its answer to the end of the message never came: the client said RSET, or EHLO, or went, or ' +
      'the server did. `session ended` says which. As `log.messages` says; 5 recipients are listed.',
    [...WHO, ...(['sender', 'recipients'] as const)],
    [...PERHAPS, 'server', 'recipients_untold'],
  ),
  login_refused: line(
    'info',
    'login refused',
    'A limit of failed logins answered AUTH; the server was not asked.',
    ...OF_LOGIN,
  ),
  login_would_be_refused: line(
    'info',
    'login would be refused',
    'In observe: it would have been refused, and was let pass.',
    ...OF_LOGIN,
  ),
  command_refused: line(
    'info',
    'command refused',
    'Grammar, order, or a setting; once a session for each verb and code.',
    ...OF_COMMAND,
  ),
  stray_PROXY: line(
    'warn',
    'a PROXY header came where none is expected: name this balancer in listeners[].proxy_protocol.from, or let it send none ' +
      `(HAProxy: no send-proxy; nginx mail: \`proxy_protocol off\`); ${ADDRESS_LOST}`,
    'A balancer says unasked who its client is; once for each source.',
    ...OF_COMMAND,
  ),
  stray_XCLIENT: line(
    'warn',
    'XCLIENT was said and is never taken: switch it off there (nginx mail: `xclient off`), and let a balancer send ' +
      `a PROXY header instead, if it can (nginx mail: \`proxy_protocol on\`; listeners[].proxy_protocol.from); ${ADDRESS_LOST}`,
    'The same.',
    ...OF_COMMAND,
  ),
  stray_XFORWARD: line(
    'warn',
    'XFORWARD was said and is never taken: switch it off there (Postfix: `smtp_send_xforward_command = no`), and let a ' +
      `balancer send a PROXY header instead, if it can (listeners[].proxy_protocol.from); ${ADDRESS_LOST}`,
    'The same.',
    ...OF_COMMAND,
  ),
  limit_observed: line(
    'info',
    'a limit of the session would have answered',
    'In observe; once a session for each limit.',
    [...WHO, 'decision', 'reason', 'key'],
    PERHAPS,
  ),
  ambiguous_end: line(
    'warn',
    'message refused: these octets of its mail data end a message for one server and not for another. A sender that means well ' +
      'is let in with `bare_lf: normalize` on this connector, which makes text of them',
    'The end of mail data could be smuggled; the session ends.',
    ...OF_END,
  ),
  dot_line: line(
    'warn',
    'message refused: these octets of its mail data end a message for a server that ends on any line beginning with a dot ' +
      '(dot_lines: strict)',
    'The same, for such a server.',
    ...OF_END,
  ),
  opaque: line(
    'info',
    'TLS passes through: from here on nothing is read',
    'STARTTLS went to the server behind.',
    WHO,
    PERHAPS,
  ),
  client_certificate: line(
    'info',
    'client certificate names nobody: it could not be verified',
    'A client showed a certificate that client_ca does not vouch for.',
    [...WHO, 'why'],
    PERHAPS,
  ),
  session_ended: line(
    'info',
    'session ended',
    'Once for each session.',
    [
      ...WHO,
      'messages',
      'recipients_accepted',
      'recipients_refused',
      'octets_from_client',
      'octets_from_upstream',
      'seconds',
      'origin',
      'what',
    ],
    [
      ...PERHAPS,
      ...([
        'server',
        'encryption_protocol',
        'encryption_cipher',
        'ccert_subject',
        'messages_refused_by_server',
      ] as const),
      ...(['senders_refused', 'senders_refused_by_server'] as const),
      ...(['recipients_refused_by_server', 'recipients_deferred', 'recipients_unanswered'] as const),
      ...(['recipients_would_refuse', 'login_failures', 'errors', 'repeated', 'key', 'cause'] as const),
    ],
  ),

  // At connection time
  connection_refused: line('info', 'connection refused', 'By policy, a limit, or because we end.', ...OF_DOOR),
  connection_would_be_refused: line(
    'info',
    'connection would be refused',
    'In observe: it would have been refused, and was let pass.',
    ...OF_DOOR,
  ),
  header_not_listed: line(
    'info',
    'connection closed: this peer is not listed as one that sends a PROXY header',
    'The listener takes only those who are.',
    ...OF_HEADER,
  ),
  header_none: line(
    'info',
    'connection closed: this peer is to send a PROXY header, and sent something else',
    'A listed balancer sent none.',
    ...OF_HEADER,
  ),
  header_bad: line(
    'info',
    'connection closed: its PROXY header is malformed',
    'It begins as one and does not go on so.',
    ...OF_HEADER,
  ),
  header_too_long: line(
    'info',
    'connection closed: its PROXY header is longer than one may be',
    'Or says that it is.',
    ...OF_HEADER,
  ),
  header_late: line(
    'info',
    'connection closed: no whole PROXY header came in time',
    'timeouts.proxy_header is over.',
    ...OF_HEADER,
  ),
  header_hung_up: line(
    'info',
    'the peer closed the connection within its PROXY header',
    'Not where it said nothing at all.',
    ['client_address', 'client_port', 'protocol_state', 'local_address', 'local_port', 'reason'],
    ['said'],
  ),
  handshake_failed: line(
    'info',
    'TLS handshake failed',
    'Where TLS comes first; one behind STARTTLS ends its session.',
    ['client_address', 'client_port', 'connector', 'protocol_state', 'why'],
    ['key'],
  ),
  floods: line(
    'warn',
    'refusals of one source, and ends of its sessions, that were not told one by one',
    'Ten minutes after a source had more lines than one may have, and at the end.',
    ['source', 'repeated', 'sessions', 'seconds'],
  ),
};
