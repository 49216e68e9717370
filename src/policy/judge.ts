// The decision for one sender or recipient, in the order that is the contract: grammar is the core's; then blocked
// domain, accepted domain or literal, relay domain, the rules in order, and at last no.
//
// Every address that a path names must be allowed. What cannot be told is never a pass. The judge is synchronous unless
// a rule needs the client's name and nobody has asked for it yet.

import { foldAscii } from '../smtp/bytes.ts';
import { CANNOT_TELL, SENDER_CANNOT_TELL, TLS_REQUIRED, UNQUALIFIED_RECIPIENT } from '../smtp/replies.ts';
import type { Address, Decision, Judge, OwnReply, Question, Reason } from '../smtp/types.ts';
import type { UserNames } from './accounts.ts';
import type { Condition, Facts, Rule } from './condition.ts';
import type { Mode, ReplyName, SendersDocument } from './document.ts';
import { type DomainTable, foldName, patternIn } from './domains.ts';
import { type Ip, isIpv4, parseIp } from './ip.ts';
import type { AddressSet, Client } from './lists.ts';
import type { LoginKey, LoginSenders } from './login-senders.ts';
import { firstMatch, settledMatch, type Trial, tryRules, whyMapped, whySpelled } from './rules.ts';
import { readingsOf } from './spellings.ts';
import { type Guess, isUnknown, NO_GUESS, settle, type Unknown } from './truth.ts';

export type KnownKind = 'accepted' | 'relay';

/** What holds for all connectors of a policy. */
export interface Domains {
  readonly blocked: DomainTable;
  /** Accepted and relay domains in one table: the most specific entry wins. */
  readonly known: DomainTable<KnownKind>;
  readonly literals: ReadonlySet<Ip>;
  /** Null: every recipient of an accepted domain is valid. */
  readonly validRecipients: AddressSet | null;
}

/** Which key keeps a sender out. `open`: it would have to know the name of a login that has none. `spelling`: what another
 * spelling had to do with it, if it had. */
export interface SenderAccount {
  readonly key: SenderKey | null;
  readonly open: boolean;
  readonly spelling: string | null;
}

/** What one connector asks of a session. */
export interface Terms {
  readonly mode: Mode;
  readonly requireTls: boolean;
  /** Null: anyone may submit. */
  readonly submit: Condition['holds'] | null;
  readonly ownDomains: SendersDocument['own_domains'];
  readonly loginSenders: LoginSenders;
  readonly rules: readonly Rule[];
  readonly usesPtr: boolean;
  readonly unqualified: 'reject' | 'allow';
  readonly replies: Readonly<Record<ReplyName, OwnReply>>;
}

/** Forward-confirmed names of an address, as DNS spells them; null when it did not answer. Never rejects. */
export type Resolve = (address: string) => Promise<readonly string[] | null>;

export interface Session {
  readonly client: Client;
  readonly clientAddress: string;
  readonly localIp: Ip | null;
  readonly localPort: number;
}

/** The keys of a connector that a sender is held against, in their order; from own_domains on they stand below `senders`. */
export type SenderKey = 'require_tls' | 'submit' | 'own_domains' | LoginKey;

/** The way to a decision: the first of blocked, known and trials that says something has decided. */
export interface Steps {
  readonly facts: Facts;
  /** The blocked pattern that holds the domain. */
  readonly blocked: string | null;
  readonly known: { readonly kind: KnownKind; readonly text: string } | null;
  readonly trials: readonly Trial[];
}

const ACCEPTED = proceed('accepted_domain', null);
const RELAYED = proceed('relay_domain', null);
const MAY_SEND = ACCEPTED;
const MAY_TRY = ACCEPTED;

function proceed(reason: Reason, rule: string | null): Decision {
  return { action: 'proceed', reason, rule, observed: false };
}

function reject(reason: Reason, rule: string | null, reply: OwnReply, trace?: () => string): Decision {
  return { action: 'reject', reason, rule, reply, trace };
}

function isSameAction(a: Decision, b: Decision): boolean {
  return a.action === b.action;
}

/** Grammar stays enforced whatever the mode. */
const ALWAYS_ENFORCED: ReadonlySet<Reason> = new Set(['relay_trick', 'unqualified', 'syntax']);

/** RFC 5321 §4.5.1: postmaster of every domain that we take mail for. And what Exchange makes of the name that a mailbox has in
 * its directory, for replies to old messages: Exchange alone can tell whose that is. */
const ALWAYS_VALID = /^(postmaster$|IMCEAEX-)/i;

export class Judgement {
  readonly #domains: Domains;
  readonly #terms: Terms;
  readonly #users: UserNames;
  readonly #now: () => number;
  readonly #blocked: Decision;
  readonly #refusedSenders: Readonly<Record<SenderKey, Decision>>;
  /** What each rule decides, and behind them what is decided when none matches. */
  readonly #ruled: readonly Decision[];

  constructor(domains: Domains, terms: Terms, users: UserNames, now: () => number) {
    this.#domains = domains;
    this.#terms = terms;
    this.#users = users;
    this.#now = now;
    const { relay, submit, sender } = terms.replies;
    const refusedSender = reject('sender', null, sender);
    this.#refusedSenders = {
      require_tls: reject('tls_required', null, TLS_REQUIRED),
      submit: reject('submit', null, submit),
      own_domains: refusedSender,
      login_must_match: refusedSender,
      own_address: refusedSender,
      others: refusedSender,
    };
    this.#blocked = reject('blocked_domain', null, relay);
    this.#ruled = [
      ...terms.rules.map(({ action, name }) =>
        action === 'allow' ? proceed('rule', name) : reject('rule', name, relay),
      ),
      reject('no_rule', null, relay),
    ];
  }

  /** The judge of one session. `resolve` is asked at most once for each of its questions, and only when needed. */
  for(session: Session, resolve: Resolve | null): Judge {
    return (question) => {
      const first = this.#decide(session, question, null);
      if (!isUnknown(first)) return this.#observed(question, first);
      if (!this.#terms.usesPtr || resolve === null) return this.#observed(question, this.#cannotTell(question));
      return resolve(session.clientAddress).then((names) => {
        const second = this.#decide(session, question, names);
        return this.#observed(question, isUnknown(second) ? this.#cannotTell(question) : second);
      });
    };
  }

  /** What was looked at for one address, for people. */
  steps(session: Session, question: Question, address: Address, names: readonly string[] | null): Steps {
    const blocked = address.domain === null ? null : patternIn(this.#domains.blocked, address.domain);
    const known = address.domain === null ? null : this.#knownAs(address.domain);
    const facts = this.#facts(session, question, address, names);
    const decided = address.domain === null || blocked !== null || known !== null;
    return { facts, blocked, known, trials: decided ? [] : tryRules(this.#terms.rules, facts, this.#now) };
  }

  #knownAs(domain: string): Steps['known'] {
    const kind = this.#domains.known.find(domain);
    return kind === null ? null : { kind, text: this.#domains.known.patternFor(domain) as string };
  }

  /** In observe what would be refused is let pass, but no trick: nor a recipient that hides another one. */
  #observed({ addresses }: Question, decision: Decision): Decision {
    if (this.#terms.mode === 'enforce' || decision.action === 'proceed') return decision;
    if (ALWAYS_ENFORCED.has(decision.reason) || addresses.length > 1) return decision;
    const { reason, rule, reply, trace } = decision;
    return { action: 'proceed', reason, rule, observed: true, reply, trace };
  }

  #cannotTell(question: Question): Decision {
    return reject('cannot_tell', null, question.protocolState === 'MAIL' ? SENDER_CANNOT_TELL : CANNOT_TELL);
  }

  #decide(session: Session, question: Question, names: readonly string[] | null): Decision | Unknown {
    if (question.protocolState === 'AUTH') return MAY_TRY; // whom it lets in is the upstream's to say
    if (question.protocolState === 'MAIL') return this.#settled((guess) => this.#sender(session, question, guess));
    let answer: Decision | null = null;
    for (const address of question.addresses) {
      const decision = this.#recipient(session, question, address, names);
      if (isUnknown(decision) || decision.action !== 'proceed') return decision;
      answer ??= decision;
    }
    return answer ?? reject('syntax', null, this.#terms.replies.relay);
  }

  #settled(decide: (guess: Guess) => Decision | Unknown): Decision | Unknown {
    const first = decide(NO_GUESS);
    return isUnknown(first) ? settle(decide, isSameAction) : first;
  }

  #recipient(
    session: Session,
    question: Question,
    address: Address,
    names: readonly string[] | null,
  ): Decision | Unknown {
    if (address.domain === null) return this.#withoutDomain(address);
    if (patternIn(this.#domains.blocked, address.domain) !== null) return this.#blockedDomain(address.domain);
    const known = this.#domains.known.find(address.domain);
    if (known === 'relay') return RELAYED;
    if (known === 'accepted') return this.#validRecipient(address);
    return this.#byRules(this.#facts(session, question, address, names));
  }

  #blockedDomain(domain: string): Decision {
    const why = whyMapped(this.#domains.blocked, domain);
    return why === null ? this.#blocked : { ...this.#blocked, trace: () => why };
  }

  #byRules(facts: Facts): Decision | Unknown {
    const { rules } = this.#terms;
    const place = firstMatch(rules, facts, this.#now);
    if (isUnknown(place)) return this.#byRulesUnknowing(facts);
    const ruled = this.#ruled[place] as Decision;
    if (ruled.action === 'proceed' || rules.length === 0) return ruled;
    return this.#rejectedBy(ruled, facts);
  }

  /** Something that a rule asks for cannot be told. */
  #byRulesUnknowing(facts: Facts): Decision | Unknown {
    const decided = (place: number): Decision => this.#ruled[place] as Decision;
    const place = settledMatch(this.#terms.rules, facts, this.#now, (a, b) => isSameAction(decided(a), decided(b)));
    if (isUnknown(place)) return place;
    const ruled = decided(place);
    return ruled.action === 'proceed' ? ruled : this.#rejectedBy(ruled, facts);
  }

  /** What was tried is found again where somebody reads it: most refusals are counted, not told. */
  #rejectedBy({ reason, rule, reply }: Exclude<Decision, { action: 'proceed' }>, facts: Facts): Decision {
    return reject(reason, rule, reply, () => formatTrials(tryRules(this.#terms.rules, facts, this.#now), facts));
  }

  #withoutDomain(address: Address): Decision {
    if (address.literal !== null) {
      const ip = parseLiteral(address.literal);
      if (ip !== null && this.#domains.literals.has(ip)) return this.#validRecipient(address);
      return reject('relay_trick', null, this.#terms.replies.relay);
    }
    // RFC 5321 §4.5.1: Postmaster without a domain is always a recipient.
    if (foldAscii(address.local) === 'postmaster' || this.#terms.unqualified === 'allow') return ACCEPTED;
    return reject('unqualified', null, UNQUALIFIED_RECIPIENT);
  }

  #validRecipient(address: Address): Decision {
    const valid = this.#domains.validRecipients;
    if (valid === null || valid.has(address) || ALWAYS_VALID.test(address.local)) return ACCEPTED;
    return reject('unknown_recipient', null, this.#terms.replies.recipient);
  }

  #facts(session: Session, question: Question, recipient: Address | null, names: readonly string[] | null): Facts {
    const name = question.login?.name ?? null;
    return {
      client: session.client,
      localIp: session.localIp,
      localPort: session.localPort,
      question,
      recipient,
      user: name === null ? null : this.#users.keyOfWritten(name),
      names: names?.map(foldName) ?? null,
    };
  }

  #sender(session: Session, question: Question, guess: Guess): Decision | Unknown {
    const facts = this.#facts(session, question, null, null);
    const key = this.#senderKey(facts, guess);
    if (key === null) return MAY_SEND;
    if (isUnknown(key)) return key;
    const why = this.#whySpelled(key, facts);
    return why === null ? this.#refusedSenders[key] : { ...this.#refusedSenders[key], trace: () => why };
  }

  /** What another spelling, of the sender's domain or of the login, had to do with it. */
  #whySpelled(key: SenderKey, { user, question: { login, senderAddress } }: Facts): string | null {
    if (key === 'own_domains') return whyMapped(this.#domains.known, senderAddress?.domain);
    if (key === 'require_tls' || key === 'submit' || login === null || user === null) return null;
    return this.#terms.loginSenders.whySpelled(login, user);
  }

  /** The key that keeps this sender out, for people. */
  senderKey(session: Session, question: Question): SenderAccount {
    const facts = this.#facts(session, question, null, null);
    const first = this.#senderKey(facts, NO_GUESS);
    if (!isUnknown(first))
      return { key: first, open: false, spelling: first === null ? null : this.#whySpelled(first, facts) };
    const asked = (guess: Guess): { key: SenderKey | null } | Unknown => {
      const key = this.#senderKey(facts, guess);
      return isUnknown(key) ? key : { key };
    };
    const settled = settle(asked, (one, other) => (one.key === null) === (other.key === null));
    if (!isUnknown(settled)) return { ...settled, open: false, spelling: null };
    const { submit, loginSenders } = this.#terms;
    return {
      key: submit !== null && isUnknown(submit(facts, NO_GUESS)) ? 'submit' : loginSenders.openKey,
      open: true,
      spelling: null,
    };
  }

  #senderKey(facts: Facts, guess: Guess): SenderKey | null | Unknown {
    const { requireTls, submit, ownDomains, loginSenders } = this.#terms;
    const { question, user } = facts;
    if (requireTls && !question.tls) return 'require_tls';
    if (submit !== null) {
      const may = submit(facts, guess);
      if (isUnknown(may)) return may;
      if (!may) return 'submit';
    }
    if (question.sender === '') return null;
    const ownForbidden = ownDomains === 'deny' || (ownDomains === 'authenticated' && question.login === null);
    if (ownForbidden && this.#mayBeOwn(question.senderAddress)) return 'own_domains';
    return loginSenders.keyFor(question.login, user, question.senderAddress, guess);
  }

  /** A bare name is completed by the server behind us, and what is no plain address (a route) may name anyone. */
  #mayBeOwn(sender: Address | null): boolean {
    if (sender === null) return true;
    const { domain, literal } = sender;
    const { known, literals } = this.#domains;
    if (domain !== null) return [domain, ...readingsOf(domain)].some((one) => known.find(one) === 'accepted');
    const ip = literal === null ? null : parseIp(literal.replace(/^ipv6:/i, ''));
    return literal === null || (ip === null ? literals.size > 0 : literals.has(ip));
  }
}

const TRACED_RULES = 16;

/** The rules that were tried, each with the condition that failed: `printers no(sources), never yes`, and where it was another
 * spelling that did it `never yes(steven may be CORP\steven)`. */
function formatTrials(trials: readonly Trial[], facts: Facts): string {
  const told = trials.slice(0, TRACED_RULES).map(({ rule, matched, expired, failed, open }) => {
    if (matched === true) {
      const why = whySpelled(rule.conditions, facts);
      return why === null ? `${rule.name} yes` : `${rule.name} yes(${why})`;
    }
    if (expired) return `${rule.name} no(expired)`;
    if (failed === null) return `${rule.name} ?(${open?.key ?? ''})`;
    const why = whySpelled([failed], facts);
    return `${rule.name} no(${failed.key}${why === null ? '' : `: ${why}`})`;
  });
  if (trials.length > TRACED_RULES) told.push(`${trials.length - TRACED_RULES} more`);
  return told.join(', ');
}

/** The address in an address literal (RFC 5321 §4.1.3): dotted, or behind the tag `IPv6:`. */
export function parseLiteral(text: string): Ip | null {
  const tagged = /^ipv6:(.*)$/i.exec(text);
  const ip = parseIp(tagged?.[1] ?? text);
  // A tag before a dotted or mapped address, or none before an IPv6 one, is a spelling that others read differently.
  return ip === null || isIpv4(ip) === (tagged !== null) ? null : ip;
}
