// Which setting of the operator is the cause, as the log names it: `limits.session.errors`, `connectors[internet].auth`.
//
// A path as `check` prints it, with the connector's name in the place of its number. Nothing where no setting is the cause.

import type { ConnectionRefusal, Reason } from '../smtp/types.ts';

const OF_REASON: Readonly<Partial<Record<Reason, string>>> = {
  no_rule: 'rules',
  blocked_domain: 'blocked_domains',
  unknown_recipient: 'valid_recipients',
  submit: 'submit',
  sender: 'senders',
  tls_required: 'require_tls',
  unqualified: 'unqualified_recipients',
};

const OF_DOOR: Readonly<Partial<Record<ConnectionRefusal, string>>> = {
  no_connector: 'connectors[].remote_ip_ranges',
  connect: 'connect',
  connections: 'limits.source.connections',
  connections_percent: 'limits.source.connections_percent',
  connection_rate: 'limits.source.connection_rate',
  upstream_connections: 'upstream.max_connections',
  banned: 'limits.ban',
};

const WHOLE = /^(limits|timeouts|listeners|connectors|upstreams?|blocked_domains|valid_recipients)\b/;

/** As a core event or a CloseReason names it, in full. */
export function fullKey(connector: string | null, key: string): string;
export function fullKey(connector: string | null, key: string | null | undefined): string | undefined;
export function fullKey(connector: string | null, key: string | null | undefined): string | undefined {
  if (key === null || key === undefined) return undefined;
  return WHOLE.test(key) || connector === null ? key : `connectors[${connector}].${key}`;
}

/** Of a decision on a sender or a recipient. */
export function keyOfReason(connector: string, reason: Reason, rule: string | null): string | undefined {
  if (reason === 'limit') return fullKey(connector, rule);
  if (reason === 'rule' && rule !== null) return fullKey(connector, `rules[${rule}]`);
  return fullKey(connector, OF_REASON[reason]);
}

export function keyOfDoor(connector: string | null, reason: ConnectionRefusal, key?: string): string | undefined {
  return fullKey(connector, key ?? OF_DOOR[reason]);
}
