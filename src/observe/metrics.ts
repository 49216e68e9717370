// The metrics: a prom-client registry with exactly the names and labels of the contract.
//
// Invariant: every label value comes from a closed set (the types below, connector and server names of the config);
// nothing that a peer sends is ever a label. What sessions count is kept in plain numbers and handed to prom-client
// when somebody asks: its own counters look labels up on every call, which costs more than judging a recipient.
// Each worker thread has its own, and what they say becomes one answer in measured.ts. Not here: a per-command counter.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';
import type { CloseReason, Handshake, Reason } from '../smtp/types.ts';
import { PlainHistogram } from './histogram.ts';
import type { Measured } from './measured.ts';

type RecipientDecision = 'proceed' | 'reject' | 'would_reject';
type Outcome = CloseReason['origin'] | 'refused';
export type LimitKind = 'session' | 'source' | 'login' | 'sender' | 'connector' | 'door';

const DECISIONS: Record<RecipientDecision, number> = { proceed: 0, reject: 1, would_reject: 2 };
const REASONS: Record<Reason, number> = {
  accepted_domain: 0,
  relay_domain: 1,
  rule: 2,
  no_rule: 3,
  blocked_domain: 4,
  unknown_recipient: 5,
  submit: 6,
  sender: 7,
  tls_required: 8,
  cannot_tell: 9,
  syntax: 10,
  relay_trick: 11,
  unqualified: 12,
  limit: 13,
  reload: 14,
};
const REASON_COUNT = Object.keys(REASONS).length;
const OUTCOMES: Record<Outcome, number> = { client: 0, upstream: 1, policy: 2, operator: 3, defect: 4, refused: 5 };
/** The connector of those that no connector takes. Not a name that a config can give. */
const NO_CONNECTOR = '(none)';
const OTHER_KEY = 'other';
const LIMIT_KEYS: ReadonlySet<string> = new Set([
  'errors',
  'junk_commands',
  'recipients_per_message',
  'messages',
  'auth_failures',
  'command_line',
  'max_message_size',
  'connections',
  'connections_percent',
  'connection_rate',
  'message_rate',
  'recipient_rate',
  'byte_rate',
  'rejected_recipient_rate',
  'auth_failure_rate',
  'upstream_connections',
  'banned',
]);

const CONNECT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const DELAY_SECONDS = [10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1, 10];
const LOOP_DELAY_RESOLUTION_MS = 20;

/** What the sessions of one connector count; fetched once per session, then plain additions. */
export class ConnectorCounts {
  readonly name: string;
  messages = 0;
  logins = 0;
  failedLogins = 0;
  readonly #outcomes = new Float64Array(Object.keys(OUTCOMES).length);
  readonly #recipients = new Float64Array(Object.keys(DECISIONS).length * REASON_COUNT);

  constructor(name: string) {
    this.name = name;
  }

  sessionEnded(outcome: Outcome): void {
    const index = OUTCOMES[outcome];
    this.#outcomes[index] = (this.#outcomes[index] ?? 0) + 1;
  }

  recipient(decision: RecipientDecision, reason: Reason): void {
    const index = DECISIONS[decision] * REASON_COUNT + REASONS[reason];
    this.#recipients[index] = (this.#recipients[index] ?? 0) + 1;
  }

  eachOutcome(visit: (outcome: string, count: number) => void): void {
    for (const [outcome, index] of Object.entries(OUTCOMES)) visit(outcome, this.#outcomes[index] ?? 0);
  }

  /** Only the pairs that occurred: most never do. */
  eachRecipient(visit: (decision: string, reason: string, count: number) => void): void {
    for (const [decision, row] of Object.entries(DECISIONS)) {
      for (const [reason, column] of Object.entries(REASONS)) {
        const count = this.#recipients[row * REASON_COUNT + column] ?? 0;
        if (count > 0) visit(decision, reason, count);
      }
    }
  }
}

/** The octets of a session that still runs; read when the metrics are asked for. */
export interface OctetCounts {
  readonly octetsFromClient: number;
  readonly octetsFromUpstream: number;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #connectors = new Map<string, ConnectorCounts>();
  readonly #live = new Set<OctetCounts>();
  readonly #upstreamUp: Gauge<'server'>;
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
  readonly #stateUp: Gauge;
  readonly #policyLoaded: Gauge<'version'>;
  readonly #unidentified: Counter;
  readonly #defects: Counter;
  #workers: WorkerCounts | null = null;
  #endedFromClient = 0;
  #endedFromUpstream = 0;

  /** `lostLines`: how many log lines were given up so far; `bans`: how many networks are banned; `addressesAreLost`: most
   * clients seem to be one. */
  constructor(
    connectors: readonly string[],
    servers: readonly string[],
    lostLines: () => number,
    bans: () => number,
    addressesAreLost: () => boolean,
  ) {
    const registers = [this.#registry];
    for (const name of connectors) this.connector(name);
    this.#registerSessionCounts(registers);
    this.#upstreamUp = new Gauge({
      name: 'postern_upstream_up',
      help: 'Whether this server answered when it was last tried (1) or not (0).',
      labelNames: ['server'],
      aggregator: 'first', // workers tell the main thread
      registers,
    });
    for (const server of servers) this.#upstreamUp.set({ server }, 0);
    this.#limited = new Counter({
      name: 'postern_limited_total',
      help: 'How often a limit answered.',
      labelNames: ['kind', 'key'],
      registers,
    });
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
    this.#policyLoaded = new Gauge({
      name: 'postern_policy_loaded_timestamp',
      help: 'When the policy in force was loaded, in seconds since 1970; `version` is a digest of its files.',
      labelNames: ['version'],
      aggregator: 'max',
      registers,
    });
    new Gauge({
      name: 'postern_lost_client_addresses',
      help: 'Whether most clients come from one address inside (1), as behind a gateway that hides theirs, or not (0).',
      aggregator: 'first', // workers tell the main thread
      registers,
      collect() {
        this.set(addressesAreLost() ? 1 : 0);
      },
    });
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
    registerProcess(registers);
  }

  async measured(): Promise<Measured[]> {
    const counted = (await this.#registry.getMetricsAsJSON()) as unknown as Measured[];
    return [...counted, this.#connectSeconds.measured(), this.#delaySeconds.measured()];
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

  /** The counts of a connector; null = no connector took the connection. */
  connector(name: string | null): ConnectorCounts {
    const key = name ?? NO_CONNECTOR;
    let counts = this.#connectors.get(key);
    if (counts === undefined) {
      counts = new ConnectorCounts(key);
      this.#connectors.set(key, counts);
    }
    return counts;
  }

  sessionOpened(octets: OctetCounts): void {
    this.#live.add(octets);
  }

  sessionEnded(octets: OctetCounts): void {
    this.#live.delete(octets);
    this.#endedFromClient += octets.octetsFromClient;
    this.#endedFromUpstream += octets.octetsFromUpstream;
  }

  /** The only label that is no closed set: one value at a time, and the operator's own file makes it. */
  policyLoaded(version: string, seconds: number): void {
    this.#policyLoaded.reset();
    this.#policyLoaded.set({ version }, seconds);
  }

  limited(kind: LimitKind, key: string): void {
    this.#limited.inc({ kind, key: LIMIT_KEYS.has(key) ? key : OTHER_KEY });
  }

  handshake(result: Handshake['result']): void {
    this.#handshakes.inc({ result });
  }

  stateUp(up: boolean): void {
    this.#stateUp.set(up ? 1 : 0);
  }

  upstreamUp(server: string, up: boolean): void {
    this.#upstreamUp.set({ server }, up ? 1 : 0);
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

  // prom-client calls `collect` with the metric as `this`; the totals live here, so each call sets them anew.
  #registerSessionCounts(registers: Registry[]): void {
    const connectors = this.#connectors;
    const live = this.#live;
    const fromClient = () => {
      let sum = this.#endedFromClient;
      for (const octets of live) sum += octets.octetsFromClient;
      return sum;
    };
    const fromUpstream = () => {
      let sum = this.#endedFromUpstream;
      for (const octets of live) sum += octets.octetsFromUpstream;
      return sum;
    };
    new Gauge({
      name: 'postern_sessions',
      help: 'Sessions open now.',
      registers,
      collect() {
        this.set(live.size);
      },
    });
    new Counter({
      name: 'postern_sessions_total',
      help: 'Sessions that ended, by who ended them, and connections refused at the door.',
      labelNames: ['connector', 'outcome'],
      registers,
      collect() {
        this.reset();
        for (const counts of connectors.values()) {
          counts.eachOutcome((outcome, count) => this.inc({ connector: counts.name, outcome }, count));
        }
      },
    });
    new Counter({
      name: 'postern_recipients_total',
      help: 'Recipients decided, by the decision and its reason.',
      labelNames: ['connector', 'decision', 'reason'],
      registers,
      collect() {
        this.reset();
        for (const counts of connectors.values()) {
          counts.eachRecipient((decision, reason, count) =>
            this.inc({ connector: counts.name, decision, reason }, count),
          );
        }
      },
    });
    new Counter({
      name: 'postern_messages_total',
      help: 'Messages that the upstream accepted.',
      labelNames: ['connector'],
      registers,
      collect() {
        this.reset();
        for (const counts of connectors.values()) this.inc({ connector: counts.name }, counts.messages);
      },
    });
    new Counter({
      name: 'postern_logins_total',
      help: 'Logins that the upstream answered, by its answer.',
      labelNames: ['connector', 'outcome'],
      registers,
      collect() {
        this.reset();
        for (const { name: connector, logins, failedLogins } of connectors.values()) {
          this.inc({ connector, outcome: 'accepted' }, logins);
          this.inc({ connector, outcome: 'failed' }, failedLogins);
        }
      },
    });
    new Counter({
      name: 'postern_bytes_total',
      help: 'Octets received, by who sent them.',
      labelNames: ['direction'],
      registers,
      collect() {
        this.reset();
        this.inc({ direction: 'from_client' }, fromClient());
        this.inc({ direction: 'from_upstream' }, fromUpstream());
      },
    });
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

/** The event loop's delay, and of prom-client's default metrics the three that every Prometheus dashboard expects: the
 * others watch garbage collection and handles, which costs on the hot path. */
function registerProcess(registers: Registry[]): void {
  const loopDelay = monitorEventLoopDelay({ resolution: LOOP_DELAY_RESOLUTION_MS });
  loopDelay.enable();
  new Gauge({
    name: 'postern_event_loop_delay_seconds',
    help: 'Delay of the event loop since it was last asked for; of several workers, the longest.',
    labelNames: ['quantile'],
    aggregator: 'max',
    registers,
    collect() {
      for (const quantile of [0.5, 0.99, 1]) {
        // The timer's own period is part of what Node measures.
        const late = loopDelay.percentile(quantile * 100) / 1e9 - LOOP_DELAY_RESOLUTION_MS / 1e3;
        this.set({ quantile: String(quantile) }, Math.max(0, late));
      }
      loopDelay.reset();
    },
  });
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time of the process.',
    aggregator: 'first',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process.',
    aggregator: 'first',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'Start of the process since the Unix epoch.',
    aggregator: 'first',
    registers,
  }).set(Math.round(Date.now() / 1e3 - process.uptime()));
}
