// The sessions of one thread as an operator asks for them: those that match, up to a number, and how many do what.
//
// Invariant: one pass over what is open, and an answer that is bounded whatever is. Pure but for what is handed in; the
// threads' answers are put together here as well.

import { isWithin } from '../policy/networks.ts';
import type { Snapshot } from '../proxy/snapshot.ts';

/** Null: any. */
export interface SessionQuestion {
  /** As `isWithin` reads it. */
  readonly network: string | null;
  readonly connector: string | null;
  readonly server: string | null;
  readonly phase: string | null;
  readonly most: number;
}

/** `worker`: of which thread. */
export interface NumberedSnapshot extends Snapshot {
  readonly worker: number;
}

export interface SessionsFound {
  readonly sessions: readonly NumberedSnapshot[];
  readonly more: boolean;
}

export interface SessionTally {
  readonly open: number;
  readonly byPhase: Readonly<Record<string, number>>;
  readonly byConnector: Readonly<Record<string, number>>;
}

export const NO_SESSIONS: SessionTally = { open: 0, byPhase: {}, byConnector: {} };

export function findSessions(open: Iterable<Snapshot>, asked: SessionQuestion, worker: number): SessionsFound {
  const sessions: NumberedSnapshot[] = [];
  for (const one of open) {
    if (!matches(one, asked)) continue;
    if (sessions.length === asked.most) return { sessions, more: true };
    sessions.push({ ...one, worker });
  }
  return { sessions, more: false };
}

function matches(one: Snapshot, { network, connector, server, phase }: SessionQuestion): boolean {
  return (
    (connector === null || one.connector === connector) &&
    (server === null || one.server === server) &&
    (phase === null || one.phase === phase) &&
    (network === null || isWithin(one.clientAddress, network))
  );
}

/** The oldest of all. */
export function mergeFound(parts: readonly SessionsFound[], most: number): SessionsFound {
  const sessions = parts.flatMap((part) => part.sessions).toSorted((a, b) => b.openForMs - a.openForMs);
  return { sessions: sessions.slice(0, most), more: sessions.length > most || parts.some(({ more }) => more) };
}

export function tallySessions(open: Iterable<Snapshot>): SessionTally {
  const byPhase: Record<string, number> = {};
  const byConnector: Record<string, number> = {};
  let sessions = 0;
  for (const { phase, connector } of open) {
    sessions++;
    byPhase[phase] = (byPhase[phase] ?? 0) + 1;
    byConnector[connector] = (byConnector[connector] ?? 0) + 1;
  }
  return { open: sessions, byPhase, byConnector };
}

export function addTallies(tallies: readonly SessionTally[]): SessionTally {
  return tallies.reduce(
    (all, one) => ({
      open: all.open + one.open,
      byPhase: added(all.byPhase, one.byPhase),
      byConnector: added(all.byConnector, one.byConnector),
    }),
    NO_SESSIONS,
  );
}

function added(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const sum = { ...a };
  for (const [name, count] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}
