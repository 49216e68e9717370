// Several lanes side by side, each a firewall of a random setting through which sessions go one after the other. They share the
// process, and with it the memory that is read into, so that octets of one session would be found in another.
//
// A seed gives each lane its own numbers; what the pool holds by then depends on which lane was quicker, so a run is repeated
// in kind, and a single case by its file.

import { numbers } from '../helpers/numbers.ts';
import { attack } from './attacks.ts';
import { Bed } from './bed.ts';
import type { Below, Case, Session } from './case.ts';
import { legitimateSession } from './legitimate.ts';
import { Novelty } from './novelty.ts';
import { play } from './play.ts';
import { randomSetting } from './settings.ts';
import { faultsOf } from './verdict.ts';

const SESSIONS_OF_A_BED = 60;
const SESSIONS_ALONE = 400;
/** The heap may grow by so much over what it was when all had warmed up. */
const GROWTH = 300 * 2 ** 20;
const WARM = 3000;

export interface FuzzerOptions {
  readonly seed: number;
  readonly lanes: number;
  /** Firewalls are processes of their own. */
  readonly alone: boolean;
}

export type Found = (one: Case, faults: readonly string[]) => void;

export class Fuzzer {
  sessions = 0;
  legitimate = 0;
  /** Recipients that servers executed. */
  executed = 0;
  settings = 0;
  /** Settings whose firewall did not come up. */
  unopened = 0;
  readonly #options: FuzzerOptions;
  readonly #novelty = new Novelty();
  readonly #started = performance.now();
  #warmHeap = 0;
  #mostHeap = 0;

  constructor(options: FuzzerOptions) {
    this.#options = options;
  }

  summary(): string {
    const minutes = (performance.now() - this.#started) / 60_000;
    const heap = Math.round(this.#mostHeap / 2 ** 20);
    const { user, system } = process.cpuUsage();
    const seconds = Math.round((user + system) / 1e6);
    return [
      `${minutes.toFixed(1)} min (${seconds} s of processor): ${this.sessions} sessions (${this.legitimate} legitimate) in ${this.settings} settings`,
      `${this.executed} recipients executed, ${this.#novelty.size} runs seen, heap ≤ ${heap} MiB`,
    ].join(', ');
  }

  async run(goesOn: () => boolean, found: Found): Promise<void> {
    const playing = new Set<Case>();
    const uncaught = (error: unknown): void => {
      const text = `defect uncaught: ${error instanceof Error ? error.stack : String(error)}`;
      for (const one of playing) found(one, [text]);
    };
    process.on('uncaughtException', uncaught);
    process.on('unhandledRejection', uncaught);
    try {
      const lanes = Array.from({ length: this.#options.lanes }, (_, lane) => this.#lane(lane, goesOn, found, playing));
      await Promise.all(lanes);
    } finally {
      process.off('uncaughtException', uncaught);
      process.off('unhandledRejection', uncaught);
    }
  }

  async #lane(lane: number, goesOn: () => boolean, found: Found, playing: Set<Case>): Promise<void> {
    const { seed, alone } = this.#options;
    const below = numbers(seed * 1009 + lane);
    while (goesOn()) {
      const bed = await Bed.open(randomSetting(below, alone)).catch((error: Error) => error);
      if (bed instanceof Error) {
        if (++this.unopened > 20 + this.settings) throw bed;
        continue; // on a machine with much to do a process may not be up in time
      }
      this.settings++;
      let last = null as Case | null;
      for (let count = alone ? SESSIONS_ALONE : SESSIONS_OF_A_BED; count > 0 && goesOn(); count--) {
        const before = last === null ? {} : { before: last.session };
        last = { setting: bed.setting, ...before, session: this.#session(below, bed) };
        playing.add(last);
        const faults = await this.#play(bed, last.session);
        playing.delete(last);
        if (faults.length > 0) found(last, faults);
      }
      await bed.close().catch((error: Error) => {
        if (last !== null) found(last, [`defect at the end: ${error.message}`]);
      });
    }
  }

  #session(below: Below, { setting }: Bed): Session {
    if (!setting.tight && below(4) === 0) return legitimateSession(below, setting);
    return attack(below, setting, this.#novelty.pool);
  }

  async #play(bed: Bed, session: Session): Promise<string[]> {
    const heard = await play(bed, session);
    this.sessions++;
    if (session.legitimate) this.legitimate++;
    else this.#novelty.look(heard);
    for (const { server } of [...heard.servers, ...heard.other]) this.executed += server.executed.length;
    const faults = faultsOf(heard);
    return this.sessions % 500 === 0 ? [...faults, ...this.#memory()] : faults;
  }

  #memory(): string[] {
    globalThis.gc?.();
    const { heapUsed } = process.memoryUsage();
    this.#mostHeap = Math.max(this.#mostHeap, heapUsed);
    if (this.sessions <= WARM || globalThis.gc === undefined) this.#warmHeap = Math.max(this.#warmHeap, heapUsed);
    else if (heapUsed > this.#warmHeap + GROWTH)
      return [`memory ${heapUsed} octets of heap, ${this.#warmHeap} when warm`];
    return [];
  }
}
