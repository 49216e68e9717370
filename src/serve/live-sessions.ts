// The sessions of one thread as an operator asks for them: those that match, up to a number, and how many do what.
//
// Invariant: one pass over what is open, in slices between which clients are served, and an answer that is bounded whatever is.
// The threads' answers are put together here as well.

import { Pace } from '../observe/pace.ts';
import type { SessionTally } from '../observe/session-counts.ts';
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
  /** All sessions, whatever was asked for. */
  readonly open: number;
  readonly sessions: readonly NumberedSnapshot[];
  readonly more: boolean;
}

/** `count`: how many there are. */
export async function findSessions(
  all: Iterable<LiveSession>,
  count: number,
  asked: SessionQuestion,
  worker: number,
): Promise<SessionsFound> {
  const sessions: NumberedSnapshot[] = [];
  const pace = new Pace();
  for (const one of all) {
    if (pace.isOver) await pace.turn();
    if (!matches(one.outline, asked)) continue;
    if (sessions.length === asked.most) return { open: count, sessions, more: true };
    sessions.push({ ...one.snapshot(performance.now()), worker });
  }
  return { open: count, sessions, more: false };
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
  const open = parts.reduce((sum, part) => sum + part.open, 0);
  return { open, sessions: sessions.slice(0, most), more: sessions.length > most || parts.some(({ more }) => more) };
}

export async function tallySessions(open: Iterable<LiveSession>): Promise<SessionTally> {
  const byPhase: Record<string, number> = {};
  const byConnector: Record<string, number> = Object.create(null); // one may be called toString
  const pace = new Pace();
  for (const { outline } of open) {
    const { phase, connector } = outline;
    if (pace.isOver) await pace.turn();
    byPhase[phase] = (byPhase[phase] ?? 0) + 1;
    byConnector[connector] = (byConnector[connector] ?? 0) + 1;
  }
  return { byPhase, byConnector };
}
