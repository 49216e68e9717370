// What a thread's tally of refusals is told: connections and, of each session, what its events say was refused.
//
// What a peer chose is made harmless here, and only where it is kept. Not here: the tally and its bound (status/refusals).

import { harmless } from '../observe/log.ts';
import type { LoggedSession } from '../observe/session-lines.ts';
import { formatEndpoint } from '../proxy/address.ts';
import { sourceOf } from '../smtp/client-source.ts';
import type { ConnectionEnds, ConnectionRefusal, SessionEvent } from '../smtp/types.ts';
import type { Example, RefusalTally, Verdict } from '../status/refusals.ts';

export function countConnection(
  tally: RefusalTally,
  verdict: Verdict,
  ends: ConnectionEnds,
  connector: string | null,
  reason: ConnectionRefusal,
): void {
  if (reason === 'shutting_down') return;
  tally.add(verdict, sourceOf(ends.clientAddress), () => ({
    ...known(ends, connector),
    what: 'connection',
    reason,
  }));
}

export function countEvent(tally: RefusalTally, session: LoggedSession, event: SessionEvent): void {
  if (event.name !== 'recipient' && event.name !== 'sender' && event.name !== 'login_refused') return;
  if (event.decision === 'proceed') return;
  const verdict = event.decision === 'reject' ? 'refused' : 'would_be_refused';
  const { ends, connector, heloName, login, certificateNames: names } = session;
  tally.add(verdict, sourceOf(ends.clientAddress), () => ({
    ...known(ends, connector),
    ...tried(event),
    helo: harmless(heloName),
    login: login === null ? null : harmless(login.name ?? '?'),
    tls: names !== null,
    tls_subject: (names ?? []).map(harmless),
  }));
}

type Refused = SessionEvent & { name: 'recipient' | 'sender' | 'login_refused' };

function tried(event: Refused): Partial<Example> & Pick<Example, 'what' | 'reason' | 'rule'> {
  const { rule } = event;
  if (event.name === 'login_refused') return { what: 'login', reason: 'limit', rule };
  const { reason } = event;
  if (event.name === 'sender') return { what: 'sender', reason, rule, sender: harmless(event.sender) };
  return {
    what: 'recipient',
    reason,
    rule,
    sender: harmless(event.sender),
    recipient: harmless(event.recipient),
  };
}

function known(ends: ConnectionEnds, connector: string | null): Omit<Example, 'what' | 'reason'> {
  return {
    client_address: ends.clientAddress,
    local: formatEndpoint({ address: ends.localAddress, port: ends.localPort }),
    connector,
    rule: null,
    helo: '',
    login: null,
    tls: false,
    tls_subject: [],
    sender: '',
    recipient: '',
  };
}
