// What else two connectors that answer the same clients do not agree on, by the names of the keys: nothing that decides a recipient.

import type { Connector } from '../../policy/connector.ts';

const KEYS = [
  'upstream',
  'auth',
  'starttls',
  'exchange_verbs',
  'chunking',
  'hide_keywords',
  'vrfy',
  'bare_lf',
  'early_talker',
  'max_message_size',
  'replies',
] as const;

export function settingsThatDiffer(one: Connector, other: Connector): string[] {
  const differing: string[] = KEYS.filter(
    (key) => JSON.stringify(one.document[key]) !== JSON.stringify(other.document[key]),
  );
  if (JSON.stringify(one.limits) !== JSON.stringify(other.limits)) differing.push('limits');
  if (differing.length === 0) return [];
  const who = one.name === other.name ? `connector '${one.name}'` : `connectors '${one.name}' and '${other.name}'`;
  return [`${who}: ${differing.join(', ')}`];
}
