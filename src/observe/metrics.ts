// The metrics: a prom-client registry with exactly the names and labels of the contract.
//
// Invariant: every label value comes from a closed set (the types here and in session-counts.ts, connector and server
// names of the config); nothing that a peer sends is ever a label. What sessions count is in session-counts.ts, the process
// in process-metrics.ts, what the operator's files say in settings-metrics.ts. Each worker thread has its own, and what they say becomes one answer in measured.ts. Not here: a
// per-command counter.

import { Counter, Gauge, Registry } from 'prom-client';
import type { AnsweredCommand, Handshake, HeaderResult, ReplyClass } from '../smtp/types.ts';
import { PlainHistogram } from './histogram.ts';
import type { Measured } from './measured.ts';
import { Pace } from './pace.ts';
import { eventLoopDelay, registerProcess } from './process-metrics.ts';
import {
  type ConnectorCounts,
  type OctetCounts,
  type RulesOf,
  SessionCounts,
  type SessionTally,
} from './session-counts.ts';
import { SettingsMetrics } from './settings-metrics.ts';
import { SHORTAGES } from './shortage-causes.ts';

export type LimitKind = 'session' | 'source' | 'login' | 'sender' | 'connector' | 'door';

const OTHER_KEY = 'other';
/** What can be limited. */
const LIMITS: Readonly<Record<LimitKind, readonly string[]>> = {
  session: ['errors', 'junk_commands', 'recipients_per_message', 'messages', 'auth_failures', 'max_message_size'],
  source: ['message_rate', 'recipient_rate', 'byte_rate', 'rejected_recipient_rate', 'auth_failure_rate'],
  login: ['message_rate', 'recipient_rate', 'auth_failure_rate'],
  sender: ['message_rate'],
  connector: ['message_rate'],
  door: ['connections', 'connections_percent', 'connection_rate', 'upstream_connections', 'banned'],
};
const HEADERS: readonly HeaderResult[] = ['ok', 'not_listed', 'none', 'bad', 'too_long', 'late', 'hung_up'];

const CONNECT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const DELAY_SECONDS = [10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1, 10];

export class Metrics {
  readonly #registry = new Registry();
  readonly #sessions = new SessionCounts();
  readonly #shortages: Counter<'code'>;
  #servers: readonly string[] = [];
  readonly #upstreamUp: Gauge<'server'>;
  readonly #upstreamDraining: Gauge<'server'>;
  readonly #connectSeconds = new PlainHistogram(
    'postern_upstream_connect_seconds',
    'Time from dialling an upstream server to the established connection.',
    CONNECT_SECONDS,
  );
  readonly #delaySeconds = new PlainHistogram(
    'postern_command_delay_seconds',
    'What the firewall adds to a command, from its arrival to its departure.',
    DELAY_SECONDS,
  );
  readonly #limited: Counter<'kind' | 'key'>;
  readonly #handshakes: Counter<'result'>;
  readonly #headers: Counter<'result'>;
  readonly #stateUp: Gauge;
  readonly settings: SettingsMetrics;
  readonly #unidentified: Counter;
  readonly #defects: Counter;
  #workers: WorkerCounts | null = null;

  /** `lostLines`: how many log lines were given up so far, and `lostRelayed` of log.relayed_file; `bans`: how many networks are
   * banned; `addressesAreLost`: most clients seem to be one; `isProtected`: nothing is only observed. */
  constructor(
    servers: readonly string[],
    lostLines: () => number,
    lostRelayed: () => number,
    bans: () => number,
    addressesAreLost: () => boolean,
    isProtected: () => boolean,
  ) {
    const registers = [this.#registry];
    this.#sessions.register(registers);
    this.#upstreamUp = new Gauge({
      name: 'postern_upstream_up',
      help: 'Whether this server answered when it was last tried (1) or not (0).',
      labelNames: ['server'],
      aggregator: 'first', // workers tell the main thread
      registers,
    });
    this.#upstreamDraining = new Gauge({
      name: 'postern_upstream_draining',
      help: 'Whether the operator keeps new sessions away from this server (1) or not (0).',
      labelNames: ['server'],
      aggregator: 'first', // the main thread is told
      registers,
    });
    this.serversAre(servers);
    this.#limited = new Counter({
      name: 'postern_limited_total',
      help: 'How often a limit answered.',
      labelNames: ['kind', 'key'],
      registers,
    });
    for (const [kind, keys] of Object.entries(LIMITS)) for (const key of keys) this.#limited.inc({ kind, key }, 0);
    this.#stateUp = new Gauge({
      name: 'postern_state_up',
      help: 'Whether the counters of limits are those of all nodes (1), or this node counts by itself (0). Always 1 in memory.',
      aggregator: 'first',
      registers,
    });
    this.#stateUp.set(1);
    new Gauge({
      name: 'postern_bans',
      help: 'Networks banned now.',
      aggregator: 'first',
      registers,
      collect() {
        this.set(bans());
      },
    });
    this.#unidentified = new Counter({
      name: 'postern_upstream_unidentified_total',
      help: 'Sessions whose server was to be told who the client is and did not offer that.',
      registers,
    });
    this.#handshakes = new Counter({
      name: 'postern_tls_handshakes_total',
      help: 'TLS handshakes with clients, by how they ended.',
      labelNames: ['result'],
      registers,
    });
    for (const result of ['ok', 'failed', 'timeout'] as const) this.#handshakes.inc({ result }, 0);
    this.#headers = new Counter({
      name: 'postern_proxy_headers_total',
      help: 'PROXY headers of peers that had to send one, by how they came out.',
      labelNames: ['result'],
      registers,
    });
    for (const result of HEADERS) this.#headers.inc({ result }, 0);
    this.settings = new SettingsMetrics(registers, isProtected);
    new Gauge({
      name: 'postern_lost_client_addresses',
      help: 'Whether most clients come from one address inside (1), as behind a gateway that hides theirs, or not (0).',
      aggregator: 'first', // workers tell the main thread
      registers,
      collect() {
        this.set(addressesAreLost() ? 1 : 0);
      },
    });
    this.#shortages = new Counter({
      name: 'postern_shortages_total',
      help: 'Clients not taken and connections not made because this machine had no descriptors, ports or memory left.',
      labelNames: ['code'],
      registers,
    });
    for (const code of [...Object.keys(SHORTAGES), 'other']) this.#shortages.inc({ code }, 0);
    this.#defects = new Counter({
      name: 'postern_defects_total',
      help: 'Faults of the firewall itself that were caught. Any other value than 0 is worth a report.',
      registers,
    });
    new Counter({
      name: 'postern_log_lines_lost_total',
      help: 'Log lines given up because nobody read them fast enough or the log could not be written.',
      registers,
      collect() {
        this.reset();
        this.inc(lostLines());
      },
    });
    new Counter({
      name: 'postern_relayed_lines_lost_total',
      help: 'Lines given up of log.relayed_file, because it could not be written, or not as fast as they came.',
      registers,
      collect() {
        this.reset();
        this.inc(lostRelayed());
      },
    });
    registerProcess(registers);
  }

  async measured(): Promise<Measured[]> {
    const counted: Measured[] = [];
    const pace = new Pace();
    const metrics: readonly unknown[] = this.#registry.getMetricsAsArray();
    for (const metric of metrics as readonly { get(): Promise<Measured> }[]) {
      if (pace.isOver) await pace.turn();
      counted.push(await metric.get());
    }
    return [...counted, this.#connectSeconds.measured(), this.#delaySeconds.measured(), eventLoopDelay().measured()];
  }

  /** Only where there are several: so many answered, so many did not. */
  workers(answering: number, missing: number): void {
    this.#workers ??= new WorkerCounts([this.#registry]);
    this.#workers.answering.set(answering);
    this.#workers.missing.set(missing);
  }

  workerDied(): void {
    this.#workers ??= new WorkerCounts([this.#registry]);
    this.#workers.deaths.inc();
  }

  connector(name: string | null): ConnectorCounts {
    return this.#sessions.connector(name);
  }

  /** The connectors of the policy in force, and those that only observe. */
  inForce(connectors: readonly string[], observing: readonly string[], rules?: RulesOf): void {
    this.#sessions.inForce(connectors, observing, rules);
  }

  replied(command: AnsweredCommand, replyClass: ReplyClass): void {
    this.#sessions.replied(command, replyClass);
  }

  /** How many sessions are in each of these phases, and at each connector; they are counted when the metrics are asked for. */
  countSessions(phases: readonly string[], count: () => Promise<SessionTally>): void {
    const byConnector = new Gauge({
      name: 'postern_sessions_by_connector',
      help: 'Sessions open now, by their connector.',
      labelNames: ['connector'],
      registers: [],
    });
    const connectors = (): readonly string[] => this.#sessions.names;
    new Gauge({
      name: 'postern_sessions_by_phase',
      help: 'Sessions open now, by what they do or wait for.',
      labelNames: ['phase'],
      registers: [this.#registry],
      async collect() {
        const found = await count();
        for (const phase of phases) this.set({ phase }, found.byPhase[phase] ?? 0);
        for (const connector of connectors()) byConnector.set({ connector }, found.byConnector[connector] ?? 0);
      },
    });
    this.#registry.registerMetric(byConnector); // behind the one that counts
  }

  sessionOpened(octets: OctetCounts): void {
    this.#sessions.opened(octets);
  }

  sessionEnded(octets: OctetCounts): void {
    this.#sessions.ended(octets);
  }

  limited(kind: LimitKind, key: string): void {
    this.#limited.inc({ kind, key: LIMITS[kind].includes(key) ? key : OTHER_KEY });
  }

  handshake(result: Handshake['result']): void {
    this.#handshakes.inc({ result });
  }

  header(result: HeaderResult): void {
    this.#headers.inc({ result });
  }

  stateUp(up: boolean): void {
    this.#stateUp.set(up ? 1 : 0);
  }

  shortOf(code: string): void {
    this.#shortages.inc({ code: Object.hasOwn(SHORTAGES, code) ? code : 'other' });
  }

  /** Those that are new begin at 0, the others are as they were; the series of all else end. */
  serversAre(servers: readonly string[]): void {
    for (const server of this.#servers) {
      if (servers.includes(server)) continue;
      this.#upstreamUp.remove({ server });
      this.#upstreamDraining.remove({ server });
    }
    for (const server of servers) {
      if (this.#servers.includes(server)) continue;
      this.#upstreamUp.set({ server }, 0);
      this.#upstreamDraining.set({ server }, 0);
    }
    this.#servers = servers;
  }

  upstreamUp(server: string, up: boolean): void {
    this.#upstreamUp.set({ server }, up ? 1 : 0);
  }

  upstreamDraining(server: string, draining: boolean): void {
    this.#upstreamDraining.set({ server }, draining ? 1 : 0);
  }

  unidentified(): void {
    this.#unidentified.inc();
  }

  upstreamConnected(seconds: number): void {
    this.#connectSeconds.observe(seconds);
  }

  delay(seconds: number): void {
    this.#delaySeconds.observe(seconds);
  }

  defect(): void {
    this.#defects.inc();
  }
}

class WorkerCounts {
  readonly answering: Gauge;
  readonly missing: Gauge;
  readonly deaths: Counter;

  constructor(registers: Registry[]) {
    this.answering = new Gauge({
      name: 'postern_workers',
      help: 'Worker threads whose counts are in this answer.',
      registers,
    });
    this.missing = new Gauge({
      name: 'postern_workers_missing',
      help: 'Worker threads that did not answer within a second: their counters are as they last were, their gauges left out.',
      registers,
    });
    this.deaths = new Counter({
      name: 'postern_worker_deaths_total',
      help: 'Worker threads that ended by themselves and were started anew.',
      registers,
    });
  }
}
