// The time of one session: its phases, what either side has not taken, and the one timer that looks after both.
//
// The timer is set for the earliest time that matters; it is moved only forwards, and looks again when it fires. Not here: what
// follows when the time is over (connection.ts).

import { Backpressure } from './backpressure.ts';
import type { ByteStream } from './byte-stream.ts';
import { PhaseTimers, type Timeouts } from './phase-timers.ts';

export interface ClockWatched {
  readonly client: ByteStream;
  readonly upstream: ByteStream | null;
  /** As in smtp/session: what is awaited. */
  readonly doing: number;
  readonly isOurMove: boolean;
  serverIsStuck(): void;
  clientIsStuck(): void;
  /** The time of this key is over. */
  expired(key: string): void;
}

export class SessionClock {
  readonly phases: PhaseTimers;
  readonly unread = new Backpressure(); // by the client
  readonly untaken = new Backpressure(); // by the upstream
  readonly #timeouts: Timeouts;
  readonly #watched: ClockWatched;
  #timer: NodeJS.Timeout | null = null;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(timeouts: Timeouts, now: number, watched: ClockWatched) {
    this.phases = new PhaseTimers(timeouts, now);
    this.#timeouts = timeouts;
    this.#watched = watched;
  }

  watch(): void {
    const { data_idle, client_idle } = this.#timeouts;
    const stuck = Math.min(this.untaken.stuckAt(data_idle), this.unread.stuckAt(client_idle));
    const at = Math.min(stuck, this.phases.nextCheck);
    if (at >= this.#timerAt) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(look, Math.max(1, at - performance.now()), this);
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  look(): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = performance.now();
    const { data_idle, client_idle } = this.#timeouts;
    const { client, upstream, doing, isOurMove } = this.#watched;
    if (this.untaken.isFull && upstream !== null) {
      // It is the upstream that keeps us waiting; the client is paused, so that not even its going is seen.
      if (this.untaken.isStuck(upstream, data_idle, now)) {
        this.#watched.serverIsStuck();
        return;
      }
      this.phases.excuse(now);
    }
    // A client that does not read keeps the upstream's reply from being read as well: the time is its own.
    if (this.unread.isStuck(client, client_idle, now)) {
      this.#watched.clientIsStuck();
      return;
    }
    if (isOurMove) this.phases.excuse(now);
    if (isOurMove || this.unread.isFull) this.phases.waitsFor(doing, true, now);
    if (this.phases.isExpired(now)) this.#watched.expired(this.phases.deadline(now));
    else this.watch();
  }
}

function look(clock: SessionClock): void {
  clock.look();
}
