// Rules: conditions compiled into tests, and the first rule that matches.
//
// A rule matches when all its conditions hold; a list holds when one entry does; an empty list never holds; a rule
// without conditions always matches.
//
// The lost-address guard only ever closes. Where a match would lead to relaying, a lost address (a NAT, a proxy,
// ourselves) matches no range, unless it is listed by itself, and no reverse name; where a match would forbid (in a
// deny, or under `not`), it matches like any other.
//
// So it is with spellings. Where a match would lead to relaying, names are compared as they are written; where it would
// forbid, whoever may be meant is meant (accounts.ts, spellings.ts).

import { foldAscii } from '../smtp/bytes.ts';
import type { Address } from '../smtp/types.ts';
import { subjectTest } from './certificate-subjects.ts';
import type { Condition, Facts, OwnDomains, Rule, Vocabulary } from './condition.ts';
import type { ConditionsDocument, RuleDocument } from './document.ts';
import { type DomainTable, foldName, parseDomainPattern, patternIn } from './domains.ts';
import {
  type AddressSet,
  type Endpoint,
  formatAddress,
  type Notes,
  parseEndpoint,
  readAddresses,
  readDomains,
  readRanges,
  SourceSet,
  warnOfEmpty,
  warnOfTopLevel,
} from './lists.ts';
import { authenticatedTest, membersOf, memberTest, usersOf } from './members.ts';
import { NameSet } from './name-set.ts';
import type { Path } from './problem.ts';
import { fromOctets, toOctets } from './spellings.ts';
import { STEP, type Steps } from './steps.ts';
import { type Guess, guessed, isUnknown, NO_GUESS, type Truth, type Unknown, unknownFor } from './truth.ts';

const DAY = 86_400_000;

export function* compileRule(document: RuleDocument, index: number, path: Path, words: Vocabulary): Steps<Rule> {
  const action = document.deny === undefined ? 'allow' : 'deny';
  const conditions = document.deny ?? document.allow ?? {};
  const lists: Lists = { sources: null, recipientDomains: null };
  return {
    action,
    name: document.name ?? `rule ${index + 1}`,
    path,
    conditions: yield* compileConditions(conditions, [...path, action], action === 'allow', words, lists),
    expiresAt: expiry(document.expires, [...path, 'expires'], words.notes),
    ...lists,
    document,
  };
}

interface Lists {
  sources: SourceSet | null;
  recipientDomains: DomainTable | null;
}

function expiry(date: string | undefined, path: Path, notes: Notes): number {
  if (date === undefined) return Number.POSITIVE_INFINITY;
  const midnight = `${date}T00:00:00.000Z`;
  const start = Date.parse(midnight);
  if (!Number.isNaN(start) && new Date(start).toISOString() === midnight) return start + DAY;
  notes.error(path, `'${date}' is not a day: the last day of the rule is wanted, as 2027-01-31`);
  return Number.POSITIVE_INFINITY;
}

/** A condition on the reverse-path; null is `<>`. A routed path or the like is read as one sender by some servers and as
 * another by others, so that it cannot be told: else a deny would be passed by in writing the sender in another way. So it is,
 * for a no, with `boss%example.com` and its like, in which a server that completes a bare name finds a whole address. */
function plainSender(holds: (sender: Address | null) => boolean, opening: boolean): Condition['holds'] {
  const unknown: Unknown = { fact: 'sender' };
  return ({ question: { sender, senderAddress } }, guess) => {
    const isPlain = senderAddress === null ? sender === '' : opening || !isBare(senderAddress) || !HACK.test(sender);
    return isPlain ? holds(senderAddress) : guessed(unknown, guess);
  };
}

const HACK = /[@%!]/;

/** The server behind completes it with a domain of its own. */
function isBare({ domain, literal }: Address): boolean {
  return domain === null && literal === null;
}

/** Whether a list of domains names one that a bare sender may be completed with. */
function* namesOwn(list: readonly string[], table: DomainTable, { isOwn, patterns }: OwnDomains): Steps<boolean> {
  for (const texts of [list, patterns])
    for (const [i, text] of texts.entries()) {
      if (i % STEP === STEP - 1) yield;
      const pattern = parseDomainPattern(text);
      if (typeof pattern !== 'string' && pattern.forms.some((form) => isOwn(form) && table.holds(form))) return true;
    }
  return false;
}

/** `opening`: to hold here leads towards relaying, so that the lost-address guard applies and names are taken as written. */
function* compileConditions(
  document: ConditionsDocument,
  path: Path,
  opening: boolean,
  words: Vocabulary,
  lists: Lists,
): Steps<Condition[]> {
  const guarded = opening && words.guard;
  const conditions: Condition[] = [];
  const add = (key: keyof ConditionsDocument, holds: Condition['holds'], because?: Condition['because']): void => {
    conditions.push({ key, holds, because });
  };
  const holdsName = (table: DomainTable, domain: string | null | undefined): boolean =>
    typeof domain === 'string' && (opening ? table.holds(domain) : patternIn(table, domain) !== null);
  const holdsAddress = (set: AddressSet, address: Address): boolean =>
    opening ? set.has(address) : set.mayHave(address);
  const alike = (set: AddressSet, address: Address | null): string | null =>
    opening || address === null || set.has(address) || !set.mayHave(address)
      ? null
      : `${formatAddress(address)} may be read as one of them`;
  const maps = (table: DomainTable, domain: (facts: Facts) => string | null | undefined) => (facts: Facts) =>
    opening ? null : whyMapped(table, domain(facts));
  const domains = function* (key: keyof ConditionsDocument, list: readonly string[]): Steps<DomainTable> {
    const at = [...path, key];
    warnOfEmpty(list, at, words.notes);
    if (opening && (key === 'ptr' || key === 'recipient_domains')) yield* warnOfTopLevel(list, at, words.notes);
    return yield* readDomains(list, at, words.notes);
  };
  const addresses = function* (
    key: keyof ConditionsDocument,
    list: readonly string[],
    isOwn?: OwnDomains['isOwn'],
  ): Steps<AddressSet> {
    const at = [...path, key];
    warnOfEmpty(list, at, words.notes);
    return yield* readAddresses(list, at, words.notes, opening ? undefined : isOwn);
  };

  if (document.tls !== undefined) add('tls', (facts) => facts.question.tls === document.tls);
  if (document.local !== undefined) add('local', yield* localTest(document.local, [...path, 'local'], words));
  if (document.sources !== undefined) {
    const set = yield* SourceSet.inSteps(yield* readRanges(document.sources, [...path, 'sources'], words.notes));
    warnOfEmpty(document.sources, [...path, 'sources'], words.notes);
    lists.sources = set;
    add('sources', ({ client }) => (client.lost && guarded ? set.names(client.ip) : set.holds(client.ip)));
  }
  if (document.authenticated !== undefined) add('authenticated', authenticatedTest(document));
  else if (document.allow_unnamed !== undefined)
    words.notes.error([...path, 'allow_unnamed'], 'allow_unnamed says what authenticated: true takes; write both');
  for (const key of ['users', 'groups'] as const) {
    const list = document[key];
    if (list === undefined) continue;
    const at = [...path, key];
    warnOfEmpty(list, at, words.notes);
    const members = key === 'users' ? yield* usersOf(list, at, words) : yield* membersOf(list, at, words);
    const { holds, because } = yield* memberTest(members, opening, words);
    add(key, holds, because);
  }
  if (document.senders !== undefined) {
    const set = yield* addresses('senders', document.senders, words.own.isOwn);
    add(
      'senders',
      plainSender((sender) => (sender === null ? set.hasNullPath() : holdsAddress(set, sender)), opening),
      ({ question }) => alike(set, question.senderAddress),
    );
  }
  if (document.sender_domains !== undefined) {
    const table = yield* domains('sender_domains', document.sender_domains);
    const completed = !opening && (yield* namesOwn(document.sender_domains, table, words.own));
    const because = maps(table, ({ question }) => question.senderAddress?.domain);
    const isCompleted = (sender: Address | null): boolean => completed && sender !== null && isBare(sender);
    add(
      'sender_domains',
      plainSender((sender) => isCompleted(sender) || holdsName(table, sender?.domain), opening),
      (facts) =>
        isCompleted(facts.question.senderAddress)
          ? `${fromOctets(facts.question.sender)} may be of one of them`
          : because(facts),
    );
  }
  if (document.recipients !== undefined) {
    const set = yield* addresses('recipients', document.recipients);
    add(
      'recipients',
      ({ recipient }) => recipient !== null && holdsAddress(set, recipient),
      ({ recipient }) => alike(set, recipient),
    );
  }
  if (document.recipient_domains !== undefined) {
    const table = yield* domains('recipient_domains', document.recipient_domains);
    lists.recipientDomains = table;
    add(
      'recipient_domains',
      ({ recipient }) => holdsName(table, recipient?.domain),
      maps(table, ({ recipient }) => recipient?.domain),
    );
  }
  if (document.helo !== undefined) {
    const table = yield* domains('helo', document.helo);
    const name = ({ question: { helo } }: Facts): string =>
      opening ? foldName(helo) : foldAscii(helo.trim()).replace(/\.+$/, '');
    add('helo', (facts) => holdsName(table, name(facts)), maps(table, name));
  }
  if (document.not !== undefined) {
    if (Object.keys(document.not).length === 0)
      words.notes.add(
        opening ? 'warning' : 'error',
        [...path, 'not'],
        `without conditions in it not never holds${opening ? '' : ', so nobody is denied'}`,
      );
    const inner = yield* compileConditions(document.not, [...path, 'not'], !opening, words, {
      sources: null,
      recipientDomains: null,
    });
    add(
      'not',
      (facts, guess) => {
        const obstacle = obstacleOf(inner, facts, guess);
        return isUnknown(obstacle) ? obstacle : obstacle !== null;
      },
      (facts) => whySpelled(inner, facts),
    );
  }
  if (document.tls_subject !== undefined)
    add('tls_subject', subjectTest(document.tls_subject, opening, [...path, 'tls_subject'], words.notes));
  // Last, because it is the one that may have to be asked for.
  if (document.ptr !== undefined)
    add('ptr', yield* ptrTest(yield* domains('ptr', document.ptr), document.ptr, opening, words));
  return conditions;
}

/** `BÜCHER.example may be read as bücher.example`: the pattern that holds a domain, but not as it is written. */
export function whyMapped(table: DomainTable<unknown>, domain: string | null | undefined): string | null {
  if (typeof domain !== 'string' || table.holds(domain)) return null;
  const pattern = patternIn(table, domain);
  return pattern === null ? null : `${fromOctets(domain)} may be read as ${pattern}`;
}

/** What other spellings had to do with it, of all conditions together. */
export function whySpelled(conditions: readonly Condition[], facts: Facts): string | null {
  return conditions.map(({ because }) => because?.(facts) ?? null).find((why) => why !== null) ?? null;
}

function* localTest(list: readonly string[], path: Path, words: Vocabulary): Steps<Condition['holds']> {
  const endpoints: Endpoint[] = [];
  const ranges = yield* SourceSet.inSteps(
    yield* readRanges(list, path, words.notes, (text, at) => {
      if (!/^(\*|[^:[\]]*|\[.*\]):[0-9]+$/.test(text)) return false;
      const endpoint = parseEndpoint(text);
      if (typeof endpoint === 'string') words.notes.error(at(), endpoint);
      else endpoints.push(endpoint);
      return true;
    }),
  );
  warnOfEmpty(list, path, words.notes);
  return ({ localIp, localPort }) =>
    (localIp !== null && ranges.holds(localIp)) ||
    endpoints.some(({ ip, port }) => (ip === null || ip === localIp) && port === localPort);
}

function* ptrTest(
  table: DomainTable,
  list: readonly string[],
  opening: boolean,
  words: Vocabulary,
): Steps<Condition['holds']> {
  const names = new NameSet();
  const keyOf = (text: string): string => foldAscii(toOctets(text));
  for (const [i, text] of list.entries()) {
    if (i % STEP === STEP - 1) yield;
    names.add(keyOf(text));
  }
  const unknown = yield* unknownFor('ptr', names, list, keyOf, words.asked);
  return ({ client, names }, guess) => {
    if (table.isEmpty || (client.lost && opening && words.guard)) return false;
    if (names === null) return guessed(unknown, guess);
    return names.some((name) => (opening ? table.holds(name) : patternIn(table, name) !== null));
  };
}

/** The first condition that does not hold, what nobody can tell where that decides, or null: all hold. */
function obstacleOf(conditions: readonly Condition[], facts: Facts, guess: Guess): Condition | Unknown | null {
  let open: Unknown | null = null;
  for (const condition of conditions) {
    const truth = condition.holds(facts, guess);
    if (truth === false) return condition;
    if (truth !== true) open ??= truth;
  }
  return open;
}

function hasExpired({ expiresAt }: Rule, now: () => number): boolean {
  return expiresAt !== Number.POSITIVE_INFINITY && now() >= expiresAt;
}

/** How one rule fared: `failed` is the first condition that does not hold, `open` the first that nobody can tell. */
export interface Trial {
  readonly rule: Rule;
  readonly matched: Truth;
  readonly expired: boolean;
  readonly failed: Condition | null;
  readonly open: Condition | null;
}

/** Every rule that was looked at, in order: up to the first that surely matches. */
export function tryRules(rules: readonly Rule[], facts: Facts, now: () => number): Trial[] {
  const trials: Trial[] = [];
  for (const rule of rules) {
    const expired = hasExpired(rule, now);
    const obstacle = obstacleOf(rule.conditions, facts, NO_GUESS);
    const matched = !expired && (isUnknown(obstacle) ? obstacle : obstacle === null);
    const failed = isUnknown(obstacle) ? null : obstacle;
    const open = rule.conditions.find(({ holds }) => isUnknown(holds(facts, NO_GUESS))) ?? null;
    trials.push({ rule, matched, expired, failed, open });
    if (matched === true) break;
  }
  return trials;
}

/** The place of the first rule that matches, the number of rules when none does, or what stands in the way of knowing. */
export function firstMatch(rules: readonly Rule[], facts: Facts, now: () => number): number | Unknown {
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i] as Rule;
    if (hasExpired(rule, now)) continue;
    const obstacle = obstacleOf(rule.conditions, facts, NO_GUESS);
    if (obstacle === null) return i;
    if (isUnknown(obstacle)) return obstacle;
  }
  return rules.length;
}

const LEAST_LOOKS = 4096; // at rules of a short list; of a long one each as often as this:
const LOOKS_EACH = 16;

/** The same where something cannot be told: a place to which it comes one way, if it comes to one that is the `same` all other
 * ways, and else what stands in the way. A way goes on at the rule where it parted from another, so that many rules that cannot
 * be told are no more work than as many that can; where ways are too many nobody can tell. */
export function settledMatch(
  rules: readonly Rule[],
  facts: Facts,
  now: () => number,
  same: (a: number, b: number) => boolean,
): number | Unknown {
  const guess = new Map<Unknown, boolean>();
  let looks = LEAST_LOOKS + LOOKS_EACH * rules.length;
  const found: { place?: number; open?: Unknown } = {};
  /** Whether all ways from a rule on end alike. */
  const walk = (from: number): boolean => {
    const parted: Unknown[] = [];
    let end = rules.length;
    let alike = true;
    for (let i = from; alike && i < end; i++) {
      const rule = rules[i] as Rule;
      if (hasExpired(rule, now)) continue;
      const obstacle = obstacleOf(rule.conditions, facts, guess);
      if (obstacle === null) end = i;
      alike = --looks > 0;
      if (!isUnknown(obstacle)) continue;
      found.open ??= obstacle;
      parted.push(obstacle);
      guess.set(obstacle, true);
      alike &&= walk(i);
      guess.set(obstacle, false);
      i--; // under `not` it may be the no that makes the rule match
    }
    for (const unknown of parted) guess.delete(unknown);
    if (alike) {
      found.place ??= end;
      alike = same(found.place, end);
    }
    return alike;
  };
  return (walk(0) ? found.place : found.open) as number | Unknown;
}
