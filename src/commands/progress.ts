// How far a long reading is: one line of a terminal that is written over, and nothing at all where there is none.

import { formatAge, formatOctets } from '../status/words.ts';
import type { Output } from './output.ts';

const EVERY_MS = 200;
const BEGIN_LINE = '\r\x1b[K'; // ECMA-48: to its beginning, and erased

export class Progress {
  readonly #out: Output;
  readonly #now: () => number;
  readonly #began: number;
  #said = Number.NEGATIVE_INFINITY;

  constructor(out: Output, now = () => performance.now()) {
    this.#out = out;
    this.#now = now;
    this.#began = now();
  }

  /** Octets done, and of how many; null: nobody knows. */
  at(done: number, total: number | null): void {
    if (this.#out.stderrIsTTY !== true) return;
    const now = this.#now();
    if (now - this.#said < EVERY_MS) return;
    this.#said = now;
    const speed = done / Math.max(1, now - this.#began);
    const left = total === null ? '' : `, ${formatAge((total - done) / Math.max(1e-9, speed))} left`;
    const share =
      total === null ? '' : `${Math.floor((100 * done) / Math.max(1, total))} % of ${formatOctets(total)}, `;
    this.#out.stderr(`${BEGIN_LINE}${share}${formatOctets(done)} read, ${formatOctets(speed * 1000)}/s${left}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#said !== Number.NEGATIVE_INFINITY) this.#out.stderr(BEGIN_LINE);
  }
}
