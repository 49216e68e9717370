// The lines and counts of one session: a refused sender, recipient or login, and the summary when it ends.
//
// Invariant: exactly one summary for each session, and whatever a peer chose goes through `harmless`. An accepted recipient
// and a message are counted and not logged: a busy relay would drown in them.

import type { Logger } from 'pino';
import type { CloseReason, Door, Handshake, Login, SessionEvent } from '../smtp/types.ts';
import { harmless } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { ConnectorCounts } from './session-counts.ts';

/** One session, from admission to its end. The three fields are written by the driver as it goes: plain numbers and a
 * string cost nothing per chunk, and the metrics read them when they are asked for. */
export interface SessionObserver {
  /** Octets received so far. Only ever grow. */
  octetsFromClient: number;
  octetsFromUpstream: number;
  /** As received; latin-1. Set whenever it is known or changes, at the latest before an event and before `closed`. */
  heloName: string;
  /** Straight from Wire.event. */
  event(event: SessionEvent): void;
  /** The client's handshake has ended. */
  handshake(handshake: Handshake): void;
  /** What we added to one command: from its octets' arrival to their departure, in seconds. */
  delay(seconds: number): void;
  /** The summary line. Exactly once; later calls are ignored. */
  closed(reason: CloseReason): void;
}

export class LoggedSession implements SessionObserver {
  octetsFromClient = 0;
  octetsFromUpstream = 0;
  heloName = '';
  readonly #log: Logger;
  readonly #metrics: Metrics;
  readonly #counts: ConnectorCounts;
  readonly #door: Door;
  readonly #number: number;
  readonly #now: () => number;
  readonly #openedAt: number;
  #login: Login | null = null;
  #encryption: (Handshake & { result: 'ok' }) | null = null;
  #loginFailures = 0;
  #messages = 0;
  #accepted = 0;
  #refused = 0;
  #wouldRefuse = 0;
  #open = true;

  constructor(log: Logger, metrics: Metrics, now: () => number, door: Door, connector: string, number: number) {
    this.#log = log;
    this.#metrics = metrics;
    this.#now = now;
    this.#openedAt = now();
    this.#counts = metrics.connector(connector);
    this.#door = door;
    this.#number = number;
    metrics.sessionOpened(this);
  }

  event(event: SessionEvent): void {
    switch (event.name) {
      case 'recipient':
        this.#recipient(event);
        return;
      case 'sender':
        this.#sender(event);
        return;
      case 'message':
        this.#messages += 1;
        this.#counts.messages += 1;
        return;
      case 'login':
        this.#login = event.login;
        this.#counts.logins += 1;
        return;
      case 'login_failed':
        this.#loginFailures += 1;
        this.#counts.failedLogins += 1;
        return;
      case 'opaque':
        this.#log.info(this.#who(), 'TLS passes through: from here on nothing is read');
        return;
      case 'login_refused':
        this.#loginRefused(event);
        return;
      case 'limited':
        this.#metrics.limited(event.kind, event.key);
        return;
    }
  }

  /** One that failed ends the session, whose summary says why. */
  handshake(handshake: Handshake): void {
    this.#metrics.handshake(handshake.result);
    if (handshake.result !== 'ok') return;
    this.#encryption = handshake;
    if (handshake.unverified === null) return;
    const why = harmless(handshake.unverified);
    this.#log.info({ ...this.#who(), why }, 'client certificate names nobody: it could not be verified');
  }

  delay(seconds: number): void {
    this.#metrics.delay(seconds);
  }

  closed(reason: CloseReason): void {
    if (!this.#open) return;
    this.#open = false;
    this.#metrics.sessionEnded(this);
    this.#counts.sessionEnded(reason.origin);
    const { protocol, cipher, subject = null } = this.#encryption ?? {};
    this.#log.info(
      {
        ...this.#who(),
        encryption_protocol: protocol,
        encryption_cipher: cipher,
        ccert_subject: subject === null ? undefined : harmless(subject),
        messages: this.#messages,
        recipients_accepted: this.#accepted,
        recipients_refused: this.#refused,
        recipients_would_refuse: this.#wouldRefuse || undefined,
        login_failures: this.#loginFailures || undefined,
        octets_from_client: this.octetsFromClient,
        octets_from_upstream: this.octetsFromUpstream,
        seconds: Math.round(this.#now() - this.#openedAt) / 1000,
        origin: reason.origin,
        what: reason.what,
        cause: formatCause(reason.cause),
      },
      'session ended',
    );
  }

  #recipient(event: SessionEvent & { name: 'recipient' }): void {
    this.#counts.recipient(event.decision, event.reason);
    if (event.decision === 'proceed') {
      this.#accepted += 1;
      return;
    }
    if (event.decision === 'reject') this.#refused += 1;
    else this.#wouldRefuse += 1;
    if (!this.#log.isLevelEnabled('info')) return;
    this.#log.info(
      {
        ...this.#who(),
        sender: harmless(event.sender),
        recipient: harmless(event.recipient),
        protocol_state: 'RCPT',
        decision: event.decision,
        reason: event.reason,
        rule: event.rule ?? undefined,
        trace: event.trace === undefined ? undefined : harmless(event.trace()),
        reply: harmless(event.reply.trimEnd()),
      },
      event.decision === 'reject' ? 'recipient refused' : 'recipient would be refused',
    );
  }

  #sender(event: SessionEvent & { name: 'sender' }): void {
    this.#log.info(
      {
        ...this.#who(),
        sender: harmless(event.sender),
        protocol_state: 'MAIL',
        decision: event.decision,
        reason: event.reason,
        rule: event.rule ?? undefined,
        reply: harmless(event.reply.trimEnd()),
      },
      event.decision === 'reject' ? 'sender refused' : 'sender would be refused',
    );
  }

  #loginRefused({ login, decision, rule, reply }: SessionEvent & { name: 'login_refused' }): void {
    this.#log.info(
      {
        ...this.#who(),
        sasl_method: harmless(login.mechanism),
        sasl_username: login.name === null ? undefined : harmless(login.name),
        protocol_state: 'AUTH',
        decision,
        reason: 'limit',
        rule: rule ?? undefined,
        reply: harmless(reply),
      },
      decision === 'reject' ? 'login refused' : 'login would be refused',
    );
  }

  #who(): Record<string, string | number | undefined> {
    const login = this.#login;
    return {
      session: this.#number,
      client_address: this.#door.clientAddress,
      client_port: this.#door.clientPort,
      connector: this.#counts.name,
      helo_name: this.heloName === '' ? undefined : harmless(this.heloName),
      sasl_method: login === null ? undefined : harmless(login.mechanism),
      sasl_username: login?.name == null ? undefined : harmless(login.name),
    };
  }
}

function formatCause(cause: unknown): string | undefined {
  if (cause === undefined) return undefined;
  return harmless(cause instanceof Error ? cause.message : String(cause));
}
