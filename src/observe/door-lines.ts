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
    this.#tell(door, connector, 'connection refused', {
      decision: 'disconnect',
      reason,
      key: keyOfDoor(connector, reason, key),
      reply: spoken(reply, door),
    });
  }

  wouldRefuse(door: Door, connector: string, reason: DoorReason, reply: OwnReply, key?: string): void {
    this.#count(reason);
    this.#tell(door, connector, 'connection would be refused', {
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
    const { sentence, key } = HEADERS[result];
    this.#tell(peer, null, sentence, {
      local_address: peer.localAddress,
      local_port: peer.localPort,
      decision: result === 'hung_up' ? undefined : 'disconnect',
      reason: `proxy_header_${result}`,
      key,
      said: said === '' ? undefined : harmless(said),
    });
  }

  handshakeFailed(door: Door, connector: string, handshake: Handshake): void {
    this.#metrics.handshake(handshake.result);
    if (handshake.result === 'ok') return;
    this.#metrics.connector(connector).sessionEnded('client');
    const key = handshake.result === 'timeout' ? 'timeouts.tls_handshake' : undefined;
    this.#tell(door, connector, 'TLS handshake failed', { why: harmless(handshake.why), key });
  }

  #tell(door: Door, connector: string | null, sentence: string, fields: object): void {
    if (!this.#log.isLevelEnabled('info') || !this.#floods.mayTell(door.clientAddress)) return;
    this.#log.info({ ...whoKnocked(door, connector), ...fields }, sentence);
  }

  /** What policy alone refuses is no limit, nor is our own end. */
  #count(reason: DoorReason): void {
    if (!NO_LIMIT.has(reason)) this.#metrics.limited('door', reason);
  }
}

const NO_LIMIT: ReadonlySet<DoorReason> = new Set(['no_connector', 'connect', 'shutting_down']);

const FROM = 'listeners[].proxy_protocol.from';
const HEADERS: Readonly<Record<Exclude<HeaderResult, 'ok'>, { readonly sentence: string; readonly key?: string }>> = {
  not_listed: { sentence: 'connection closed: this peer is not listed as one that sends a PROXY header', key: FROM },
  none: { sentence: 'connection closed: this peer is to send a PROXY header, and sent something else', key: FROM },
  bad: { sentence: 'connection closed: its PROXY header is malformed' },
  too_long: { sentence: 'connection closed: its PROXY header is longer than one may be' },
  late: { sentence: 'connection closed: no whole PROXY header came in time', key: 'timeouts.proxy_header' },
  hung_up: { sentence: 'the peer closed the connection within its PROXY header' },
};

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
