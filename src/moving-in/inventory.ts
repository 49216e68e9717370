// Who sends what: the messages of logs, counted by the address that they came from.
//
// Bounded, whatever the logs hold: MOST_SOURCES sources, and of each so many names of a kind. Where there are more, those with
// the least mail are counted together, and it is said how many they are. With a policy each recipient that the old server
// accepted is put to it: a message of which one is refused counts as lost, since most senders then give up the whole of it.

import { parseIp } from '../policy/ip.ts';
import type { Policy } from '../policy/policy.ts';
import { ANY_LOCAL, answerQuestion, type PolicyQuestion, parseLocal } from '../policy/policy-question.ts';
import { domainOf, type IsAccepted } from './accepted.ts';
import { Counted } from './counted.ts';
import type { LoggedMessage, LogSink } from './logged.ts';

export const MOST_SOURCES = 25_000;
const LEFT_AT_ONCE = 2_500;

/** A message that the policy would not have let through, as an example. */
export interface Loss {
  readonly file: string;
  readonly line: number;
  readonly sender: string | null;
  readonly recipient: string;
  readonly reply: string;
}

export class SourceRow {
  readonly source: string;
  /** As the old server looked them up, or as --resolve found them. */
  readonly names = new Counted();
  readonly helo = new Counted();
  readonly logins = new Counted();
  readonly connectors = new Counted();
  readonly senderDomains = new Counted();
  readonly recipientDomains = new Counted();
  /** Those of the recipients that are relayed. */
  readonly relayedDomains = new Counted();
  /** Messages that the old server took, or may have taken. */
  messages = 0;
  /** Recipients that it accepted, of all messages. */
  recipients = 0;
  /** Of these, how many are of no accepted domain; null: nobody knows the accepted domains. */
  relayed: number | null = null;
  relayedMessages = 0;
  /** Recipients, and senders, that the old server refused or put off. */
  refused = 0;
  /** The log says that the client may relay to anywhere. */
  mayRelay = false;
  /** Messages that the policy would have refused, wholly or in part; null: there is no policy. */
  lost: number | null = null;
  loss: Loss | null = null;
  first: number | null = null;
  last: number | null = null;

  constructor(source: string) {
    this.source = source;
  }
}

/** What is counted of sources that have no row of their own. */
export interface Others {
  sources: number;
  messages: number;
  recipients: number;
  relayed: number;
  refused: number;
  lost: number;
}

export class Inventory implements LogSink {
  readonly #rows = new Map<string, SourceRow>();
  readonly #most: number;
  readonly #isAccepted: IsAccepted;
  readonly #policy: AskedPolicy | null;
  #waiting: { readonly row: SourceRow; readonly message: LoggedMessage }[] = [];
  readonly others: Others = { sources: 0, messages: 0, recipients: 0, relayed: 0, refused: 0, lost: 0 };

  constructor(isAccepted: IsAccepted, policy: AskedPolicy | null, most = MOST_SOURCES) {
    this.#isAccepted = isAccepted;
    this.#policy = policy;
    this.#most = most;
  }

  /** Those that relay and lose first, then by the number of messages. */
  rows(): SourceRow[] {
    return [...this.#rows.values()].sort(
      (a, b) =>
        (b.lost ?? 0) - (a.lost ?? 0) ||
        (b.relayed ?? 0) - (a.relayed ?? 0) ||
        b.messages - a.messages ||
        b.refused - a.refused,
    );
  }

  message(message: LoggedMessage): void {
    const row = this.#rowOf(message.source);
    const { at, helo, ptr, login, connector, sender, senderAnswer, delivered } = message;
    if (at !== null) {
      if (row.first === null || at < row.first) row.first = at;
      if (row.last === null || at > row.last) row.last = at;
    }
    if (ptr !== null) row.names.add(ptr);
    if (helo !== null) row.helo.add(helo);
    if (typeof login === 'string') row.logins.add(login);
    if (connector !== null) row.connectors.add(connector);
    if (message.mayRelay === true) row.mayRelay = true;
    if (sender !== null) row.senderDomains.add(sender === '' ? '<>' : domainOf(sender));
    if (senderAnswer === 'refused' || senderAnswer === 'deferred') row.refused += 1;
    const isTaken = delivered !== 'no';
    let accepted = isTaken ? message.untold : 0;
    let relayed = 0;
    for (const { address, answer } of message.recipients) {
      if (answer === 'refused' || answer === 'deferred') row.refused += 1;
      else if (isTaken) {
        accepted += 1;
        const domain = domainOf(address);
        row.recipientDomains.add(domain);
        if (this.#isAccepted !== null && !this.#isAccepted(address)) {
          relayed += 1;
          row.relayedDomains.add(domain);
        }
      }
    }
    if (this.#isAccepted !== null) row.relayed = (row.relayed ?? 0) + relayed;
    if (!isTaken || accepted === 0) return;
    row.messages += 1;
    row.recipients += accepted;
    if (relayed > 0) row.relayedMessages += 1;
    if (this.#policy === null) return;
    row.lost ??= 0;
    this.#waiting.push({ row, message });
  }

  async drain(): Promise<void> {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const { row, message } of waiting) {
      const loss = await (this.#policy as AskedPolicy).lossOf(message);
      if (loss === null) continue;
      row.lost = (row.lost ?? 0) + 1;
      row.loss ??= loss;
    }
  }

  #rowOf(source: string): SourceRow {
    let row = this.#rows.get(source);
    if (row !== undefined) return row;
    if (this.#rows.size >= this.#most) this.#fold();
    row = new SourceRow(source);
    this.#rows.set(source, row);
    return row;
  }

  /** Those with the least mail make room. */
  #fold(): void {
    const least = this.rows().slice(-Math.max(1, Math.min(LEFT_AT_ONCE, this.#most >> 1)));
    for (const row of least) {
      this.#rows.delete(row.source);
      this.others.sources += 1;
      this.others.messages += row.messages;
      this.others.recipients += row.recipients;
      this.others.relayed += row.relayed ?? 0;
      this.others.refused += row.refused;
      this.others.lost += row.lost ?? 0;
    }
  }
}

/** A policy, asked about messages as a session would ask it. */
export class AskedPolicy {
  readonly #policy: Policy;
  readonly #names: { of: readonly string[] | null };

  /** `names`: where the policy finds the names of the client that is asked about. */
  constructor(policy: Policy, names: { of: readonly string[] | null }) {
    this.#policy = policy;
    this.#names = names;
  }

  /** Null: every recipient that was accepted would be again. What would only be told of in observe is a loss. */
  async lossOf(message: LoggedMessage): Promise<Loss | null> {
    const { file, line, sender, recipients } = message;
    if (parseIp(message.source) === null) return null;
    this.#names.of = message.ptr === null ? null : [message.ptr];
    for (const { address, answer } of recipients) {
      if (answer === 'refused' || answer === 'deferred') continue;
      const { reply, refusedAt, answer: said } = await answerQuestion(this.#policy, questionOf(message, address));
      if (said !== 'proceed' || refusedAt !== null)
        return { file, line, sender, recipient: address, reply: reply ?? said };
    }
    return null;
  }
}

/** What the log does not tell was not: no login, no TLS. */
export function questionOf(message: LoggedMessage, recipient: string): PolicyQuestion {
  const { source, local, helo, login, tls, sender } = message;
  return {
    source,
    local: (local === null ? null : parseLocal(local)) ?? ANY_LOCAL,
    helo: helo ?? '',
    login: login ?? null,
    tls: tls ?? false,
    tlsSubject: [],
    sender: sender ?? '',
    recipient,
  };
}
