// The sessions of one thread as an operator asks for them: those that match, up to a number, and how many do what.
//
// Invariant: one pass over what is open, in slices between which clients are served, and an answer that is bounded whatever is.
// The threads' answers are put together here as well.

import { setImmediate as turn } from 'node:timers/promises';
import { isWithin } from '../policy/networks.ts';
import type { LiveSession, Outline, Snapshot } from '../proxy/snapshot.ts';

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

const SLICE = 500; // sessions: some 0.3 ms

export async function findSessions(
  open: Iterable<LiveSession>,
  asked: SessionQuestion,
  worker: number,
): Promise<SessionsFound> {
  const sessions: NumberedSnapshot[] = [];
  let seen = 0;
  for (const one of open) {
    if (++seen % SLICE === 0) await turn();
    if (!matches(one.outline, asked)) continue;
    if (sessions.length === asked.most) return { sessions, more: true };
    sessions.push({ ...one.snapshot(performance.now()), worker });
  }
  return { sessions, more: false };
}

function matches(one: Outline, { network, connector, server, phase }: SessionQuestion): boolean {
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

export async function tallySessions(open: Iterable<LiveSession>): Promise<SessionTally> {
  const byPhase: Record<string, number> = {};
  const byConnector: Record<string, number> = {};
  let sessions = 0;
  for (const { outline } of open) {
    const { phase, connector } = outline;
    if (++sessions % SLICE === 0) await turn();
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
