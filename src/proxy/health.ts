// How one server is doing: up or down, when to ask it again, and how much it gets when it has come back.
//
// A failure takes the server out (the circuit opens) for a back-off that doubles from 1 s to 60 s; a greeting brings it
// back; only a session that was served makes it forget the back-off, so that a server which greets and then falls silent
// is not believed again and again. Who comes back beside another server starts slowly: caches are cold, and everybody
// would come at once. Pure: the time is an argument. Not here: sockets, timers, and who asks (upstream.ts).

const FIRST_BACK_OFF = 1_000; // ms
const LONGEST_BACK_OFF = 60_000;
const SLOW_START = 30_000; // ms from none to every new session
const SILENT_SESSIONS = 5; // in a row: greeted, and then no answer

export class Health {
  /** Why it is down, as the observer was told; null = it is up. */
  why: string | null = null;
  /** While it is down: when it is asked again. */
  retryAt = 0;
  /** When it came up or went down; null: it was never asked. */
  since: number | null = null;
  #backOff = 0;
  #silent = 0;
  #returnedAt = Number.NEGATIVE_INFINITY;
  #credit = 0;

  get isUp(): boolean {
    return this.why === null;
  }

  /** It did not answer. True when its back-off begins (anew): those who failed beside each other count once. */
  failed(why: string, now: number): boolean {
    if (!this.isUp && now < this.retryAt) return false;
    if (this.isUp) this.since = now;
    this.why = why;
    this.#backOff = this.#backOff === 0 ? FIRST_BACK_OFF : Math.min(this.#backOff * 2, LONGEST_BACK_OFF);
    this.retryAt = now + this.#backOff;
    return true;
  }

  /** It greeted. */
  greeted(now: number): void {
    this.since ??= now;
    if (this.isUp) return;
    this.since = now;
    this.why = null;
    this.#returnedAt = now;
    this.#credit = 1;
  }

  /** It answered commands of a session. */
  served(): void {
    this.#backOff = 0;
    this.#silent = 0;
  }

  /** A session waited for an answer in vain. True when that was one too many and it is down now. */
  fellSilent(now: number): boolean {
    this.#silent++;
    return this.#silent >= SILENT_SESSIONS && this.failed('it does not answer commands', now);
  }

  /** Whether it takes this new session while others could: in the slow start a growing share of them. */
  takes(now: number): boolean {
    const share = (now - this.#returnedAt) / SLOW_START;
    if (share >= 1) return true;
    this.#credit += share;
    if (this.#credit < 1) return false;
    this.#credit--;
    return true;
  }
}
