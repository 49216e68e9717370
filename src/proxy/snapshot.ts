// What a session is doing at one moment, as plain data that may cross to another thread.
//
// Times are told as ages in milliseconds: the clocks of two threads do not begin together. Not here: what an operator is
// shown of it (status/), and who asks.

import {
  AWAITING_COMMAND,
  AWAITING_DECISION,
  AWAITING_HANDSHAKE,
  AWAITING_MAIL_DATA,
  AWAITING_OPAQUE,
  DONE,
  type Session,
} from '../smtp/session.ts';
import type { Backpressure } from './backpressure.ts';
import type { ConnectionOptions } from './connection-options.ts';
import type { PhaseTimers } from './phase-timers.ts';

/** The phases, by what the session awaits; before them `connect`, in which the servers are called. */
const PHASES = [
  ...(['greeting', 'command', 'reply', 'go-ahead', 'mail-data', 'confirmation', 'decision', 'closing'] as const),
  ...(['tls-handshake', 'opaque'] as const),
] as const;

export const ALL_PHASES: readonly string[] = ['connect', ...PHASES];

export type Phase = 'connect' | (typeof PHASES)[number];
/** `postern`: a decision that waits for DNS or for counters elsewhere, or the tarpit. `either`: nothing is read any more. */
export type WaitsFor = 'client' | 'server' | 'postern' | 'either';

/** What a session can be found by; costs next to nothing. */
export interface Outline {
  /** In the log; unique in its thread. */
  readonly number: number;
  readonly clientAddress: string;
  readonly connector: string;
  /** `host:port`; '' while none has greeted. */
  readonly server: string;
  readonly phase: Phase;
}

export interface Snapshot extends Outline {
  readonly clientPort: number;
  readonly waitsFor: WaitsFor;
  readonly waitsForMs: number;
  readonly openForMs: number;
  readonly octetsFromClient: number;
  readonly octetsFromUpstream: number;
  /** As received; latin-1. */
  readonly login: string | null;
  readonly helo: string;
  /** '' before the first command, and where it may be part of a login. */
  readonly verb: string;
}

export interface LiveSession {
  readonly outline: Outline;
  /** `now` as of performance.now(). */
  snapshot(now: number): Snapshot;
}

/** What the connection knows beside its session. */
interface Sockets {
  readonly dialling: boolean;
  readonly unread: Backpressure;
  readonly untaken: Backpressure;
  readonly inTarpit: boolean;
  readonly openedAt: number;
  readonly now: number;
}

export function outlineOf({ watcher, ends, profile }: ConnectionOptions, session: Session, dialling: boolean): Outline {
  const phase = dialling ? 'connect' : (PHASES[session.doing] as Phase);
  const { number, server } = watcher;
  return { number, clientAddress: ends.clientAddress, connector: profile.connector, server, phase };
}

export function snapshotOf(
  options: ConnectionOptions,
  session: Session,
  timers: PhaseTimers,
  sockets: Sockets,
): Snapshot {
  const { dialling, now, openedAt } = sockets;
  const [waitsFor, since] = dialling ? (['server', openedAt] as const) : waiting(session.doing, timers, sockets);
  const { watcher, ends } = options;
  return {
    ...outlineOf(options, session, dialling),
    clientPort: ends.clientPort,
    waitsFor,
    waitsForMs: Math.max(0, now - since),
    openForMs: now - openedAt,
    octetsFromClient: watcher.octetsFromClient,
    octetsFromUpstream: watcher.octetsFromUpstream,
    login: session.loginName,
    helo: session.helo,
    verb: session.verb,
  };
}

/** A side that does not take what it is sent keeps us waiting before anything else. */
function waiting(
  doing: number,
  timers: PhaseTimers,
  { unread, untaken, inTarpit }: Sockets,
): readonly [waitsFor: WaitsFor, since: number] {
  if (unread.isFull) return ['client', unread.since];
  if (untaken.isFull) return ['server', untaken.since];
  const since = timers.waitsSince;
  if (inTarpit) return ['postern', since];
  switch (doing) {
    case AWAITING_COMMAND:
    case AWAITING_MAIL_DATA:
    case AWAITING_HANDSHAKE:
      return ['client', since];
    case AWAITING_DECISION:
    case DONE:
      return ['postern', since];
    case AWAITING_OPAQUE:
      return ['either', since];
    default:
      return ['server', since];
  }
}
