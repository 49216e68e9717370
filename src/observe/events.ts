// What the firewall tells its operator: one named function per business event, each a log line, a metric, or both.
//
// The other rooms call these and know neither the logger nor the metrics. Nothing here throws, waits, or is asked to
// remember mail: the only strings a peer chose that come in are names and addresses, and each goes through `harmless`.
// Fields are named as Postfix's policy protocol names them (client_address, helo_name, sender, recipient …), plus ours.
// What is said at connection time, of the servers behind and of a session stands in connection-lines, upstream-lines and session-lines.
// Not here: per-command lines (a busy relay would drown in them) and anything that needs a socket.

import type { Logger } from 'pino';
import type { ConnectionEnds, ConnectionRefusal, Handshake, HeaderResult, OwnReply } from '../smtp/types.ts';
import { ConnectionLines } from './connection-lines.ts';
import { Floods } from './floods.ts';
import { type FieldsOf, fill, LINES, write } from './lines.ts';
import { createLineWriter, createLogger, harmless } from './log.ts';
import { DescriptorSink, type LogSink } from './log-sink.ts';
import { LostAddresses, lostAddresses } from './lost-addresses.ts';
import { formatMeasured, type Measured } from './measured.ts';
import { type IsLocal, MessageLines } from './message-lines.ts';
import { type LimitKind, Metrics } from './metrics.ts';
import type { Mode, ObserverOptions, Readiness } from './observer-options.ts';
import type { RulesOf, SessionTally } from './session-counts.ts';
import { LoggedSession, type SessionsHeard, type Told } from './session-lines.ts';
import type { SessionObserver } from './session-observer.ts';
import type { ShownCertificate } from './settings-metrics.ts';
import { Shortages } from './shortages.ts';
import { UpstreamLines } from './upstream-lines.ts';

/** The lines that other rooms write by their name. */
export type Warning =
  | 'finding'
  | 'few_descriptors'
  | 'no_ipv6'
  | 'lost_address'
  | 'needs_restart'
  | 'not_watched'
  | 'relayed_file_not_opened'
  | 'share_is_full'
  | 'upstream_421'
  | 'worker_not_started';

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
  readonly #floods: Floods;
  readonly #relayed: LogSink | null;
  readonly #told: Told;
  readonly #ends: ConnectionLines;
  readonly #upstream: UpstreamLines;
  readonly #shortages: Shortages;
  readonly #now: () => number;
  readonly #opened: Float64Array;
  #refusedReload: { at: number; findings: readonly string[] } | null = null;
  #listening = false;
  #draining = false;
  #mode: Mode;
  #observing: readonly string[];
  #isLocal: IsLocal;

  constructor(options: ObserverOptions) {
    const sink = options.sink ?? new DescriptorSink(STANDARD_OUTPUT);
    this.#sink = sink;
    this.#relayed = options.relayed ?? null;
    this.#now = options.now ?? (() => performance.now());
    this.#opened = options.opened ?? new Float64Array(1);
    this.#mode = options.mode;
    this.#observing = options.observing ?? [];
    this.#isLocal = options.isLocal ?? (() => false);
    this.#log = createLogger(options.level, options.pretty, sink, options.worker);
    sink.onLost = (lines) => write(this.#log, 'lines_lost', { lines });
    if (this.#relayed !== null) this.#relayed.onLost = (lines) => write(this.#log, 'relayed_lines_lost', { lines });
    this.#lost = new LostAddresses(options.isInside ?? (() => false));
    this.#metrics = new Metrics(
      options.servers,
      () => sink.lost,
      () => this.#relayed?.lost ?? 0,
      options.bans ?? (() => 0),
      () => this.#lost.suspect !== null,
      () => notProtected(this.#mode, this.#observing) === null,
    );
    this.#metrics.inForce(options.connectors, this.#observing, options.rules);
    this.#floods = new Floods(this.#now, (counted) => write(this.#log, 'floods', { ...counted }));
    this.#told = {
      ...{ log: this.#log, metrics: this.#metrics, floods: this.#floods, now: this.#now },
      messages: this.#messageLines(options),
      isLocal: (recipient) => this.#isLocal(recipient),
    };
    this.#ends = new ConnectionLines(this.#log, this.#metrics, this.#floods);
    this.#upstream = new UpstreamLines(this.#log, this.#metrics, this.#now);
    this.#shortages = new Shortages(this.#log, this.#metrics, this.#now);
  }

  /** A session has come to MAIL: only these count, so that no check of a balancer or a monitor is taken for clients. */
  broughtMail({ clientAddress }: Pick<ConnectionEnds, 'clientAddress'>): void {
    this.#lost.saw(clientAddress);
    const { suspect } = this.#lost;
    if (suspect !== null && this.#lost.isToBeSaid(this.#now()))
      write(this.#log, 'lost_addresses', { ...suspect }, lostAddresses(suspect));
  }

  sessionOpened(ends: ConnectionEnds, connector: string, heard: SessionsHeard | null = null): SessionObserver {
    const number = (this.#opened[0] ?? 0) + 1;
    this.#opened[0] = number;
    return new LoggedSession(this.#told, ends, connector, number, heard);
  }

  /** `key`: the setting, where the reason alone does not tell it. */
  connectionRefused(
    ends: ConnectionEnds,
    connector: string | null,
    reason: ConnectionRefusal,
    reply: OwnReply,
    key?: string,
  ): void {
    this.#ends.refused(ends, connector, reason, reply, key);
  }

  /** In observe: let in, although this would have refused it. */
  connectionWouldBeRefused(
    ends: ConnectionEnds,
    connector: string,
    reason: ConnectionRefusal,
    reply: OwnReply,
    key?: string,
  ): void {
    this.#ends.wouldRefuse(ends, connector, reason, reply, key);
  }

  /** How the PROXY header of a peer came out that had to send one; `said`: the first that it said, latin-1. */
  proxyHeader(peer: ConnectionEnds, result: HeaderResult, said = ''): void {
    this.#ends.header(peer, result, said);
  }

  /** A client that comes through TLS from the start was admitted, and its handshake came to nothing. */
  handshakeFailed(ends: ConnectionEnds, connector: string, handshake: Handshake): void {
    this.#ends.handshakeFailed(ends, connector, handshake);
  }

  /** A server of the config answered, or did not. Logs only the change. `nextProbe`: seconds until it is asked again. */
  upstreamUp(server: string, up: boolean, why = 'no answer', nextProbe?: number): void {
    this.#upstream.up(server, up, why, nextProbe);
  }

  /** A server took the connection and has said nothing for a while. `greeted`: but for its greeting. */
  upstreamSilent(server: string, greeted: boolean): void {
    this.#upstream.silent(server, greeted);
  }

  /** A server that serves so many sessions declined one more. */
  upstreamFull(server: string, sessions: number, why: string): void {
    this.#upstream.full(server, sessions, why);
  }

  /** This machine had no more of what a connection needs; the system's error code. */
  shortOf(code: string, doing: 'accept' | 'connect'): void {
    this.#shortages.met(code, doing);
  }

  /** From dial to an established connection. */
  upstreamConnected(server: string, seconds: number): void {
    this.#upstream.connected(server, seconds);
  }

  /** TLS was wanted where it can be had, and could not be made: the session goes on in clear text. */
  upstreamInClear(server: string, why: string): void {
    this.#upstream.inClear(server, why);
  }

  /** A server that was to be told who the client is does not offer that: it takes every client for us. */
  upstreamUnidentified(server: string, identity: string): void {
    this.#upstream.unidentified(server, identity);
  }

  /** A fault of ours that was caught: counted, logged with its stack, and the process lives on. */
  defect(error: unknown, doing: string): void {
    this.#metrics.defect();
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    write(this.#log, 'defect', { doing, stack: stack.split('\n').slice(0, STACK_LINES).map(harmless) });
  }

  /** All listeners are open; addresses as bound. */
  listening(addresses: readonly string[], admin: string | null = null, sockets = 'handles'): void {
    this.#listening = true;
    write(this.#log, 'listening', { addresses, admin: admin ?? undefined, mode: this.#mode, sockets });
    this.#warnWhenObserving();
  }

  /** SIGTERM or SIGINT came while so many sessions were open. */
  draining(sessions: number): void {
    this.#draining = true;
    write(this.#log, 'draining', { sessions });
  }

  /** The end: `sessions` had to be cut off. */
  drained(sessions: number): void {
    this.#listening = false;
    this.#floods.tellAll();
    write(this.#log, 'drained', { sessions_cut_off: sessions });
  }

  /** A policy is in force from now on; `version` is a digest of its files. */
  policyLoaded(version: string): void {
    this.#metrics.settings.policyLoaded(version, Date.now() / 1000);
    write(this.#log, 'policy_loaded', { policy_version: version });
  }

  /** The certificates that clients are shown from now on. */
  shows(certificates: readonly ShownCertificate[]): void {
    this.#metrics.settings.shows(certificates);
  }

  /** `count`: the sessions of this thread by each of these phases, and by connector. */
  countSessions(phases: readonly string[], count: () => Promise<SessionTally>): void {
    this.#metrics.countSessions(phases, count);
  }

  /** The connectors of the policy that this thread judges by from now on, and those that only observe. */
  inForce(connectors: readonly string[], observing: readonly string[], rules: RulesOf, isLocal: IsLocal): void {
    this.#isLocal = isLocal;
    this.#metrics.inForce(connectors, observing, rules);
  }

  /** The servers behind, from now on. */
  serversAre(servers: readonly string[]): void {
    this.#metrics.serversAre(servers);
    this.#upstream.serversAre(servers);
  }

  /** The last reload, where it was refused. `at`: milliseconds since 1970. */
  get refusedReload(): { readonly at: number; readonly findings: readonly string[] } | null {
    return this.#refusedReload;
  }

  /** The operator keeps new sessions away from a server, or lets them go there again. */
  serverDrained(server: string, draining: boolean): void {
    this.#metrics.upstreamDraining(server, draining);
    write(this.#log, draining ? 'server_drained' : 'server_in_use', { server });
  }

  reloaded(file: string, mode: Mode, observing: readonly string[] = []): void {
    this.#mode = mode;
    this.#observing = observing;
    this.#refusedReload = null;
    this.#metrics.settings.reloaded('ok');
    write(this.#log, 'reloaded', { file, mode });
    this.#warnWhenObserving();
  }

  /** The old config stays. `findings` as `check` prints them. */
  reloadRefused(file: string, findings: readonly string[]): void {
    this.#refusedReload = { at: Date.now(), findings };
    this.#metrics.settings.reloaded('refused');
    write(this.#log, 'reload_refused', { file, findings });
  }

  /** A limit of a source, a login, a sender or a connector answered, or would have. */
  limited(kind: LimitKind, key: string): void {
    this.#metrics.limited(kind, key);
  }

  /** `network` may not come for so many milliseconds. */
  banned(network: string, ms: number, by: 'limits' | 'operator'): void {
    const key = by === 'limits' ? 'limits.ban' : undefined;
    write(this.#log, 'banned', { network, seconds: Math.ceil(ms / 1000), by, key });
  }

  banLifted(network: string): void {
    write(this.#log, 'ban_lifted', { network });
  }

  /** The counters that nodes share can be asked, or not: then this node counts by itself. */
  stateUp(up: boolean, why = ''): void {
    this.#metrics.stateUp(up);
    if (up) write(this.#log, 'state_shared', {});
    else write(this.#log, 'state_alone', { why: harmless(why) });
  }

  /** A line for the operator that is no event of its own, with fields of ours: never peer bytes. `text` where the table's
   * has braces. */
  warn<Name extends Warning>(name: Name, fields: FieldsOf<Name>, text?: string): void {
    write(this.#log, name, fields, text);
  }

  readiness(): Readiness {
    const { suspect } = this.#lost;
    return {
      lostAddresses: suspect === null ? null : lostAddresses(suspect),
      listening: this.#listening,
      upstream: this.#upstream.answers,
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

  /** Lines of a worker thread, as it wrote them; resolves when they are out. */
  async workerLog(text: string, lines: number): Promise<void> {
    await pass(this.#sink, text, lines);
  }

  /** The same for the file for relayed mail. */
  async workerRelayed(text: string, lines: number): Promise<void> {
    if (this.#relayed !== null) await pass(this.#relayed, text, lines);
  }

  /** So many worker threads told what they count, so many did not. */
  workers(answering: number, missing: number): void {
    this.#metrics.workers(answering, missing);
  }

  workerDied(worker: number, why: string, next: number): void {
    this.#metrics.workerDied();
    write(this.#log, 'worker_ended', { worker, why: harmless(why), next_start_ms: next });
  }

  workerStarted(worker: number): void {
    write(this.#log, 'worker_started', { worker });
  }

  /** Writes out what still waits in memory: the last thing to await before process.exit. */
  async flush(): Promise<void> {
    this.#floods.tellAll();
    await Promise.all([this.#relayed?.flush(), this.#sink.flush()]);
  }

  #messageLines({ messages = 'all', pretty, worker }: ObserverOptions): MessageLines {
    const line = LINES.message;
    return new MessageLines(
      this.#log.isLevelEnabled(line.level) ? messages : 'none',
      createLineWriter(line, pretty, this.#sink, worker),
      this.#relayed && createLineWriter(line, false, this.#relayed, worker),
    );
  }

  #warnWhenObserving(): void {
    const warning = notProtected(this.#mode, this.#observing);
    if (warning === null) return;
    write(this.#log, this.#mode === 'observe' ? 'observing' : 'connectors_observing', { mode: this.#mode }, warning);
  }
}

async function pass(sink: LogSink, text: string, lines: number): Promise<void> {
  if (sink.pass === undefined) sink.write(text);
  else await sink.pass(text, lines);
}

/** Said at the start, at every reload and by /readyz, as long as something is not refused; null = all is. */
export function notProtected(mode: Mode, observing: readonly string[]): string | null {
  if (mode === 'observe') return LINES.observing.text;
  if (observing.length === 0) return null;
  return fill(LINES.connectors_observing.text, { connectors: observing.join(', ') });
}

const STANDARD_OUTPUT = 1;
const STACK_LINES = 12;
