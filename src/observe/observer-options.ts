// What an observer begins with, and what /readyz asks of it. Only shapes stand here.

import type { LogLevel } from './log.ts';
import type { LogSink } from './log-sink.ts';
import type { IsLocal, MessagesLogged } from './message-lines.ts';
import type { RulesOf } from './session-counts.ts';

export type Mode = 'enforce' | 'observe';

/** What /readyz tells. `upstream`: true = a server answered within the last 30 s, false = none of those tried did, null =
 * nobody knows. */
export interface Readiness {
  readonly listening: boolean;
  readonly upstream: boolean | null;
  readonly draining: boolean;
  readonly mode: Mode;
  /** Connectors that only observe although the mode is enforce. */
  readonly observing: readonly string[];
  /** Most clients seem to be one: the sentence about it. */
  readonly lostAddresses: string | null;
}

export interface ObserverOptions {
  readonly level: LogLevel;
  /** Readable lines for a terminal instead of JSON. */
  readonly pretty: boolean;
  readonly mode: Mode;
  /** Connectors that only observe although the mode is enforce; none when left out. */
  readonly observing?: readonly string[];
  /** Names of the connectors and `host:port` of the servers in the config: their series then start at 0. */
  readonly connectors: readonly string[];
  readonly servers: readonly string[];
  /** Their rules that let pass: these series start at 0 as well. */
  readonly rules?: RulesOf;
  /** Whether a forward-path names accepted domains alone; none does when left out. */
  readonly isLocal?: IsLocal;
  /** How many networks are banned now; none when left out. */
  readonly bans?: () => number;
  /** Whether an address is private, ours, or a gateway: such a one may hide others. */
  readonly isInside?: (address: string) => boolean;
  /** Standard output when left out. */
  readonly sink?: LogSink;
  /** Which messages have a line; all when left out. */
  readonly messages?: MessagesLogged;
  /** The file for relayed mail; none when left out. */
  readonly relayed?: LogSink;
  /** Of a worker thread where there are several: every line says it. */
  readonly worker?: number;
  /** One place: how many sessions were opened so far. Shared memory, where another thread may go on in the place of this one. */
  readonly opened?: Float64Array;
  /** Milliseconds that only grow; performance.now when left out. */
  readonly now?: () => number;
}
