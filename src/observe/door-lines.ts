// The lines and counts of the door: who was refused there, would have been, whose PROXY header was none, and who did not get
// through the handshake.
//
// As with all refusals, those of one source are told up to a limit and then counted (floods.ts).
// A client that is let in has no line here; its session has one at its end (session-lines.ts).

import type { Logger } from 'pino';
import { formatReply } from '../smtp/replies.ts';
import type { Door, DoorReason, Handshake, HeaderResult, OwnReply } from '../smtp/types.ts';
import type { Floods } from './floods.ts';
import { keyOfDoor } from './keys.ts';
import { type FieldsOf, type LineName, write } from './lines.ts';
import { harmless } from './log.ts';
import type { Metrics } from './metrics.ts';

export class DoorLines {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #floods: Floods;

  constructor(log: Logger, metrics: Metrics, floods: Floods) {
    this.#log = log;
    this.#metrics = metrics;
    this.#floods = floods;
  }

  refused(door: Door, connector: string | null, reason: DoorReason, reply: OwnReply, key?: string): void {
    this.#metrics.connector(connector).sessionEnded('refused');
    this.#count(reason);
    this.#tell(door, connector, 'connection_refused', {
      decision: 'disconnect',
      reason,
      key: keyOfDoor(connector, reason, key),
      reply: spoken(reply, door),
    });
  }

  wouldRefuse(door: Door, connector: string, reason: DoorReason, reply: OwnReply, key?: string): void {
    this.#count(reason);
    this.#tell(door, connector, 'connection_would_be_refused', {
      decision: 'would_reject',
      reason,
      key: keyOfDoor(connector, reason, key),
      reply: spoken(reply, door),
    });
  }

  /** A listener that wants a PROXY header: `peer` is who connected, `said` the first that it said. */
  header(peer: Door, result: HeaderResult, said: string): void {
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

  handshakeFailed(door: Door, connector: string, handshake: Handshake): void {
    this.#metrics.handshake(handshake.result);
    if (handshake.result === 'ok') return;
    this.#metrics.connector(connector).sessionEnded('client');
    const key = handshake.result === 'timeout' ? 'timeouts.tls_handshake' : undefined;
    this.#tell(door, connector, 'handshake_failed', { why: harmless(handshake.why), key });
  }

  #tell<Name extends LineName>(
    door: Door,
    connector: string | null,
    name: Name,
    fields: Omit<FieldsOf<Name>, keyof Knocked>,
  ): void {
    if (!this.#log.isLevelEnabled('info') || !this.#floods.mayTell(door.clientAddress)) return;
    write(this.#log, name, { ...whoKnocked(door, connector), ...fields } as unknown as FieldsOf<Name>);
  }

  /** What policy alone refuses is no limit, nor is our own end. */
  #count(reason: DoorReason): void {
    if (!NO_LIMIT.has(reason)) this.#metrics.limited('door', reason);
  }
}

const NO_LIMIT: ReadonlySet<DoorReason> = new Set(['no_connector', 'connect', 'shutting_down']);

const FROM = 'listeners[].proxy_protocol.from';
const KEY_OF_HEADER: Readonly<Partial<Record<HeaderResult, string>>> = {
  not_listed: FROM,
  none: FROM,
  late: 'timeouts.proxy_header',
};

type Knocked = ReturnType<typeof whoKnocked>;

function whoKnocked(door: Door, connector: string | null) {
  return {
    client_address: door.clientAddress,
    client_port: door.clientPort,
    connector: connector ?? undefined,
    protocol_state: 'CONNECT',
  };
}

/** As the client heard it. */
function spoken(reply: OwnReply, door: Door): string {
  return formatReply(reply, true, { client_address: door.clientAddress }).toString('latin1').trimEnd();
}
