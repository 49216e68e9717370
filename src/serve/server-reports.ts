// How a server is doing where several threads see it for themselves: one report of theirs.

import type { ServerReport } from '../proxy/upstream.ts';

/** Down where one of them has it down, and for as long as the first of these; up since none of them has seen it otherwise.
 * Of each thread the reports of all servers. */
export function mergeReports(threads: readonly (readonly ServerReport[])[]): ServerReport[] {
  const found = new Map<string, ServerReport>();
  for (const report of threads.flat()) {
    const other = found.get(report.server);
    found.set(report.server, other === undefined ? report : both(other, report));
  }
  return [...found.values()];
}

function both(a: ServerReport, b: ServerReport): ServerReport {
  const sessions = a.sessions + b.sessions;
  if (a.up !== b.up) return { ...(a.up ? b : a), sessions };
  const ages = [a.forMs, b.forMs].filter((age) => age !== null);
  const forMs = ages.length === 0 ? null : a.up ? Math.min(...ages) : Math.max(...ages);
  return { ...a, forMs, sessions };
}
