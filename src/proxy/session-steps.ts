// The steps of one session, each in its turn and in the order in which they came: what a peer said or did is a step.
//
// A step is run at once where nobody else waits (fair-queue.ts). Else it waits, and whoever owns the session reads nothing
// meanwhile. A session that gave way before it had read all (smtp/dialogue) goes on in a turn of its own.

import type { FairQueue, Turns, TurnTaker } from './fair-queue.ts';
import { kept } from './read-buffers.ts';

// What a step is.
export const CLIENT_OCTETS = 0;
export const UPSTREAM_OCTETS = 1;
export const CLIENT_ENDED = 2;
export const CLIENT_LOST = 3;
export const UPSTREAM_GONE = 4;

export interface StepRunner {
  /** One step, with the octets that came. */
  takeStep(kind: number, chunk: Buffer | null): void;
  /** Another turn for a session that gave way. */
  goOn(): void;
  /** Steps wait now, or wait no more. */
  steer(): void;
}

interface Step {
  readonly kind: number;
  readonly chunk: Buffer | null;
}

const NONE: Step[] = []; // stays empty: most sessions never wait

export class Steps implements TurnTaker {
  readonly #turns: Turns;
  readonly #runner: StepRunner;
  #waiting: Step[] = NONE;
  #isOver = false;

  constructor(queue: FairQueue, clientAddress: string, runner: StepRunner) {
    this.#turns = queue.turnsOf(clientAddress, this);
    this.#runner = runner;
  }

  get areWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  take(kind: number, chunk: Buffer | null): void {
    if (this.#isOver) return;
    if (this.#waiting.length === 0 && this.#turns.isFree) {
      this.#runner.takeStep(kind, chunk);
      return;
    }
    if (this.#waiting === NONE) this.#waiting = [];
    this.#waiting.push({ kind, chunk: chunk && kept(chunk) });
    this.#turns.wait();
    this.#runner.steer();
  }

  /** Others first. */
  giveWay(): void {
    this.#turns.wait();
  }

  /** So many octets were read for it, and so many milliseconds of work done. */
  spent(octets: number, ms: number): void {
    if (octets > 0) this.#turns.read(octets);
    if (ms > 0) this.#turns.spent(ms);
  }

  /** What waits is forgotten, and what still comes as well. */
  end(): void {
    this.#isOver = true;
    this.#turns.leave();
    this.#waiting = NONE;
  }

  /** For the queue alone. */
  takeTurn(): void {
    const step = this.#waiting.shift();
    if (step === undefined) {
      this.#runner.goOn();
      return;
    }
    this.#runner.takeStep(step.kind, step.chunk);
    if (this.#waiting.length > 0) this.#turns.wait();
    else this.#runner.steer();
  }
}
