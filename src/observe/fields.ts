// What each field of a log line means, by its name, and what a line is made of; docs/log-fields.md is made of it.
//
// Named as in Postfix's policy protocol where that has a name. Values that a peer chose are escaped, and cut at 256 characters.

import type { ConnectionRefusal, HeaderResult, Reason } from '../smtp/types.ts';

export const FIELDS = {
  time: 'when, in UTC',
  level: '`debug`, `info`, `warn` or `error`',
  msg: 'which line it is',
  worker: 'the number of the thread, where there are several',
  session: 'the number of the session; with several workers, of this worker',
  client_address: 'who the client is',
  client_port: 'its port',
  local_address: 'the address of ours that it connected to',
  local_port: 'and the port',
  connector: 'the receive connector that answers it',
  helo_name: 'what it called itself with EHLO or HELO',
  sasl_method: 'the mechanism of its login',
  sasl_username: 'the name of its login',
  ccert_subject: 'what its verified certificate names',
  encryption_protocol: 'the TLS that it speaks with us',
  encryption_cipher: 'and the cipher',
  sender: 'the reverse-path, without brackets',
  recipient: 'the forward-path, without brackets',
  recipients:
    'those of one message, each with its `recipient`, our `decision`, its `reason` and `rule`, the `answer` of the server and the `reply`: ' +
    "the server's own, or ours where we refused it",
  recipients_untold: 'recipients of the message that are not listed',
  relayed: 'whether the server took it for a recipient whose domain is not an accepted one',
  protocol_state: 'where in the dialogue: `CONNECT`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `END-OF-MESSAGE`',
  decision: 'ours: `proceed`, `reject`, `would_reject` (let pass in observe), `disconnect`',
  reason: 'why, as one word: see below',
  rule: 'the rule or the limit that decided',
  key: 'the setting that is the cause, with the name of the connector in it',
  trace: 'the rules that were tried, and what failed in each; `postern explain` says it in full',
  reply: 'what the client heard, or would have heard',
  origin: 'who it was: `client`, `upstream`, `policy`, `operator`, `defect` (a fault of ours)',
  answer: 'what the server made of it: `accepted` (2yz), `refused` (5yz) or `deferred` (4yz)',
  server: 'the server behind',
  verb: 'the command',
  said: 'what was said; never a password',
  octets: 'of a message, how many it has as it was sent; else the octets in question, with `\\r` and `\\n`',
  offset: 'where in the mail data they begin: of the dot, from 0',
  messages: 'messages that the server took',
  messages_refused_by_server: 'messages that it did not take',
  senders_refused: 'senders that we refused',
  senders_refused_by_server: 'senders that the server refused or put off',
  recipients_accepted: 'recipients that the server took',
  recipients_refused: 'recipients that we refused',
  recipients_refused_by_server: 'recipients that the server refused',
  recipients_deferred: 'recipients that the server put off',
  recipients_unanswered: 'recipients that the server never answered',
  recipients_would_refuse: 'recipients that only observe let pass',
  login_failures: 'logins that failed',
  errors: 'commands that were refused',
  repeated: 'refusals that had no line of their own',
  octets_from_client: 'octets that the client sent',
  octets_from_upstream: 'octets that the server sent',
  seconds: 'how long',
  what: 'why it ended, as a sentence of ours',
  cause: 'what the system said of it',
  why: 'the reason, as a sentence',
  next_probe_seconds: 'when it is asked again',
  sessions: 'how many sessions',
  identity: 'what `upstream.identity` says',
  connections: 'how many of the last sessions came from that address',
  of: 'and of how many',
  lines: 'how many lines were lost',
  source: 'the address, or the /64 of IPv6',
  doing: 'what we were doing',
  stack: 'where in the code: for a report',
  addresses: 'where we listen',
  admin: 'where the admin port is',
  mode: '`enforce` or `observe`',
  sockets:
    "`handles`: Node's own TCP handles, `plain`: its sockets, where those are unknown or POSTERN_SOCKETS=plain says so",
  sessions_cut_off: 'sessions that had to be cut off',
  policy_version: 'a digest of the files of the policy',
  file: 'the configuration that was read, or what of it',
  findings: 'what is wrong with it, as `postern check` says it',
  network: 'the network that is banned',
  by: 'who banned it: `limits` or `operator`',
  next_start_ms: 'when it is started anew',
  code: "the system's word for what is short",
  kind: 'of what there are too many: sources, logins or senders',
  keys: 'the keys that changed',
} as const;

/** What `reason` can be, of a recipient, a sender or a login. */
export const REASONS: Readonly<Record<Reason, string>> = {
  accepted_domain: 'the server behind is responsible for the domain',
  relay_domain: 'the domain is relayed for everyone',
  rule: 'a rule of the connector decided',
  no_rule: 'no rule matched, so it is no',
  blocked_domain: 'nobody may reach the domain',
  unknown_recipient: '`valid_recipients` does not have it',
  submit: 'the client may not hand in mail here',
  sender: 'the client may not use this reverse-path',
  tls_required: 'TLS is wanted first',
  cannot_tell: 'what the decision rests on is not known',
  syntax: 'the address is none that our grammar reads',
  relay_trick: 'the address hides another one',
  unqualified: 'the address has no domain',
  limit: 'a limit answered; `rule` and `key` say which',
  reload: 'the new policy has no place for this session',
};

/** What it can be at connection time. */
export const DOOR_REASONS: Readonly<Record<ConnectionRefusal | `proxy_header_${Exclude<HeaderResult, 'ok'>}`, string>> =
  {
    no_connector: 'no connector takes this client',
    connect: 'the connector does not take it',
    connections: 'too many connections, of the source or of the connector',
    connections_percent: 'too large a share of the connections',
    connection_rate: 'connections come too fast',
    upstream_connections: 'no place at the servers behind came free in time',
    banned: 'the source is banned',
    shutting_down: 'the firewall ends',
    proxy_header_not_listed: 'this peer may send no PROXY header',
    proxy_header_none: 'what came is no PROXY header',
    proxy_header_bad: 'it begins as one',
    proxy_header_too_long: 'it is longer than one may be',
    proxy_header_late: 'it did not come in time',
    proxy_header_hung_up: 'the peer closed before it was whole',
  };

export type FieldName = keyof typeof FIELDS;

export interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
  readonly when: string;
  readonly always: readonly FieldName[];
  readonly sometimes: readonly FieldName[];
}

export function line<const A extends FieldName, const S extends FieldName = never>(
  level: Line['level'],
  text: string,
  when: string,
  always: readonly A[],
  sometimes: readonly S[] = [],
): { level: Line['level']; text: string; when: string; always: readonly A[]; sometimes: readonly S[] } {
  return { level, text, when, always, sometimes };
}
