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
    if (!up) this.#log.warn({ server, why: harmless(why), next_probe_seconds: seconds }, 'upstream does not answer');
    else if (before === false) this.#log.info({ server }, 'upstream answers again');
    else this.#log.info({ server }, 'upstream answers');
  }

  silent(server: string, greeted: boolean): void {
    if (this.#isNew(this.#silentAt, server)) this.#log.warn({ server }, greeted ? SILENT_BEHIND_GREETING : SILENT);
  }

  full(server: string, sessions: number, why: string): void {
    if (this.#isNew(this.#fullAt, server))
      this.#log.warn({ server, sessions: sessions || undefined, why: harmless(why) }, FULL);
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
const REMIND_AFTER_MS = 600_000;

const SILENT =
  'upstream accepted the connection and has not greeted for 10 s; another server is tried where there is one';
const SILENT_BEHIND_GREETING =
  'upstream greeted and has not answered our EHLO, STARTTLS or XCLIENT for 10 s; another server is tried where there is one';
const FULL =
  'upstream is full: it declined a session while it serves others, and is not taken for down. Set ' +
  'upstream.max_connections to what it takes, or raise its own limit for each client address';

const UNIDENTIFIED =
  'the upstream does not offer to be told who the client is, or does not understand it, and takes the client for Postern: ' +
  'list the address of Postern there (Postfix: smtpd_authorized_xclient_hosts, smtpd_authorized_xforward_hosts; ' +
  'inet_protocols = all for IPv6 clients), or set upstream.identity: none';
