// How servers are doing, and one report of it where several see it for themselves: threads, or two upstreams that name the same server.

/** For /readyz. */
export interface ServerState {
  readonly server: string;
  readonly up: boolean;
  /** The names of the upstreams that it is one of; left out where that is the default alone. */
  readonly upstreams?: readonly string[];
  /** The operator keeps new sessions away; left out where he does not. */
  readonly draining?: true;
  readonly why?: string;
  readonly next_probe_seconds?: number;
}

/** The same for the operator. */
export interface ServerReport extends ServerState {
  /** For how long it has been up or down, ms; null: it was never asked. */
  readonly forMs: number | null;
  /** Sessions that it has. */
  readonly sessions: number;
}

/** Down where one of them has it down. */
export function mergeStates(states: readonly ServerState[]): ServerState[] {
  return merge(states, (a, b) => ({ ...(a.up ? b : a), ...upstreamsOf(a, b) }));
}

/** Down where one of them has it down, and for as long as the first of these; up since none of them has seen it otherwise. */
export function mergeReports(reports: readonly ServerReport[]): ServerReport[] {
  return merge(reports, (a, b) => {
    const shared = { ...upstreamsOf(a, b), sessions: a.sessions + b.sessions };
    if (a.up !== b.up) return { ...(a.up ? b : a), ...shared };
    const ages = [a.forMs, b.forMs].filter((age) => age !== null);
    const forMs = ages.length === 0 ? null : a.up ? Math.min(...ages) : Math.max(...ages);
    return { ...a, ...shared, forMs };
  });
}

function merge<State extends ServerState>(states: readonly State[], both: (a: State, b: State) => State): State[] {
  const found = new Map<string, State>();
  for (const state of states) {
    const other = found.get(state.server);
    found.set(state.server, other === undefined ? state : both(other, state));
  }
  return [...found.values()];
}

function upstreamsOf(a: ServerState, b: ServerState): Pick<ServerState, 'upstreams'> {
  if (a.upstreams === undefined && b.upstreams === undefined) return {};
  return { upstreams: [...new Set([...(a.upstreams ?? [DEFAULT]), ...(b.upstreams ?? [DEFAULT])])] };
}

const DEFAULT = 'default';
