// What sessions count: how they ended, recipients by decision and reason, messages, logins, octets.
//
// Kept in plain numbers and handed to prom-client when somebody asks: its own counters look labels up on every call, which
// costs more than judging a recipient. Every label value comes from the tables below or is a connector of the config.

import { Counter, Gauge, type Registry } from 'prom-client';
import type { AnsweredCommand, CloseReason, Reason, ReplyClass } from '../smtp/types.ts';
import { type Listed, Roster } from './roster.ts';

type RecipientDecision = 'proceed' | 'reject' | 'would_reject';
type Outcome = CloseReason['origin'] | 'refused';
/** What the server made of a recipient; none: it was not asked, or never answered. */
export type Answer = 'accepted' | 'deferred' | 'refused' | 'none';
/** How a message came out that the server answered; relayed: it took it, for a domain that is not an accepted one too. */
export type MessageOutcome = 'local' | 'relayed' | 'deferred' | 'refused';
/** By connector: the names of its rules that let pass. */
export type RulesOf = Readonly<Record<string, readonly string[]>>;
/** What was refused beside recipients, and by whom; observed: only the mode let it pass. */
export type RefusedKind = 'sender' | 'command' | 'login' | 'message';
export type RefusedBy = 'policy' | 'observed' | 'upstream';

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
const ANSWERS: Record<Answer, number> = { accepted: 0, deferred: 1, refused: 2, none: 3 };
const REASON_COUNT = Object.keys(REASONS).length;
const ANSWER_COUNT = Object.keys(ANSWERS).length;
const PASSES: ReadonlySet<string> = new Set<Reason>(['accepted_domain', 'relay_domain', 'rule']);
const OURS_TO_REFUSE: ReadonlySet<string> = new Set<Reason>([
  ...(['rule', 'no_rule', 'blocked_domain', 'unknown_recipient', 'cannot_tell', 'limit'] as const),
  ...(['syntax', 'relay_trick', 'unqualified'] as const),
]);
const GRAMMAR: ReadonlySet<string> = new Set<Reason>(['syntax', 'relay_trick', 'unqualified']); // in every mode
/** The pairs that can happen. */
const REFUSED: Readonly<Record<RefusedKind, readonly RefusedBy[]>> = {
  sender: ['policy', 'observed', 'upstream'],
  command: ['policy'],
  login: ['policy', 'observed'],
  message: ['policy', 'upstream'],
};
const CLASSES: readonly ReplyClass[] = ['2yz', '3yz', '4yz', '5yz'];
/** The classes that a command can be answered with; any other one ends the session. */
const REPLIES: Readonly<Record<AnsweredCommand, readonly ReplyClass[]>> = {
  EHLO: ['2yz', '4yz', '5yz'],
  HELO: ['2yz', '4yz', '5yz'],
  AUTH: ['2yz', '3yz', '4yz', '5yz'],
  STARTTLS: ['2yz', '4yz', '5yz'],
  MAIL: ['2yz', '4yz', '5yz'],
  RCPT: ['2yz', '4yz', '5yz'],
  DATA: ['3yz', '4yz', '5yz'],
  BDAT: ['2yz', '4yz', '5yz'],
  'END-OF-MESSAGE': ['2yz', '4yz', '5yz'],
  RSET: ['2yz', '4yz', '5yz'],
  QUIT: ['2yz', '4yz', '5yz'],
  other: ['2yz', '3yz', '4yz', '5yz'],
};
const OUTCOMES: Record<Outcome, number> = { client: 0, upstream: 1, policy: 2, operator: 3, defect: 4, refused: 5 };
/** The connector of those that no connector takes. Not a name that a config can give. */
const NO_CONNECTOR = '(none)';

/** What the sessions of one connector count; fetched once per session, then plain additions. */
export class ConnectorCounts {
  readonly name: string;
  messages = 0;
  logins = 0;
  failedLogins = 0;
  /** Only observes: then recipients pass that would be refused. */
  observes = false;
  readonly messageOutcomes: Record<MessageOutcome, number> = { local: 0, relayed: 0, deferred: 0, refused: 0 };
  /** Recipients of messages that the server took, by the rule that let them be relayed. */
  readonly relays = new Map<string, number>();
  readonly #refused = new Map<string, number>();
  readonly #outcomes = new Float64Array(Object.keys(OUTCOMES).length);
  readonly #recipients = new Float64Array(Object.keys(DECISIONS).length * REASON_COUNT * ANSWER_COUNT);

  constructor(name: string) {
    this.name = name;
  }

  sessionEnded(outcome: Outcome): void {
    const index = OUTCOMES[outcome];
    this.#outcomes[index] = (this.#outcomes[index] ?? 0) + 1;
  }

  recipient(decision: RecipientDecision, reason: Reason, answer: Answer): void {
    const index = (DECISIONS[decision] * REASON_COUNT + REASONS[reason]) * ANSWER_COUNT + ANSWERS[answer];
    this.#recipients[index] = (this.#recipients[index] ?? 0) + 1;
  }

  refused(kind: RefusedKind, origin: RefusedBy): void {
    const key = `${kind} ${origin}`;
    this.#refused.set(key, (this.#refused.get(key) ?? 0) + 1);
  }

  message(outcome: MessageOutcome): void {
    this.messageOutcomes[outcome] += 1;
  }

  relayed(byRule: ReadonlyMap<string, number>): void {
    for (const [rule, count] of byRule) this.relays.set(rule, (this.relays.get(rule) ?? 0) + count);
  }

  eachOutcome(visit: (outcome: string, count: number) => void): void {
    for (const [outcome, index] of Object.entries(OUTCOMES)) visit(outcome, this.#outcomes[index] ?? 0);
  }

  /** What can occur, from the start, and whatever else did. */
  eachRecipient(visit: (decision: string, reason: string, answer: string, count: number) => void): void {
    for (const [decision, row] of Object.entries(DECISIONS)) {
      for (const [reason, column] of Object.entries(REASONS)) {
        for (const [answer, place] of Object.entries(ANSWERS)) {
          const count = this.#recipients[(row * REASON_COUNT + column) * ANSWER_COUNT + place] ?? 0;
          if (count > 0 || this.#canOccur(decision, reason, answer)) visit(decision, reason, answer, count);
        }
      }
    }
  }

  eachRefused(visit: (kind: string, origin: string, count: number) => void): void {
    for (const [kind, origins] of Object.entries(REFUSED)) {
      for (const origin of origins) visit(kind, origin, this.#refused.get(`${kind} ${origin}`) ?? 0);
    }
  }

  #canOccur(decision: string, reason: string, answer: string): boolean {
    if (decision === 'proceed') return PASSES.has(reason);
    if (decision === 'reject') return answer === 'none' && OURS_TO_REFUSE.has(reason);
    return this.observes && OURS_TO_REFUSE.has(reason) && !GRAMMAR.has(reason);
  }
}

/** Sessions open at one moment. */
export interface SessionTally {
  readonly byPhase: Readonly<Record<string, number>>;
  readonly byConnector: Readonly<Record<string, number>>;
}

/** The octets of a session that still runs; read when the metrics are asked for. */
export interface OctetCounts extends Listed {
  readonly octetsFromClient: number;
  readonly octetsFromUpstream: number;
}

export class SessionCounts {
  readonly #connectors = new Map<string, ConnectorCounts>();
  readonly #live = new Roster<OctetCounts>();
  #endedFromClient = 0;
  #endedFromUpstream = 0;

  readonly #replies = new Map<string, Float64Array>(
    Object.keys(REPLIES).map((command) => [command, new Float64Array(CLASSES.length)]),
  );
  readonly #noConnector = new ConnectorCounts(NO_CONNECTOR);

  /** The counts of a connector; null = no connector took the connection. */
  connector(name: string | null): ConnectorCounts {
    if (name === null) return this.#noConnector;
    let counts = this.#connectors.get(name);
    if (counts === undefined) {
      counts = new ConnectorCounts(name);
      this.#connectors.set(name, counts);
    }
    return counts;
  }

  /** Of every connector so far. */
  get names(): readonly string[] {
    return [...this.#connectors.keys()];
  }

  /** The connectors of the policy in force: their series begin at 0. Those that are gone stay as they are. */
  inForce(names: readonly string[], observing: readonly string[], rules: RulesOf = {}): void {
    for (const name of names) {
      const counts = this.connector(name);
      counts.observes = observing.includes(name);
      counts.relayed(new Map(['(relay_domain)', ...(rules[name] ?? [])].map((rule) => [rule, 0])));
    }
  }

  replied(command: AnsweredCommand, replyClass: ReplyClass): void {
    const counts = this.#replies.get(command);
    const index = CLASSES.indexOf(replyClass);
    if (counts !== undefined) counts[index] = (counts[index] ?? 0) + 1;
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
    const noConnector = this.#noConnector;
    const live = this.#live;
    const replies = this.#replies;
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
      help: 'Sessions that ended, by who ended them, and connections refused at connection time.',
      labelNames: ['connector', 'outcome'],
      registers,
      collect() {
        this.reset();
        for (const counts of connectors.values()) {
          counts.eachOutcome((outcome, count) => this.inc({ connector: counts.name, outcome }, count));
        }
        // Without a connector there is no session: only a refusal.
        noConnector.eachOutcome((outcome, count) => {
          if (outcome === 'refused') this.inc({ connector: NO_CONNECTOR, outcome }, count);
        });
      },
    });
    new Counter({
      name: 'postern_recipients_total',
      help: 'Recipients, by our decision, its reason, and the answer of the server; none = not asked, or it never answered. One that passes is counted when it is answered.',
      labelNames: ['connector', 'decision', 'reason', 'answer'],
      registers,
      collect() {
        this.reset();
        for (const counts of connectors.values()) {
          counts.eachRecipient((decision, reason, answer, count) =>
            this.inc({ connector: counts.name, decision, reason, answer }, count),
          );
        }
      },
    });
    new Counter({
      name: 'postern_refused_total',
      help: 'What was refused beside recipients, by whom; observed = only the mode let it pass.',
      labelNames: ['connector', 'kind', 'origin'],
      registers,
      collect() {
        this.reset();
        for (const counts of connectors.values()) {
          counts.eachRefused((kind, origin, count) => this.inc({ connector: counts.name, kind, origin }, count));
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
      name: 'postern_answered_messages_total',
      help: 'Messages that the upstream answered, by what came of them: taken for accepted domains alone (local), taken and relayed for one recipient or more, put off, refused.',
      labelNames: ['connector', 'outcome'],
      registers,
      collect() {
        this.reset();
        for (const { name: connector, messageOutcomes } of connectors.values())
          for (const [outcome, count] of Object.entries(messageOutcomes)) this.inc({ connector, outcome }, count);
      },
    });
    new Counter({
      name: 'postern_relayed_recipients_total',
      help: 'Recipients of messages that the upstream took to relay, by the rule that let them pass; in brackets the reason where it was none.',
      labelNames: ['connector', 'rule'],
      registers,
      collect() {
        this.reset();
        for (const { name: connector, relays } of connectors.values())
          for (const [rule, count] of relays) this.inc({ connector, rule }, count);
      },
    });
    new Counter({
      name: 'postern_upstream_replies_total',
      help: 'Replies of the upstream, by the command that they answer and their class.',
      labelNames: ['command', 'class'],
      registers,
      collect() {
        this.reset();
        for (const [command, classes] of Object.entries(REPLIES))
          for (const replyClass of classes)
            this.inc({ command, class: replyClass }, replies.get(command)?.[CLASSES.indexOf(replyClass)] ?? 0);
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
        const { fromClient, fromUpstream } = octets();
        this.inc({ direction: 'from_client' }, fromClient);
        this.inc({ direction: 'from_upstream' }, fromUpstream);
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
