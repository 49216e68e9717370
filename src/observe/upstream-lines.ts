// The lines and counts of the servers behind: whether each answers, and what a session there has to do without.
//
// Said when it changes, not with every session: a server that is down would fill the log by itself.

import type { Logger } from 'pino';
import { harmless } from './log.ts';
import type { Metrics } from './metrics.ts';

export class UpstreamLines {
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #now: () => number;
  readonly #servers = new Map<string, boolean>();
  readonly #inClear = new Map<string, string>(); // why, as said last
  readonly #unidentified = new Set<string>();
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
    if (!up) this.#log.warn({ server, why: harmless(why), next_probe_seconds: nextProbe }, 'upstream does not answer');
    else if (before === false) this.#log.info({ server }, 'upstream answers again');
    else this.#log.info({ server }, 'upstream answers');
  }

  connected(server: string, seconds: number): void {
    this.#metrics.upstreamConnected(seconds);
    this.#log.debug({ server, seconds }, 'upstream connected');
  }

  inClear(server: string, why: string): void {
    if (this.#inClear.get(server) !== why) this.#log.warn({ server, why: harmless(why) }, 'upstream in clear text');
    this.#inClear.set(server, why);
  }

  unidentified(server: string, identity: string): void {
    this.#metrics.unidentified();
    if (this.#unidentified.has(server)) return;
    this.#unidentified.add(server);
    this.#log.warn({ server, identity }, UNIDENTIFIED);
  }

  /** As Readiness.upstream. */
  get answers(): boolean | null {
    const states = [...this.#servers.values()];
    if (!states.includes(true)) return states.length > 0 ? false : null;
    return this.#now() - this.#answeredAt < ANSWER_HOLDS_MS ? true : null;
  }
}

const ANSWER_HOLDS_MS = 30_000;

const UNIDENTIFIED =
  'the upstream does not offer to be told who the client is, or does not understand it, and takes the client for Postern: ' +
  'list the address of Postern there (Postfix: smtpd_authorized_xclient_hosts, smtpd_authorized_xforward_hosts; ' +
  'inet_protocols = all for IPv6 clients), or set upstream.identity: none';
