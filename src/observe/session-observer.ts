// What a session tells its log and its metrics.

import type { CloseReason, Handshake, SessionEvent } from '../smtp/types.ts';

/** One session, from admission to its end. The plain fields are written by the driver as it goes: plain numbers and a
 * string cost nothing per chunk, and the metrics read them when they are asked for. */
export interface SessionObserver {
  /** Unique in its thread; every line about this session has it. */
  readonly number: number;
  /** Octets received so far. Only ever grow. */
  octetsFromClient: number;
  octetsFromUpstream: number;
  /** As received; latin-1. Set whenever it is known or changes, at the latest before an event and before `closed`. */
  heloName: string;
  /** `host:port` of the server that serves it, once it is known; '' before. */
  server: string;
  /** Straight from Wire.event. */
  event(event: SessionEvent): void;
  /** The client's handshake has ended. */
  handshake(handshake: Handshake): void;
  /** What we added to one command: from its octets' arrival to their departure, in seconds. */
  delay(seconds: number): void;
  /** The summary line. Exactly once; later calls are ignored. */
  closed(reason: CloseReason): void;
}
