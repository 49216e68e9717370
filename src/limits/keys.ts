// The names of buckets: what is limited, on which connector, and whose it is.
//
// A peer chooses its login and its sender, so these are bounded: a long one is cut and its digest put behind, which is longer
// than any that is kept whole, and so is one that could be taken for two. What keeps keys has no more to hold for a spoofed name than for an honest one.

import { hash } from 'node:crypto';

export type Kind = 'source' | 'login' | 'sender' | 'connector';

export type RateName =
  | 'connection_rate'
  | 'message_rate'
  | 'recipient_rate'
  | 'byte_rate'
  | 'rejected_recipient_rate'
  | 'auth_failure_rate'
  | 'strikes'; // limits exceeded: ban.after

const LONGEST = 64;
const KEPT = 32;
const CUT = '…';

/** `names`: the source, the login and the source … Connector names are text of the config; a NUL cannot stand in one. */
export function bucketKey(kind: Kind, rate: RateName, connector: string, ...names: readonly string[]): string {
  let key = `${kind}.${rate}\0${connector}`;
  for (const name of names) key += `\0${boundedName(name)}`;
  return key;
}

/** Of the bucket that says whether a strike has been counted just now: of a kind of its own, that nobody is shown. */
export function justStruckKey(strikes: string): string {
  return `just.${strikes}`;
}

export function boundedName(name: string): string {
  if (name.length <= LONGEST && !name.includes('\0')) return name;
  return `${name.slice(0, KEPT).replaceAll('\0', ' ')}${CUT}${hash('sha256', name, 'base64url')}`;
}

/** What `bucketKey` was given, the names as bounded. */
export function readKey(key: string): { kind: string; rate: string; connector: string; names: readonly string[] } {
  const [what = '', connector = '', ...names] = key.split('\0');
  const dot = what.indexOf('.');
  return { kind: what.slice(0, dot), rate: what.slice(dot + 1), connector, names };
}
