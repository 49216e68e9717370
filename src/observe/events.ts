// What the firewall tells its operator: one named function per business event, each a log line, a metric, or both.
//
// The other rooms call these and know neither the logger nor the metrics. Nothing here throws, waits, or is asked to
// remember mail: the only strings a peer chose that come in are names and addresses, and each goes through `harmless`.
// Fields are named as Postfix's policy protocol names them (client_address, helo_name, sender, recipient …), plus ours.
// Not here: per-command lines (a busy relay would drown in them) and anything that needs a socket.

import type { Logger } from 'pino';
import { formatReply } from '../smtp/replies.ts';
import type { CloseReason, Door, DoorReason, Handshake, Login, OwnReply, SessionEvent } from '../smtp/types.ts';
import { createLogger, DescriptorSink, harmless, type LogLevel, type LogSink } from './log.ts';
import { LostAddresses, lostAddresses } from './lost-addresses.ts';
import { formatMeasured, type Measured } from './measured.ts';
import { type ConnectorCounts, type LimitKind, Metrics } from './metrics.ts';

export type Mode = 'enforce' | 'observe';

/** Fields of ours beside a sentence: never peer bytes. */
export type About = Readonly<Record<string, string | number>>;

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

/** What /readyz tells. `upstream`: true = a server answered within the last 30 s, false = none of those tried did, null =
 * nobody knows. */
export interface Readiness {
  readonly listening: boolean;
  readonly upstream: boolean | null;
  readonly draining: boolean;
  readonly mode: Mode;
  /** Connectors that only observe although the mode is enforce. */
  readonly observing: readonly string[];
  /** Most clients seem to be one: the sentence about it. */
  readonly lostAddresses: string | null;
}

export interface ObserverOptions {
  readonly level: LogLevel;
  /** Readable lines for a terminal instead of JSON. */
  readonly pretty: boolean;
  readonly mode: Mode;
  /** Connectors that only observe although the mode is enforce; none when left out. */
  readonly observing?: readonly string[];
  /** Names of the connectors and `host:port` of the servers in the config: their series then start at 0. */
  readonly connectors: readonly string[];
  readonly servers: readonly string[];
  /** How many networks are banned now; none when left out. */
  readonly bans?: () => number;
  /** Whether an address is private, ours, or a gateway: such a one may hide others. */
  readonly isInside?: (address: string) => boolean;
  /** Standard output when left out. */
  readonly sink?: LogSink;
  /** Of a worker thread where there are several: every line says it. */
  readonly worker?: number;
  /** Milliseconds that only grow; performance.now when left out. */
  readonly now?: () => number;
}

/** What the other rooms hold: the methods below. A type of its own, so that a test can hand in its own object. */
export type Observer = { readonly [Name in keyof LoggingObserver]: LoggingObserver[Name] };

export function createObserver(options: ObserverOptions): Observer {
  return new LoggingObserver(options);
}

class LoggingObserver {
  readonly #log: Logger;
  readonly #sink: LogSink;
  readonly #metrics: Metrics;
  readonly #lost: LostAddresses;
  readonly #now: () => number;
  readonly #servers = new Map<string, boolean>();
  readonly #inClear = new Map<string, string>(); // why, as said last
  readonly #unidentified = new Set<string>();
  #answeredAt = Number.NEGATIVE_INFINITY;
  #opened = 0;
  #listening = false;
  #draining = false;
  #mode: Mode;
  #observing: readonly string[];

  constructor(options: ObserverOptions) {
    const sink = options.sink ?? new DescriptorSink(STANDARD_OUTPUT);
    this.#sink = sink;
    this.#now = options.now ?? (() => performance.now());
    this.#mode = options.mode;
    this.#observing = options.observing ?? [];
    this.#log = createLogger(options.level, options.pretty, sink, options.worker);
    this.#lost = new LostAddresses(options.isInside ?? (() => false));
    this.#metrics = new Metrics(
      options.connectors,
      options.servers,
      () => sink.lost,
      options.bans ?? (() => 0),
      () => this.#lost.suspect !== null,
    );
  }

  /** Somebody is at the door. What comes without the address of a client (a balancer's own question) does not count. */
  arrived(door: Door): void {
    if (door.lost === true) return;
    this.#lost.saw(door.clientAddress);
    const { suspect } = this.#lost;
    if (suspect !== null && this.#lost.isToBeSaid(this.#now())) this.#log.warn(suspect, lostAddresses(suspect));
  }

  sessionOpened(door: Door, connector: string): SessionObserver {
    this.#opened += 1;
    return new LoggedSession(this.#log, this.#metrics, this.#now, door, connector, this.#opened);
  }

  refusedAtDoor(door: Door, connector: string | null, reason: DoorReason, reply: OwnReply): void {
    this.#metrics.connector(connector).sessionEnded('refused');
    if (reason !== 'no_connector' && reason !== 'connect') this.#metrics.limited('door', reason);
    this.#log.info(
      {
        client_address: door.clientAddress,
        client_port: door.clientPort,
        connector: connector ?? undefined,
        protocol_state: 'CONNECT',
        decision: 'disconnect',
        reason,
        reply: spoken(reply, door),
      },
      'connection refused',
    );
  }

  /** In observe: let in, although this would have refused it. */
  observedAtDoor(door: Door, connector: string, reason: DoorReason, reply: OwnReply): void {
    if (reason !== 'connect') this.#metrics.limited('door', reason);
    this.#log.info(
      {
        client_address: door.clientAddress,
        client_port: door.clientPort,
        connector,
        protocol_state: 'CONNECT',
        decision: 'would_reject',
        reason,
        reply: spoken(reply, door),
      },
      'connection would be refused',
    );
  }

  /** A client that comes through TLS from the start was admitted, and its handshake came to nothing. */
  handshakeFailed(door: Door, connector: string, handshake: Handshake): void {
    this.#metrics.handshake(handshake.result);
    if (handshake.result === 'ok') return;
    this.#metrics.connector(connector).sessionEnded('client');
    this.#log.info(
      {
        client_address: door.clientAddress,
        client_port: door.clientPort,
        connector,
        protocol_state: 'CONNECT',
        why: harmless(handshake.why),
      },
      'TLS handshake failed',
    );
  }

  /** A server of the config answered, or did not. Logs only the change. `nextProbe`: seconds until it is asked again. */
  upstreamUp(server: string, up: boolean, why = 'no answer', nextProbe?: number): void {
    if (up) this.#answeredAt = this.#now();
    const before = this.#servers.get(server);
    if (before === up) return;
    this.#servers.set(server, up);
    this.#metrics.upstreamUp(server, up);
    if (!up) this.#log.warn({ server, why: harmless(why), next_probe_seconds: nextProbe }, 'upstream does not answer');
    else if (before === false) this.#log.info({ server }, 'upstream answers again');
    else this.#log.info({ server }, 'upstream answers');
  }

  /** From dial to an established connection. */
  upstreamConnected(server: string, seconds: number): void {
    this.#metrics.upstreamConnected(seconds);
    this.#log.debug({ server, seconds }, 'upstream connected');
  }

  /** TLS was wanted where it can be had, and could not be made: the session goes on in clear text. */
  upstreamInClear(server: string, why: string): void {
    if (this.#inClear.get(server) !== why) this.#log.warn({ server, why: harmless(why) }, 'upstream in clear text');
    this.#inClear.set(server, why);
  }

  /** A server that was to be told who the client is does not offer that: it takes every client for us. */
  upstreamUnidentified(server: string, identity: string): void {
    this.#metrics.unidentified();
    if (this.#unidentified.has(server)) return;
    this.#unidentified.add(server);
    this.#log.warn({ server, identity }, UNIDENTIFIED);
  }

  /** A fault of ours that was caught: counted, logged with its stack, and the process lives on. */
  defect(error: unknown, doing: string): void {
    this.#metrics.defect();
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error({ doing, stack: stack.split('\n').slice(0, STACK_LINES).map(harmless) }, 'defect');
  }

  /** All listeners are open; addresses as bound. */
  listening(addresses: readonly string[], admin: string | null = null): void {
    this.#listening = true;
    this.#log.info({ addresses, admin: admin ?? undefined, mode: this.#mode }, 'listening');
    this.#warnWhenObserving();
  }

  /** SIGTERM or SIGINT came while so many sessions were open. */
  draining(sessions: number): void {
    this.#draining = true;
    this.#log.info({ sessions }, 'draining');
  }

  /** The end: `sessions` had to be cut off. */
  drained(sessions: number): void {
    this.#listening = false;
    this.#log.info({ sessions_cut_off: sessions }, 'drained');
  }

  /** A policy is in force from now on; `version` is a digest of its files. */
  policyLoaded(version: string): void {
    this.#metrics.policyLoaded(version, Date.now() / 1000);
    this.#log.info({ policy_version: version }, 'policy loaded');
  }

  reloaded(file: string, mode: Mode, observing: readonly string[] = []): void {
    this.#mode = mode;
    this.#observing = observing;
    this.#log.info({ file, mode }, 'reloaded');
    this.#warnWhenObserving();
  }

  /** The old config stays. `findings` as `check` prints them. */
  reloadRefused(file: string, findings: readonly string[]): void {
    this.#log.error({ file, findings }, 'reload refused, the old config stays');
  }

  /** A limit of a source, a login, a sender or a connector answered, or would have. */
  limited(kind: LimitKind, key: string): void {
    this.#metrics.limited(kind, key);
  }

  /** `network` may not come for so many milliseconds. */
  banned(network: string, ms: number, by: 'limits' | 'operator'): void {
    this.#log.warn({ network, seconds: Math.ceil(ms / 1000), by }, 'banned');
  }

  banLifted(network: string): void {
    this.#log.warn({ network }, 'ban lifted');
  }

  /** The counters that nodes share can be asked, or not: then this node counts by itself. */
  stateUp(up: boolean, why = ''): void {
    this.#metrics.stateUp(up);
    if (up) this.#log.info('counters are shared with the other nodes');
    else
      this.#log.warn({ why: harmless(why) }, 'counters are not shared: this node counts by itself until Redis answers');
  }

  /** A sentence for the operator that has no event of its own. */
  warn(sentence: string, about: About = {}): void {
    this.#log.warn(about, sentence);
  }

  debug(sentence: string, about: About = {}): void {
    this.#log.debug(about, sentence);
  }

  readiness(): Readiness {
    const { suspect } = this.#lost;
    return {
      lostAddresses: suspect === null ? null : lostAddresses(suspect),
      listening: this.#listening,
      upstream: this.#upstreamAnswers(),
      draining: this.#draining,
      mode: this.#mode,
      observing: this.#observing,
    };
  }

  /** The Prometheus exposition text. */
  async metrics(): Promise<string> {
    return formatMeasured([await this.#metrics.measured()]);
  }

  /** The same as plain data. */
  measured(): Promise<Measured[]> {
    return this.#metrics.measured();
  }

  /** Lines of a worker thread, as it wrote them. */
  workerLog(text: string, lines: number): void {
    this.#sink.write(text, lines);
  }

  /** So many worker threads told what they count, so many did not. */
  workers(answering: number, missing: number): void {
    this.#metrics.workers(answering, missing);
  }

  workerDied(worker: number, why: string, next: number): void {
    this.#metrics.workerDied();
    this.#log.error({ worker, why: harmless(why), next_start_ms: next }, 'worker ended, its sessions are lost');
  }

  workerStarted(worker: number): void {
    this.#log.info({ worker }, 'worker started anew');
  }

  /** Writes out what still waits in memory: the last thing to await before process.exit. */
  flush(): Promise<void> {
    return this.#sink.flush();
  }

  #upstreamAnswers(): boolean | null {
    const states = [...this.#servers.values()];
    if (!states.includes(true)) return states.length > 0 ? false : null;
    return this.#now() - this.#answeredAt < ANSWER_HOLDS_MS ? true : null;
  }

  #warnWhenObserving(): void {
    const warning = notProtected(this.#mode, this.#observing);
    if (warning !== null) this.#log.warn({ mode: this.#mode }, warning);
  }
}

/** Said at the start, at every reload and by /readyz, as long as something is not refused; null = all is. */
export function notProtected(mode: Mode, observing: readonly string[]): string | null {
  if (mode === 'observe') return NOT_PROTECTED;
  if (observing.length === 0) return null;
  const names = observing.join(', ');
  return `connectors that only observe (${names}): what the policy would refuse there is only logged, so the relay is not protected`;
}

const NOT_PROTECTED = 'the mode is observe: what the policy would refuse is only logged, so the relay is not protected';

const UNIDENTIFIED =
  'the upstream does not offer to be told who the client is, or does not understand it, and takes the client for Postern: ' +
  'list the address of Postern there (Postfix: smtpd_authorized_xclient_hosts, smtpd_authorized_xforward_hosts; ' +
  'inet_protocols = all for IPv6 clients), or set upstream.identity: none';

const STANDARD_OUTPUT = 1;
const STACK_LINES = 12;
const ANSWER_HOLDS_MS = 30_000;

class LoggedSession implements SessionObserver {
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

/** As the client heard it. */
function spoken(reply: OwnReply, door: Door): string {
  return formatReply(reply, true, { client_address: door.clientAddress }).toString('latin1').trimEnd();
}

function formatCause(cause: unknown): string | undefined {
  if (cause === undefined) return undefined;
  return harmless(cause instanceof Error ? cause.message : String(cause));
}
