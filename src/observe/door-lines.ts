// The lines and counts of the door: who was refused there, would have been, or did not get through the handshake.
//
// A client that is let in has no line here; its session has one at its end (session-lines.ts).

import type { Logger } from 'pino';
import { formatReply } from '../smtp/replies.ts';
import type { Door, DoorReason, Handshake, OwnReply } from '../smtp/types.ts';
import { harmless } from './log.ts';
import type { Metrics } from './metrics.ts';

export class DoorLines {
  readonly #log: Logger;
  readonly #metrics: Metrics;

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  refused(door: Door, connector: string | null, reason: DoorReason, reply: OwnReply): void {
    this.#metrics.connector(connector).sessionEnded('refused');
    this.#count(reason);
    const who = whoKnocked(door, connector);
    this.#log.info({ ...who, decision: 'disconnect', reason, reply: spoken(reply, door) }, 'connection refused');
  }

  wouldRefuse(door: Door, connector: string, reason: DoorReason, reply: OwnReply): void {
    this.#count(reason);
    const who = whoKnocked(door, connector);
    this.#log.info(
      { ...who, decision: 'would_reject', reason, reply: spoken(reply, door) },
      'connection would be refused',
    );
  }

  handshakeFailed(door: Door, connector: string, handshake: Handshake): void {
    this.#metrics.handshake(handshake.result);
    if (handshake.result === 'ok') return;
    this.#metrics.connector(connector).sessionEnded('client');
    this.#log.info({ ...whoKnocked(door, connector), why: harmless(handshake.why) }, 'TLS handshake failed');
  }

  /** What policy alone refuses is no limit. */
  #count(reason: DoorReason): void {
    if (reason !== 'no_connector' && reason !== 'connect') this.#metrics.limited('door', reason);
  }
}

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
