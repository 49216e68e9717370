// The names of the sources of an inventory, by DNS: for those that the old server had none for.
//
// Some at a time, and no more than MOST. Where DNS answers nothing at all it is not waited for again and again.

import type { SourceRow } from '../moving-in/inventory.ts';

const AT_ONCE = 64;
const MOST = 10_000; // sources; more would take hours where DNS is slow

/** `namesOf`: null where DNS did not answer. What is to be said of it, or null. */
export async function addNames(
  rows: readonly SourceRow[],
  namesOf: (source: string) => Promise<readonly string[] | null>,
  signal: AbortSignal,
): Promise<string | null> {
  const nameless = rows.filter(({ names }) => names.isEmpty);
  const asked = nameless.slice(0, MOST);
  for (let at = 0; at < asked.length; at += AT_ONCE) {
    signal.throwIfAborted();
    const some = asked.slice(at, at + AT_ONCE);
    const found = await Promise.all(some.map(({ source }) => namesOf(source)));
    for (const [i, row] of some.entries()) for (const name of found[i] ?? []) row.names.add(name);
    if (found.every((names) => names === null))
      return `DNS did not answer for ${some[0]?.source} and ${some.length - 1} more: names are left out from there`;
  }
  return nameless.length > MOST ? `${MOST} sources were looked for in DNS, and ${nameless.length - MOST} not` : null;
}
