// What this machine or this process is short of: descriptors, ports, memory. Told once a minute, counted always.
//
// It is no fault of a server and none of a client, so neither is blamed: the session that it hits hears 421.

import type { Logger } from 'pino';
import { write } from './lines.ts';
import type { Metrics } from './metrics.ts';
import { SHORTAGES } from './shortage-causes.ts';

const REMIND_AFTER_MS = 60_000;

export class Shortages {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #saidAt = new Map<string, number>();

  constructor(log: Logger, metrics: Metrics, now: () => number) {
    this.#log = log;
    this.#metrics = metrics;
    this.#now = now;
  }

  /** `code`: one of SHORTAGES; `doing`: what it was wanted for. */
  met(code: string, doing: 'accept' | 'connect'): void {
    this.#metrics.shortOf(code);
    const now = this.#now();
    if (now - (this.#saidAt.get(code) ?? Number.NEGATIVE_INFINITY) < REMIND_AFTER_MS) return;
    this.#saidAt.set(code, now);
    write(this.#log, 'shortage', { code, doing }, `short of ${SHORTAGES[code] ?? code}`);
  }
}
