// What threads that serve clients are given, and what they call of each other: the shapes that listeners.ts, worker-pool.ts and
// worker.ts share. Only shapes stand here.

import type { FlagValues } from '../config/flags.ts';
import type { World } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { StoreCalls } from '../limits/remote-store.ts';
import type { Ban } from '../limits/store.ts';
import type { Measured } from '../observe/measured.ts';
import type { Policy } from '../policy/policy.ts';
import type { Endpoint } from '../proxy/address.ts';
import type { Credentials } from '../proxy/client-tls.ts';
import type { SlotCalls } from '../proxy/remote-slots.ts';
import type { ServerReport, ServerState } from '../proxy/server-reports.ts';
import type { Refusals } from '../status/refusals.ts';
import type { SessionQuestion, SessionsFound } from './live-sessions.ts';

/** With this and the same variables, any thread loads the same configuration. */
export interface LoadOrder {
  readonly file: string | null;
  readonly values: FlagValues;
  readonly world: World;
}

/** What a reload puts in force. */
export interface InForce {
  /** What of it a reload changes: the servers behind. */
  readonly config: Config;
  readonly policy: Policy;
  /** Of each listener, in the order of the configuration; null where they stay as they are. */
  readonly credentials: readonly Credentials[] | null;
}

/** Where clients come in. */
export interface Listeners {
  readonly addresses: readonly Endpoint[];
  /** False while one of several threads is down. */
  readonly isOpen: boolean;
  /** So many threads are to serve clients, so many do. */
  readonly threads: { readonly configured: number; readonly open: number };
  /** What each thread counts; those that ended too. */
  measured(): Promise<(readonly Measured[])[]>;
  /** Whether an upstream server greets. */
  greets(): Promise<boolean>;
  /** How each of them is doing. */
  servers(): Promise<readonly ServerState[]> | readonly ServerState[];
  /** The same for the operator. */
  reports(): Promise<readonly ServerReport[]> | readonly ServerReport[];
  /** Keeps new sessions away from a server, or lets them go there again. False when there is none of this name. */
  drainServer(server: string, draining: boolean): Promise<boolean> | boolean;
  /** The operator keeps them away from every server. */
  readonly areAllDrained: boolean;
  sessions(asked: SessionQuestion): Promise<SessionsFound> | SessionsFound;
  /** Who was refused since this was last asked. */
  refusals(): Promise<Refusals> | Refusals;
  /** Ends a session at its next boundary between transactions. False when there is no such one. */
  endSession(worker: number, session: number): Promise<boolean> | boolean;
  /** How many sessions of this thread a server has. */
  serving(server: string): Promise<number> | number;
  /** The names of an address that DNS gave last; null when it gave none. */
  names(address: string): Promise<readonly string[] | null> | readonly string[] | null;
  putInForce(next: InForce, order: LoadOrder | undefined): Promise<void> | void;
  /** Stops listening; how many sessions there are still. */
  stopListening(): Promise<number> | number;
  /** How many sessions had to be cut off. */
  drain(patience: number): Promise<number>;
  /** Ends the sessions of who is banned, each at its next boundary between transactions. */
  endSessions(ban: Ban): void;
  cutOff(): void;
}

/** What a worker begins with. */
export interface Start {
  readonly number: number;
  /** With the ports as bound by the first. */
  readonly config: Config;
  readonly order: LoadOrder;
  readonly credentials: readonly Credentials[];
  readonly ticketKeys: Uint8Array;
  /** How many sessions the workers of this number have opened: shared, so that no two have one number (DELETE /sessions/ID). */
  readonly opened: Float64Array;
  /** Servers that the operator keeps new sessions away from. */
  readonly drained: readonly string[];
}

/** What the main thread may call. */
export type WorkerCalls = {
  /** First. The addresses as bound; rejects with a sentence that names the one that cannot be. */
  open(start: Start): Promise<readonly Endpoint[]>;
  measured(): Promise<Measured[]>;
  greets(): Promise<boolean>;
  servers(): Promise<readonly ServerState[]>;
  reports(): Promise<readonly ServerReport[]>;
  drainServer(server: string, draining: boolean): Promise<boolean>;
  sessions(asked: SessionQuestion): Promise<SessionsFound>;
  refusals(): Promise<Refusals>;
  endSession(worker: number, session: number): Promise<boolean>;
  serving(server: string): Promise<number>;
  names(address: string): readonly string[] | null;
  /** Whether its event loop turns. */
  lives(): true;
  putInForce(order: LoadOrder, credentials: readonly Credentials[] | null): Promise<true>;
  stopListening(): Promise<number>;
  drain(patience: number): Promise<number>;
  endSessions(ban: Ban): Promise<void>;
  cutOff(): Promise<void>;
};

/** What a worker may call. */
export type PoolCalls = StoreCalls &
  SlotCalls & {
    banned(ban: Ban): void;
    log(text: string, lines: number): Promise<void>;
    /** Lines for the file for relayed mail. */
    relayed(text: string, lines: number): Promise<void>;
    upstreamUp(server: string, up: boolean, why?: string, nextProbe?: number): void;
    upstreamSilent(server: string, greeted: boolean): void;
    upstreamFull(server: string, sessions: number, why: string): void;
    /** Whether some worker has sessions at this server. */
    serves(server: string): Promise<boolean>;
    /** The addresses of clients that have come to MAIL, one for each session. */
    broughtMail(addresses: readonly string[]): void;
    lostAddress(address: string): void;
  };
