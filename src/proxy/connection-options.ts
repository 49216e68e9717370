// What a connection is given, and what it tells about its session.

import type { Admitted, CloseReason, ConnectionEnds, Handshake, Profile, SessionEvent } from '../smtp/types.ts';
import type { ByteStream } from './byte-stream.ts';
import type { Caller } from './call.ts';
import type { ClientTls } from './client-tls.ts';
import type { FairQueue } from './fair-queue.ts';
import type { Timeouts } from './phase-timers.ts';
import type { Upstream } from './upstream.ts';

/** What a connection tells about its session; the plain fields are written as it goes. */
export interface SessionWatcher {
  /** Of this session in the log: unique in its thread. */
  readonly number: number;
  octetsFromClient: number;
  octetsFromUpstream: number;
  heloName: string;
  server: string;
  event(event: SessionEvent): void;
  handshake(handshake: Handshake): void;
  delay(seconds: number): void;
  closed(reason: CloseReason): void;
}

/** It is also who the client is, for a server that is told. */
export interface ConnectionOptions extends Caller {
  readonly client: ByteStream;
  /** How its handshake ended, where TLS came before all else; null: it is in clear text. */
  readonly handshake: (Handshake & { result: 'ok' }) | null;
  /** For a handshake that comes later. */
  readonly tls: ClientTls;
  /** Octets that came behind a PROXY header. */
  readonly early: Buffer | null;
  readonly ends: ConnectionEnds;
  readonly profile: Profile;
  /** Judges, and hears what the watcher hears. */
  readonly admitted: Admitted;
  readonly upstream: Upstream;
  readonly timeouts: Timeouts;
  readonly queue: FairQueue;
  readonly watcher: SessionWatcher;
  defect(error: unknown, doing: string): void;
  /** Both sides are gone, or going without us. */
  ended(): void;
}
