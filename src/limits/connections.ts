// How many connections are open: for each connector, and for each source within a connector.
//
// Exact counts of what is open now, so memory is bounded by the connections themselves. An attempt that a limit refuses
// is not counted. Rates and bans are not here: they need a clock. Nor is what the upstream takes (proxy/places.ts).

export interface ConnectionLimits {
  readonly source: number;
  readonly connector: number;
}

/** Which limit is reached; null = none. */
export type Reached = 'source' | 'connector' | null;

export class Connections {
  readonly #counts = new Map<string, number>();

  /** Which limit one more connection would pass, the narrowest first. `source` is whatever stands for one client network. */
  reached(connector: string, source: string, limits: ConnectionLimits): Reached {
    if (this.#count(key(connector, source)) >= limits.source) return 'source';
    return this.#count(connector) >= limits.connector ? 'connector' : null;
  }

  /** Counts one connection; the function returned, called once, uncounts it. */
  open(connector: string, source: string): () => void {
    const own = key(connector, source);
    this.#add(own, 1);
    this.#add(connector, 1);
    return () => {
      this.#add(own, -1);
      this.#add(connector, -1);
    };
  }

  #count(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  #add(name: string, difference: number): void {
    const count = this.#count(name) + difference;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
  }
}

/** Connector names are text of the config; a NUL cannot stand in one. */
function key(connector: string, source: string): string {
  return `${connector}\0${source}`;
}
