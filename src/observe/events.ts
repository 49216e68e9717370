// What the firewall tells its operator: one named function per business event.
//
// The other rooms call these and know neither the logger nor the metrics. Nothing here throws, waits, or is asked to
// remember mail: the only strings a peer chose that come in are names and addresses, and log.ts makes those harmless.
// Not here: per-command lines (a busy relay would drown in them) and anything that needs a socket.

import type { CloseReason, Door, OwnReply, SessionEvent } from '../smtp/types.ts';

/** Why a connection was refused before it was a session. A closed set: it is a metric label. */
export type RefusedAtDoor = 'no_connector' | 'connect' | 'connections' | 'upstream_connections' | 'banned';

/** One session, from admission to its end. The three fields are written by the driver as it goes: plain numbers and a
 * string cost nothing per chunk, and the metrics read them when they are asked for. */
export interface SessionObserver {
  /** Octets received so far. Only ever grow. */
  octetsFromClient: number;
  octetsFromUpstream: number;
  /** As received; latin-1. Set whenever it is known or changes, at the latest before an event and before `closed`. */
  heloName: string;
  /** Straight from Wire.event. */
  event(event: SessionEvent): void;
  /** What we added to one command: from its octets' arrival to their departure. A sample of the commands will do. */
  delay(seconds: number): void;
  /** The summary line. Exactly once; later calls are ignored. */
  closed(reason: CloseReason): void;
}

/** What /readyz tells. `upstream` is null while no server was tried yet. */
export interface Readiness {
  readonly listening: boolean;
  readonly upstream: boolean | null;
  readonly draining: boolean;
  readonly mode: 'enforce' | 'observe';
}

export interface Observer {
  sessionOpened(door: Door, connector: string): SessionObserver;
  refusedAtDoor(door: Door, connector: string | null, reason: RefusedAtDoor, reply: OwnReply): void;
  /** A server of the config answered, or did not. Logs only the change. */
  upstreamUp(server: string, up: boolean, why?: string): void;
  /** Seconds from dial to an established connection. */
  upstreamConnected(server: string, seconds: number): void;
  /** A fault of ours that was caught: counted, logged with its stack, and the process lives on. */
  defect(error: unknown, doing: string): void;
  /** All listeners are open. `addresses` as bound. */
  listening(addresses: readonly string[]): void;
  /** SIGTERM or SIGINT came: `sessions` are still open. */
  draining(sessions: number): void;
  /** The last session is gone, or the time was up with `sessions` cut off. */
  drained(sessions: number): void;
  reloaded(file: string): void;
  /** The old config stays. `findings` as `check` prints them. */
  reloadRefused(file: string, findings: readonly string[]): void;
  /** A sentence for the operator that has no event of its own. `about`: fields of ours, never peer bytes. */
  warn(sentence: string, about?: Readonly<Record<string, string | number>>): void;
  /** Writes a socket error or a similar peer fault at level debug. */
  debug(sentence: string, about?: Readonly<Record<string, string | number>>): void;
  readiness(): Readiness;
  /** The Prometheus exposition text. */
  metrics(): Promise<string>;
  /** Writes out what is still in memory, synchronously: the last call before process.exit. */
  flush(): void;
}
