// The lines and counts of connections that had no session: who was refused, would have been, whose PROXY header was none, and who did not get
// through the handshake.
//
// As with all refusals, those of one source are told up to a limit and then counted (floods.ts).
// A client that is let in has no line here; its session has one at its end (session-lines.ts).

import type { Logger } from 'pino';
import { formatReply } from '../smtp/replies.ts';
import type { ConnectionEnds, ConnectionRefusal, Handshake, HeaderResult, OwnReply } from '../smtp/types.ts';
import type { Floods } from './floods.ts';
import { keyOfDoor } from './keys.ts';
import { type FieldsOf, type LineName, write } from './lines.ts';
import { harmless } from './log.ts';
import type { Metrics } from './metrics.ts';

export class ConnectionLines {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #floods: Floods;

  constructor(log: Logger, metrics: Metrics, floods: Floods) {
    this.#log = log;
    this.#metrics = metrics;
    this.#floods = floods;
  }

  refused(
    ends: ConnectionEnds,
    connector: string | null,
    reason: ConnectionRefusal,
    reply: OwnReply,
    key?: string,
  ): void {
    this.#metrics.connector(connector).sessionEnded('refused');
    this.#count(reason);
    this.#tell(ends, connector, 'connection_refused', {
      decision: 'disconnect',
      reason,
      key: keyOfDoor(connector, reason, key),
      reply: spoken(reply, ends),
    });
  }

  wouldRefuse(ends: ConnectionEnds, connector: string, reason: ConnectionRefusal, reply: OwnReply, key?: string): void {
    this.#count(reason);
    this.#tell(ends, connector, 'connection_would_be_refused', {
      decision: 'would_reject',
      reason,
      key: keyOfDoor(connector, reason, key),
      reply: spoken(reply, ends),
    });
  }

  /** A listener that wants a PROXY header: `peer` is who connected, `said` the first that it said. */
  header(peer: ConnectionEnds, result: HeaderResult, said: string): void {
    this.#metrics.header(result);
    if (result === 'ok') return;
    if (result === 'hung_up') {
      if (said === '') return; // whoever only looks whether the port is open
    } else this.#metrics.connector(null).sessionEnded('refused');
    const where = { local_address: peer.localAddress, local_port: peer.localPort };
    const fields = { ...where, reason: `proxy_header_${result}`, said: said === '' ? undefined : harmless(said) };
    if (result === 'hung_up') this.#tell(peer, null, 'header_hung_up', fields);
    else this.#tell(peer, null, `header_${result}`, { ...fields, decision: 'disconnect', key: KEY_OF_HEADER[result] });
  }

  handshakeFailed(ends: ConnectionEnds, connector: string, handshake: Handshake): void {
    this.#metrics.handshake(handshake.result);
    if (handshake.result === 'ok') return;
    this.#metrics.connector(connector).sessionEnded('client');
    const key = handshake.result === 'timeout' ? 'timeouts.tls_handshake' : undefined;
    this.#tell(ends, connector, 'handshake_failed', { why: harmless(handshake.why), key });
  }

  #tell<Name extends LineName>(
    ends: ConnectionEnds,
    connector: string | null,
    name: Name,
    fields: Omit<FieldsOf<Name>, keyof Knocked>,
  ): void {
    if (!this.#log.isLevelEnabled('info') || !this.#floods.mayTell(ends.clientAddress)) return;
    write(this.#log, name, { ...whoKnocked(ends, connector), ...fields } as unknown as FieldsOf<Name>);
  }

  /** What policy alone refuses is no limit, nor is our own end. */
  #count(reason: ConnectionRefusal): void {
    if (!NO_LIMIT.has(reason)) this.#metrics.limited('door', reason);
  }
}

const NO_LIMIT: ReadonlySet<ConnectionRefusal> = new Set(['no_connector', 'connect', 'shutting_down']);

const FROM = 'listeners[].proxy_protocol.from';
const KEY_OF_HEADER: Readonly<Partial<Record<HeaderResult, string>>> = {
  not_listed: FROM,
  none: FROM,
  late: 'timeouts.proxy_header',
};

type Knocked = ReturnType<typeof whoKnocked>;

function whoKnocked(ends: ConnectionEnds, connector: string | null) {
  return {
    client_address: ends.clientAddress,
    client_port: ends.clientPort,
    connector: connector ?? undefined,
    protocol_state: 'CONNECT',
  };
}

/** As the client heard it. */
function spoken(reply: OwnReply, ends: ConnectionEnds): string {
  return formatReply(reply, true, { client_address: ends.clientAddress }).toString('latin1').trimEnd();
}
