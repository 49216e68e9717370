// What a policy would have said to each recipient of a log, beside what the old server said: same, stricter, looser.
//
// A no of the old server's own (no such user, mailbox full) stays a no behind a policy that lets the recipient pass, so it is no
// difference; one that is about relaying or rights, or that the log has no text for, is. What the old server put off, or the log
// does not tell, is not compared. Bounded: MOST_GROUPS groups and wishes, and what is beyond them is counted. Not here: what a policy
// says (asked.ts), and what to make of it (suggest.ts).

import { domainOf, hidesAnother } from './accepted.ts';
import type { AskedOfLogs, Said, Saying } from './asked.ts';
import type { LoggedMessage, LoggedRecipient, LogSink } from './logged.ts';
import { Interned } from './transaction.ts';

export type Kind = 'stricter' | 'looser' | 'cannot tell';

export const KINDS: readonly Kind[] = ['stricter', 'looser', 'cannot tell'];

export const MOST_GROUPS = 20_000;
const MOST_EXAMPLES = 3;
const MOST_NAMES = 200; // of one kind, in one wish
const MOST_SOURCES = 50_000;

export interface Example {
  readonly file: string;
  readonly line: number;
  readonly at: number | null;
  readonly sender: string | null;
  readonly recipient: string;
  /** Of the old server; '' where the log has none. */
  readonly reply: string;
}

interface Times {
  messages: number;
  recipients: number;
  first: number | null;
  last: number | null;
  readonly examples: Example[];
}

/** Recipients of one kind, alike in where they are from and whereto. */
export interface Group extends Times {
  readonly kind: Kind;
  readonly source: string;
  /** '<>' is the null path, '?' not told. */
  readonly senderDomain: string;
  readonly recipientDomain: string;
  readonly said: Said;
}

/** What somebody would need: recipients that the old server accepted, and the policy refuses for one reason. */
export interface Wish extends Times {
  readonly connector: string | null;
  readonly reason: string;
  readonly rule: string | null;
  /** Null: without a login, or with one that is not told. */
  readonly login: string | null;
  /** A second address is hidden in theirs, and must be allowed as well. */
  readonly hides: boolean;
  readonly sources: Names;
  readonly domains: Names;
  readonly senders: Names;
  readonly senderDomains: Names;
  readonly addresses: Names;
}

/** So many names; then only that there are more. */
export class Names {
  readonly all = new Set<string>();
  hasMore = false;

  add(name: string): void {
    if (this.all.has(name)) return;
    if (this.all.size < MOST_NAMES) this.all.add(name);
    else this.hasMore = true;
  }
}

/** What a source did beside: of all its recipients. */
export interface Conduct {
  accepted: number;
  /** By the old server, for a reason of rights. */
  refused: number;
}

/** Counts of recipients. */
export interface Totals {
  messages: number;
  recipients: number;
  same: number;
  /** Of these: the old server's own no, behind a policy that lets pass. */
  ownNo: number;
  stricter: number;
  looser: number;
  cannotTell: number;
  /** The old server put them off, or the log does not tell what it said. */
  untold: number;
  /** Messages that the old server took, of which the policy refuses a recipient; and of which that cannot be told. */
  lost: number;
  perhapsLost: number;
  /** Recipients in no group, and wishes that were not kept: there are too many. */
  beyond: number;
  first: number | null;
  last: number | null;
}

export class Replay implements LogSink {
  readonly #asked: AskedOfLogs;
  readonly #groups = new Map<string, Group>();
  readonly #wishes = new Map<string, Wish>();
  readonly #conducts = new Map<string, Conduct>();
  /** Replies of the old server. */
  readonly #replies = new Interned();
  #waiting: LoggedMessage[] = [];
  readonly totals: Totals = {
    ...{ messages: 0, recipients: 0, same: 0, ownNo: 0, stricter: 0, looser: 0, cannotTell: 0, untold: 0 },
    ...{ lost: 0, perhapsLost: 0, beyond: 0, first: null, last: null },
  };

  readonly #isForSuggest: boolean;

  /** `isForSuggest`: wishes and conducts are kept as well. */
  constructor(asked: AskedOfLogs, isForSuggest: boolean) {
    this.#asked = asked;
    this.#isForSuggest = isForSuggest;
  }

  /** Those with the most recipients first. */
  get groups(): Group[] {
    return [...this.#groups.values()].sort((a, b) => b.recipients - a.recipients);
  }

  get wishes(): Wish[] {
    return [...this.#wishes.values()].sort((a, b) => b.recipients - a.recipients);
  }

  conductOf(source: string): Conduct {
    return this.#conducts.get(source) ?? { accepted: 0, refused: 0 };
  }

  message(message: LoggedMessage): void {
    this.#waiting.push(message);
  }

  async drain(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const message of waiting) await this.#compare(message);
  }

  async #compare(message: LoggedMessage): Promise<void> {
    const { totals } = this;
    totals.messages += 1;
    note(totals, message.at);
    const found = new Set<Kind>();
    const counted = new Set<Times>();
    let accepted = 0;
    let refused = 0;
    for (const recipient of message.recipients) {
      totals.recipients += 1;
      const old = message.senderAnswer === 'refused' ? 'refused' : recipient.answer;
      if (old === 'accepted') accepted += 1;
      else if (old === 'refused' && !isOwnNo(recipient.reply)) refused += 1;
      if (old === 'deferred' || old === 'unknown') {
        totals.untold += 1;
        continue;
      }
      const answer = this.#asked.said(message, recipient.address);
      const said = answer instanceof Promise ? await answer : answer;
      const kind = kindOf(old, said.saying, recipient.reply);
      if (kind === 'same' || kind === 'own no') {
        totals.same += 1;
        if (kind === 'own no') totals.ownNo += 1;
        continue;
      }
      totals[kind === 'cannot tell' ? 'cannotTell' : kind] += 1;
      found.add(kind);
      for (const times of this.#placesOf(kind, message, recipient, said)) {
        times.recipients += 1;
        note(times, message.at);
        if (counted.has(times)) continue;
        counted.add(times);
        times.messages += 1;
        if (times.examples.length < MOST_EXAMPLES) times.examples.push(this.#exampleOf(message, recipient));
      }
    }
    if (this.#isForSuggest && accepted + refused > 0) this.#conduct(message.source, accepted, refused);
    totals.untold += message.untold;
    totals.recipients += message.untold;
    if (message.delivered === 'no') return;
    if (found.has('stricter')) totals.lost += 1;
    else if (found.has('cannot tell')) totals.perhapsLost += 1;
  }

  #exampleOf({ file, line, at, sender }: LoggedMessage, { address, reply }: LoggedRecipient): Example {
    return { file, line, at, sender, recipient: address, reply: this.#replies.of(reply) };
  }

  #conduct(source: string, accepted: number, refused: number): void {
    let conduct = this.#conducts.get(source);
    if (conduct === undefined) {
      if (this.#conducts.size >= MOST_SOURCES) return;
      conduct = { accepted: 0, refused: 0 };
      this.#conducts.set(source, conduct);
    }
    conduct.accepted += accepted;
    conduct.refused += refused;
  }

  /** Where it is counted: its group, and if it is to be asked for, its wish. */
  #placesOf(kind: Kind, message: LoggedMessage, { address }: LoggedRecipient, said: Said): Times[] {
    const { source, sender, login } = message;
    const senderDomain = sender === null ? '?' : sender === '' ? '<>' : domainOf(sender);
    const recipientDomain = domainOf(address);
    const key = [kind, source, senderDomain, recipientDomain, said.connector, said.reason, said.rule].join('\n');
    const places: Times[] = [];
    const group =
      this.#groups.get(key) ?? this.#made(this.#groups, key, { kind, source, senderDomain, recipientDomain, said });
    if (group !== null) places.push(group);
    if (kind !== 'stricter' || !this.#isForSuggest) return places;
    const name = login === '?' || login === undefined ? null : login;
    const hides = hidesAnother(address);
    const wished = [said.connector, said.reason, said.rule, name, name === null ? source : '', hides].join('\n');
    const { connector, reason, rule } = said;
    const wish =
      this.#wishes.get(wished) ??
      this.#made(this.#wishes, wished, { connector, reason, rule, login: name, hides, ...namesOfWish() });
    if (wish === null) return places;
    places.push(wish);
    wish.sources.add(source);
    wish.domains.add(recipientDomain);
    wish.senderDomains.add(senderDomain);
    wish.senders.add(sender ?? '?');
    if (reason === 'unknown_recipient') wish.addresses.add(address);
    return places;
  }

  #made<V extends Times>(all: Map<string, V>, key: string, what: Omit<V, keyof Times>): V | null {
    if (all.size >= MOST_GROUPS) {
      this.totals.beyond += 1;
      return null;
    }
    const made = { ...what, messages: 0, recipients: 0, first: null, last: null, examples: [] } as unknown as V;
    all.set(key, made);
    return made;
  }
}

function namesOfWish() {
  const names = (): Names => new Names();
  return { sources: names(), domains: names(), senders: names(), senderDomains: names(), addresses: names() };
}

function note(times: { first: number | null; last: number | null }, at: number | null): void {
  if (at === null) return;
  if (times.first === null || at < times.first) times.first = at;
  if (times.last === null || at > times.last) times.last = at;
}

function kindOf(old: 'accepted' | 'refused', saying: Saying, reply: string): Kind | 'same' | 'own no' {
  if (old === 'accepted') {
    if (saying === 'cannot tell') return saying;
    return saying === 'passes' ? 'same' : 'stricter';
  }
  if (saying === 'refused' || saying === 'put off') return 'same';
  if (isOwnNo(reply)) return 'own no';
  return saying === 'passes' ? 'looser' : 'cannot tell';
}

/** A no that has nothing to do with who may send where: the server behind says it again. RFC 3463: x.7.z is security. */
export function isOwnNo(reply: string): boolean {
  const enhanced = /^\d{3}[ -]#?\d\.(\d{1,3})\.\d{1,3}\b/.exec(reply);
  if (/relay|denied|not permitted|not allowed|authenticat/i.test(reply)) return false;
  if (enhanced !== null) return enhanced[1] !== '7';
  if (/^(50[0-4]|555)\b/.test(reply)) return true; // RFC 5321 §4.2.2: what was said, not who may say it
  return /unknown|no such|mailbox|does ?n.t exist|does not exist|not found|invalid recipient|quota|full|too (large|big|many)/i.test(
    reply,
  );
}
