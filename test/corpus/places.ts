// Where rows are said: a gate with a stand-in behind it, for one row at a time, used again by the rows that follow.
//
// Rows that need the same config share their places; so few gates are started, and many rows run side by side. How a
// gate is started is handed in.

import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import type { AdmissionControl, Place } from './conversation.ts';
import type { Row } from './rows.ts';

/** Starts a gate for this row's config before the upstream on that port. */
export type OpenGate = (row: Row, upstreamPort: number) => Promise<AdmissionControl>;

export class UpstreamSlots {
  readonly #open: OpenGate;
  readonly #most: number;
  readonly #all: Place[] = [];
  readonly #free = new Map<string, Place[]>();
  readonly #waiting: Array<() => void> = [];
  #busy = 0;

  /** At most `most` rows are said at a time. */
  constructor(open: OpenGate, most: number) {
    this.#open = open;
    this.#most = most;
  }

  async use<T>(row: Row, say: (place: Place) => Promise<T>): Promise<T> {
    while (this.#busy >= this.#most) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy++;
    const free = this.#freeFor(row);
    const place = free.pop() ?? (await this.#start(row));
    try {
      return await say(place);
    } finally {
      free.push(place);
      this.#busy--;
      this.#waiting.shift()?.();
    }
  }

  async close(): Promise<void> {
    for (const { gate, standIn } of this.#all) {
      await gate.close();
      await standIn.close();
    }
  }

  #freeFor(row: Row): Place[] {
    const key = JSON.stringify([row.config, row.backend?.refuse, row.backend?.greeting === '', row.source_ip]);
    const places = this.#free.get(key) ?? [];
    this.#free.set(key, places);
    return places;
  }

  async #start(row: Row): Promise<Place> {
    const standIn = await UpstreamStandIn.listen();
    const place = { standIn, gate: await this.#open(row, standIn.port) };
    this.#all.push(place);
    return place;
  }
}
