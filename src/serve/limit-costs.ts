// What one command costs, by name: each charge with the limit that it is for, whose fault it is when that is reached, and what
// is said of it at connection time.
//
// Not here: who asks, and what follows from the answer (client-limits.ts).

import type { Kind, RateName } from '../limits/keys.ts';
import type { Charge, NoPlace } from '../limits/store.ts';
import type { Connector } from '../policy/connector.ts';
import { oneSpelling } from '../policy/spellings.ts';
import { foldAscii } from '../smtp/bytes.ts';
import { BANNED } from '../smtp/replies.ts';
import type { OwnReply, Question } from '../smtp/types.ts';

/** A charge with what it is called. */
export interface Cost {
  readonly kind: Kind;
  readonly rate: RateName;
  readonly charge: Charge;
}

/** The limits of the door, as a refused MAIL names them. */
export const CONNECTION_LIMITS = {
  ban: ['source', 'ban'],
  rate: ['source', 'connection_rate'],
  source: ['source', 'connections'],
  percent: ['source', 'connections_percent'],
  connector: ['connector', 'connections'],
} as const satisfies Readonly<Record<NoPlace, readonly [Kind, string]>>;

/** What a client hears for whom there is no place. */
export function noPlaceReply(refused: NoPlace, { connections, full }: Connector['replies']): OwnReply {
  if (refused === 'ban') return BANNED;
  return refused === 'connector' ? full : connections;
}

/** Of the source itself: what others bring about is none of its faults. */
export function isOwn({ kind, rate }: Cost): boolean {
  return kind === 'source' || rate === 'auth_failure_rate';
}

export function chargesOf(costs: readonly Cost[]): Charge[] {
  return costs.map(({ charge }) => charge);
}

/** One spelling for one reverse-path, so that no other has a budget of its own. */
export function senderKey({ sender, senderAddress }: Question): string {
  if (senderAddress === null) return foldAscii(sender);
  const { local, domain, literal } = senderAddress;
  return `${foldAscii(local)}@${domain === null ? `[${foldAscii(literal ?? '')}]` : oneSpelling(domain)}`;
}
