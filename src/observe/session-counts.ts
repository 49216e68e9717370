// What sessions count: how they ended, recipients by decision and reason, messages, logins, octets.
//
// Kept in plain numbers and handed to prom-client when somebody asks: its own counters look labels up on every call, which
// costs more than judging a recipient. Every label value comes from the tables below or is a connector of the config.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { CloseReason, Reason } from '../smtp/types.ts';

type RecipientDecision = 'proceed' | 'reject' | 'would_reject';
type Outcome = CloseReason['origin'] | 'refused';

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

export class SessionCounts {
  readonly #connectors = new Map<string, ConnectorCounts>();
  readonly #live = new Set<OctetCounts>();
  #endedFromClient = 0;
  #endedFromUpstream = 0;

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

  opened(octets: OctetCounts): void {
    this.#live.add(octets);
  }

  ended(octets: OctetCounts): void {
    this.#live.delete(octets);
    this.#endedFromClient += octets.octetsFromClient;
    this.#endedFromUpstream += octets.octetsFromUpstream;
  }

  // prom-client calls `collect` with the metric as `this`; the totals live here, so each call sets them anew.
  register(registers: Registry[]): void {
    const connectors = this.#connectors;
    const live = this.#live;
    const octets = () => this.#octets();
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
        this.inc({ direction: 'from_client' }, octets().fromClient);
        this.inc({ direction: 'from_upstream' }, octets().fromUpstream);
      },
    });
  }

  #octets(): { fromClient: number; fromUpstream: number } {
    let fromClient = this.#endedFromClient;
    let fromUpstream = this.#endedFromUpstream;
    for (const session of this.#live) {
      fromClient += session.octetsFromClient;
      fromUpstream += session.octetsFromUpstream;
    }
    return { fromClient, fromUpstream };
  }
}
