// The lines and counts of the servers behind: whether each answers, and what a session there has to do without.
//
// Said when it changes, not with every session: a server that is down would fill the log by itself.

import type { Logger } from 'pino';
import { write } from './lines.ts';
import { harmless } from './log.ts';
import type { Metrics } from './metrics.ts';

export class UpstreamLines {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #servers = new Map<string, boolean>();
  readonly #inClear = new Map<string, string>(); // why, as said last
  readonly #unidentified = new Set<string>();
  readonly #silentAt = new Map<string, number>(); // when it was said last
  readonly #fullAt = new Map<string, number>();
  #answeredAt = Number.NEGATIVE_INFINITY;

  constructor(log: Logger, metrics: Metrics, now: () => number) {
    this.#log = log;
    this.#metrics = metrics;
    this.#now = now;
  }

  up(server: string, up: boolean, why: string, nextProbe: number | undefined): void {
    if (up) this.#answeredAt = this.#now();
    const before = this.#servers.get(server);
    if (before === up) return;
    this.#servers.set(server, up);
    this.#metrics.upstreamUp(server, up);
    const seconds = nextProbe === undefined ? undefined : Math.ceil(nextProbe);
    if (!up) write(this.#log, 'upstream_down', { server, why: harmless(why), next_probe_seconds: seconds });
    else write(this.#log, before === false ? 'upstream_up_again' : 'upstream_up', { server });
  }

  silent(server: string, greeted: boolean): void {
    if (this.#isNew(this.#silentAt, server))
      write(this.#log, greeted ? 'upstream_silent_behind_greeting' : 'upstream_silent', { server });
  }

  full(server: string, sessions: number, why: string): void {
    if (this.#isNew(this.#fullAt, server))
      write(this.#log, 'upstream_full', { server, sessions: sessions || undefined, why: harmless(why) });
  }

  /** Not said of this server a while ago; taken as said. */
  #isNew(saidAt: Map<string, number>, server: string): boolean {
    const now = this.#now();
    if (now - (saidAt.get(server) ?? Number.NEGATIVE_INFINITY) < REMIND_AFTER_MS) return false;
    saidAt.set(server, now);
    return true;
  }

  connected(server: string, seconds: number): void {
    this.#metrics.upstreamConnected(seconds);
    write(this.#log, 'upstream_connected', { server, seconds });
  }

  inClear(server: string, why: string): void {
    if (this.#inClear.get(server) !== why) write(this.#log, 'upstream_in_clear', { server, why: harmless(why) });
    this.#inClear.set(server, why);
  }

  unidentified(server: string, identity: string): void {
    this.#metrics.unidentified();
    if (this.#unidentified.has(server)) return;
    this.#unidentified.add(server);
    write(this.#log, 'upstream_unidentified', { server, identity });
  }

  /** The others are forgotten. */
  serversAre(servers: readonly string[]): void {
    for (const server of this.#servers.keys()) if (!servers.includes(server)) this.#servers.delete(server);
  }

  /** As Readiness.upstream. */
  get answers(): boolean | null {
    const states = [...this.#servers.values()];
    if (!states.includes(true)) return states.length > 0 ? false : null;
    return this.#now() - this.#answeredAt < ANSWER_HOLDS_MS ? true : null;
  }
}

const ANSWER_HOLDS_MS = 30_000;
const REMIND_AFTER_MS = 600_000;
