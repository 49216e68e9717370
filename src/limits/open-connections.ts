// How many connections are open: for each connector, and for each source within it.
//
// Exact counts of what is open now, so memory is bounded by the connections themselves. A source is counted for each connector
// by itself, as Exchange counts it. An attempt that a limit refuses is not counted.

import type { Entry, NoPlace, Open, Seat } from './store.ts';

export type Wanted = Pick<Entry, 'seat' | 'ofSource' | 'ofConnector' | 'percent'>;

interface OfConnector {
  open: number;
  readonly sources: Map<string, number>;
}

export class OpenConnections {
  readonly #connectors = new Map<string, OfConnector>();

  /** Which limit one more connection would pass, the narrowest first. */
  reached({ seat, ofSource, ofConnector, percent }: Wanted): 'source' | 'percent' | 'connector' | null {
    const connector = this.#connectors.get(seat.connector);
    const own = connector?.sources.get(seat.source) ?? 0;
    const open = connector?.open ?? 0;
    if (own >= ofSource) return 'source';
    if (own >= share(percent, ofConnector, open - own)) return 'percent';
    return open >= ofConnector ? 'connector' : null;
  }

  /** Whether the source alone brought that about. What the others leave is theirs: with nobody else there it would have a
   * place. */
  isOwnFault(reached: NoPlace, { seat, ofConnector, percent }: Wanted): boolean {
    if (reached !== 'percent') return reached !== 'connector';
    const own = this.#connectors.get(seat.connector)?.sources.get(seat.source) ?? 0;
    return own >= share(percent, ofConnector, 0);
  }

  enter({ connector, source }: Seat): void {
    let counts = this.#connectors.get(connector);
    if (counts === undefined) {
      counts = { open: 0, sources: new Map() };
      this.#connectors.set(connector, counts);
    }
    counts.open++;
    counts.sources.set(source, (counts.sources.get(source) ?? 0) + 1);
  }

  leave({ connector, source }: Seat): void {
    const counts = this.#connectors.get(connector);
    const own = counts?.sources.get(source);
    if (counts === undefined || own === undefined) return;
    counts.open--;
    if (own > 1) counts.sources.set(source, own - 1);
    else counts.sources.delete(source);
    if (counts.open === 0) this.#connectors.delete(connector);
  }

  *all(): Generator<Open> {
    for (const [connector, { sources }] of this.#connectors) {
      for (const [source, open] of sources) yield { connector, source, open };
    }
  }

  /** The sources that have most. */
  top(most: number): Open[] {
    return [...this.all()].sort((a, b) => b.open - a.open).slice(0, most);
  }
}

/** Exchange's MaxInboundConnectionPercentagePerSource: so many hundredths of what the others leave, and always one: who has
 * none yet is shut out by the connector's own limit alone. */
function share(percent: number, ofConnector: number, others: number): number {
  if (percent >= 100) return Number.POSITIVE_INFINITY;
  return Math.max(1, Math.floor((percent * (ofConnector - others)) / 100));
}
