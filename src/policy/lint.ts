// Lint: what a policy says without meaning to. Errors are open relays and what cannot work; warnings are what will
// surprise; notes are what should be known.
//
// An open relay is looked for by sets, not by samples: the addresses that reach an allow rule without having said who
// they are, less those that an earlier rule denies for their address alone. Senders, helo, tls, local, recipients and
// `not` identify nobody and are left out of account, so that lint errs towards refusing.

import { foldAscii } from '../smtp/bytes.ts';
import type { UserNames } from './accounts.ts';
import type { Rule } from './condition.ts';
import type { ConditionsDocument, PolicyDocument } from './document.ts';
import { patternAround } from './domains.ts';
import type { Draft } from './draft.ts';
import { formatIp, parseIp } from './ip.ts';
import type { Domains } from './judge.ts';
import { lintLimits } from './lint-limits.ts';
import { lintOwnAddress, lintOwnDomains } from './lint-senders.ts';
import type { Notes, SourceEntry, SourceSet } from './lists.ts';
import type { PolicyOptions } from './options.ts';
import type { Path } from './problem.ts';
import { hullOf, isEverything, isInside, isSingle, overlaps, parseRange, type Range, type Span } from './ranges.ts';
import { shadowOf } from './shadow.ts';
import { intersectInSteps, isWide, publicPart, subtractInSteps } from './spans.ts';
import { toOctets } from './spellings.ts';
import { first, STEP, type Steps } from './steps.ts';

export interface Subject {
  readonly document: PolicyDocument;
  readonly domains: Domains;
  readonly users: UserNames;
  readonly drafts: readonly Draft[];
  readonly options: PolicyOptions;
  readonly notes: Notes;
}

const SOON = 30 * 86_400_000;

export function* lint(subject: Subject): Steps<void> {
  const { document, domains, users, drafts, notes } = subject;
  if (document.connectors.length === 0) notes.error(['connectors'], 'no connector: every connection would be refused');
  if (document.accepted_domains.length === 0)
    notes.warn(['accepted_domains'], 'no domain is accepted: no mail for the server behind would pass');
  lintNames(document, notes);
  yield* lintDomains(subject);
  lintOwnDomains(document, domains, notes);
  for (const draft of drafts) {
    yield* lintOpenRelay(draft, subject);
    yield* lintLostAddresses(draft, subject);
    yield* lintRules(draft, subject);
    yield* lintOwnAddress(draft.document, draft.path, document, users, notes);
    lintDialogue(draft, subject);
  }
}

function lintNames(document: PolicyDocument, notes: Notes): void {
  const names = new Set<string>();
  for (const [i, { name, rules }] of document.connectors.entries()) {
    if (names.has(name))
      notes.error(['connectors', i, 'name'], `another connector is called '${name}': names tell them apart`);
    names.add(name);
    const ruleNames = new Set<string>();
    for (const [j, rule] of rules.entries()) {
      if (rule.name === undefined) continue;
      if (ruleNames.has(rule.name))
        notes.warn(
          ['connectors', i, 'rules', j, 'name'],
          `another rule is called '${rule.name}': the log cannot tell them apart`,
        );
      ruleNames.add(rule.name);
    }
  }
}

function* lintDomains({ document, domains, notes }: Subject): Steps<void> {
  for (const key of ['accepted_domains', 'relay_domains'] as const) {
    for (const [i, text] of document[key].entries()) {
      if (i % STEP === STEP - 1) yield;
      const blocked = patternAround(domains.blocked, text);
      if (blocked !== null)
        notes.warn([key, i], `'${text}' never passes: blocked_domains has '${blocked}', and that is looked at first`);
    }
  }
}

/** Conditions that say who the client is, apart from its address. */
function identifies(conditions: ConditionsDocument): boolean {
  return (
    conditions.authenticated === true ||
    conditions.users !== undefined ||
    conditions.groups !== undefined ||
    conditions.tls_subject !== undefined ||
    conditions.ptr !== undefined
  );
}

/** Whether `entry` alone would let a client relay who only seems to be in it. Where everyone in the world may reach the
 * named destinations anyway, an address gains nothing. */
export function rangeGrantsRelay({ document, rules }: Draft, { range }: SourceEntry): boolean {
  if (document.submit !== 'anyone') return false;
  return rules.some(({ document: { allow: conditions }, sources }) => {
    if (conditions === undefined || sources !== null || identifies(conditions)) return false;
    return conditions.recipient_domains === undefined || !isEverything(range);
  });
}

/** The addresses from which a rule can be reached without saying who one is. */
function* reach({ rules, ranges, connectAllow, connectDeny }: Draft, index: number): Steps<Span[]> {
  const rule = rules[index] as Rule;
  let spans = yield* intersectInSteps(yield* ranges.widest(), yield* connectAllow.ranges.widest());
  spans = yield* subtractInSteps(spans, yield* connectDeny.ranges.surest());
  if (rule.sources !== null) spans = yield* intersectInSteps(spans, yield* rule.sources.widest());
  for (const earlier of rules.slice(0, index)) {
    if (earlier.action === 'allow' || earlier.expiresAt !== Number.POSITIVE_INFINITY) continue;
    if (earlier.conditions.length === 0) return [];
    if (earlier.conditions.length === 1 && earlier.sources !== null)
      spans = yield* subtractInSteps(spans, yield* earlier.sources.surest());
  }
  return spans;
}

function* lintOpenRelay(draft: Draft, { options, notes }: Subject): Steps<void> {
  const { document, rules } = draft;
  for (const [i, rule] of rules.entries()) {
    const conditions = rule.document.allow;
    if (conditions === undefined || rule.expiresAt <= options.now()) continue;
    yield;
    const path = [...rule.path, 'allow'];
    if (conditions.ptr !== undefined)
      notes.note(
        [...path, 'ptr'],
        "relays by reverse DNS: whoever runs the client's reverse zone and the name decides, and mail waits when DNS does",
      );
    if (document.submit !== 'anyone' || identifies(conditions)) continue;
    const open = yield* publicPart(yield* reach(draft, i));
    const wide = yield* first(open, isWide);
    const who = wide && (yield* nameOf(wide, rule.sources ?? draft.ranges));
    if (conditions.recipient_domains !== undefined) {
      if (wide !== undefined)
        notes.note(path, `everyone in ${who} may reach the domains that rule '${rule.name}' names`);
      continue;
    }
    if (wide !== undefined) {
      const what = `connector '${document.name}', rule '${rule.name}': everyone in ${who} may relay to every domain without a login`;
      if (document.i_know_this_is_open) notes.warn(path, `${what}: an open relay, as i_know_this_is_open says`);
      else
        notes.error(
          path,
          `${what}: an open relay; narrow it by sources, authenticated, users, groups or recipient_domains, or say i_know_this_is_open: true`,
        );
    } else if (open.length > 0) {
      const shown = open.slice(0, 3).map(formatSpan).join(', ');
      notes.note(path, `public addresses may relay to every domain: ${shown}${open.length > 3 ? ', …' : ''}`);
    }
  }
}

/** The entry that made a span wide, as it was written, or the span itself where several did together. */
function* nameOf(wide: Span, { entries }: SourceSet): Steps<string> {
  const entry = yield* first(entries, ({ range }) => overlaps(range, wide) && isWide(hullOf(range)));
  return entry?.text ?? formatSpan(wide);
}

function formatSpan({ lo, hi }: Span): string {
  return lo === hi ? formatIp(lo) : `${formatIp(lo)}-${formatIp(hi)}`;
}

const LOOPBACK = ['127.0.0.0/8', '::1'].flatMap((text) => parseRange(text).ranges);

/** A relay right on an address at which clients seem to be when their own is lost, given as part of a range. */
function* lintLostAddresses(draft: Draft, { options, notes }: Subject): Steps<void> {
  const lost = [
    ...LOOPBACK.map((range) => ({ range, what: 'loopback' })),
    ...options.ownAddresses.flatMap((text) => lostAddress(text, `${text} (an address of this host)`)),
    ...options.gateways.flatMap((text) => lostAddress(text, `${text} (a default gateway of this host)`)),
  ];
  const severity = options.lostAddressGuard === 'refuse' ? 'error' : 'warning';
  const check = function* (list: SourceSet, counts: (entry: SourceEntry) => boolean): Steps<void> {
    const listed = new Set<Range>(); // by themselves
    for (const [i, entry] of list.entries.entries()) {
      if (i % STEP === STEP - 1) yield;
      if (!isSingle(entry.range) || !counts(entry)) continue;
      for (const { range } of lost) if (isInside(range, entry.range)) listed.add(range);
    }
    for (const [i, entry] of list.entries.entries()) {
      if (i % STEP === STEP - 1) yield;
      const { range } = entry;
      if (isSingle(range) || isEverything(range) || !counts(entry)) continue;
      const held = lost.find((address) => overlaps(range, address.range) && !listed.has(address.range));
      if (held === undefined) continue;
      notes.add(
        severity,
        entry.path,
        `'${entry.text}' gives ${held.what} a right to relay: clients whose address a NAT or a proxy has hidden seem to come from there; leave it out of the range, or list it by itself`,
      );
    }
  };
  if (draft.document.submit !== 'anyone') return;
  yield* check(draft.ranges, (entry) => rangeGrantsRelay(draft, entry));
  for (const { document, sources } of draft.rules) {
    if (document.allow !== undefined && sources !== null && !identifies(document.allow))
      yield* check(sources, () => true);
  }
}

function lostAddress(text: string, what: string): { range: Range; what: string }[] {
  const ip = parseIp(text);
  return ip === null ? [] : [{ range: { lo: ip, hi: ip }, what }];
}

function* lintRules({ rules, ranges, document }: Draft, { domains, options, notes }: Subject): Steps<void> {
  const now = options.now();
  for (const [i, rule] of rules.entries()) {
    if (rule.expiresAt <= now) {
      notes.warn([...rule.path, 'expires'], `rule '${rule.name}' has expired and never matches${askOwner(rule)}`);
      continue;
    }
    if (rule.expiresAt - now <= SOON) {
      const days = Math.ceil((rule.expiresAt - now) / 86_400_000);
      notes.warn(
        [...rule.path, 'expires'],
        `rule '${rule.name}' expires in ${days === 1 ? 'a day' : `${days} days`}${askOwner(rule)}`,
      );
    }
    yield* lintDenied(rule, domains, notes);
    const opens = rules.slice(i + 1).some(({ action, expiresAt }) => action === 'allow' && expiresAt > now);
    if (!opens) yield* lintDeniedSenders(rule, domains, notes);
    yield* lintShadow(rule, rules.slice(0, i), ranges, notes);
    const conditions = rule.document.allow ?? rule.document.deny;
    if (document.auth === 'hide' && (conditions?.users ?? conditions?.groups) !== undefined)
      notes.warn(
        [...rule.path, rule.action],
        `rule '${rule.name}' asks for a login, and nobody logs in here (auth: hide)`,
      );
    if (rule.sources !== null && rule.sources.entries.length > 0 && !(yield* meets(rule.sources, ranges)))
      notes.warn(
        [...rule.path, rule.action, 'sources'],
        `rule '${rule.name}' can never match: none of its sources lies in the connector's remote_ip_ranges`,
      );
  }
}

function* lintShadow(rule: Rule, before: readonly Rule[], clients: SourceSet, notes: Notes): Steps<void> {
  let whole: Rule | undefined;
  let written: Rule | undefined;
  for (const earlier of before) {
    yield; // many short rules are long work too
    const left = yield* shadowOf(earlier, rule, clients);
    if (left === 'other spellings') written ??= earlier;
    if (left !== 'nothing') continue;
    whole = earlier;
    break;
  }
  if (whole !== undefined)
    notes.warn(rule.path, `rule '${rule.name}' can never match: '${whole.name}' before it matches all that it would`);
  else if (written !== undefined)
    notes.warn(
      rule.path,
      `rule '${rule.name}' comes too late: '${written.name}' before it lets pass all that it names, so that it denies only other spellings, lost addresses and logins without a name; a denial stands before the allow`,
    );
}

/** Accepted and relayed recipients pass before any rule is looked at, so a deny of one denies nobody. */
function* lintDenied({ document, path }: Rule, { known }: Domains, notes: Notes): Steps<void> {
  for (const [i, text] of (document.deny?.recipient_domains ?? []).entries()) {
    if (i % STEP === STEP - 1) yield;
    if (patternAround(known, text) !== null)
      notes.warn([...path, 'deny', 'recipient_domains', i], `mail for '${text}' ${PASSES}`);
  }
  for (const [i, text] of (document.deny?.recipients ?? []).entries()) {
    if (i % STEP === STEP - 1) yield;
    if (patternAround(known, text.slice(text.lastIndexOf('@') + 1)) !== null)
      notes.warn([...path, 'deny', 'recipients', i], `mail for '${text}' ${PASSES}`);
  }
}

const PASSES =
  'passes before any rule, since its domain is accepted or relayed: nobody is denied here; valid_recipients and blocked_domains stand before that';

/** Where no allow stands behind it, a deny leaves all as it is, and who denies a sender hardly means that. */
function* lintDeniedSenders({ name, document, path }: Rule, { known }: Domains, notes: Notes): Steps<void> {
  const isOwn = (text: string): boolean =>
    known.find(foldAscii(toOctets(text.slice(text.lastIndexOf('@') + 1))).replace(/^\*\.|\.$/g, '')) === 'accepted';
  for (const key of ['senders', 'sender_domains'] as const) {
    const list = document.deny?.[key];
    if (list === undefined || list.length === 0) continue;
    const instead =
      (yield* first(list, isOwn)) !== undefined
        ? 'senders: { own_domains: authenticated } beside the rules, or deny there, refuses who sends in the name of an accepted domain'
        : 'a sender, which anybody can write, is for the server behind to refuse, and connect: { deny: [address] } keeps a client out';
    notes.warn(
      [...path, 'deny', key],
      `rule '${name}' changes nothing: no allow stands behind it, and mail for accepted domains passes before any rule, whoever sends it; ${instead}`,
    );
  }
}

function askOwner({ document }: Rule): string {
  return document.owner === undefined ? '' : `: ask ${document.owner}`;
}

function* meets(sources: SourceSet, clients: SourceSet): Steps<boolean> {
  if ((yield* intersectInSteps(yield* sources.surest(), yield* clients.surest())).length > 0) return true;
  return (yield* meetsMasked(sources, clients)) || (yield* meetsMasked(clients, sources));
}

/** Whether a mask with holes among `some` and a range of `others` have an address in common. */
function* meetsMasked(some: SourceSet, others: SourceSet): Steps<boolean> {
  for (const { range } of some.masked) {
    yield;
    if ((yield* first(others.entries, (other) => overlaps(range, other.range))) !== undefined) return true;
  }
  return false;
}

/** What asks for TLS where nobody can start it. */
function lintHiddenTls({ document, path, rules }: Draft, notes: Notes): void {
  const only = 'starttls is hidden, so only clients of a listener with implicit_tls';
  if (document.require_tls) notes.warn([...path, 'require_tls'], `${only} can send`);
  if (document.auth === 'require_tls') notes.warn([...path, 'auth'], `${only} can log in`);
  for (const { name, path: at, document: rule } of rules) {
    for (const key of ['tls', 'tls_subject'] as const) {
      if (rule.allow?.[key] !== undefined && rule.allow[key] !== false)
        notes.warn([...at, 'allow', key], `rule '${name}' asks for TLS: ${only} have it`);
    }
  }
}

function lintDialogue(draft: Draft, { options, notes }: Subject): void {
  const { document, path, relaysAnywhere, mode } = draft;
  const at = (key: string): Path => [...path, key];
  const name = `connector '${document.name}'`;
  if (document.remote_ip_ranges.length === 0)
    notes.warn(at('remote_ip_ranges'), `${name} holds no address and never answers`);
  if (!relaysAnywhere) {
    const need =
      'only a connector that may relay anywhere may have that: its first rule is an unconditional allow, and nothing is blocked';
    if (document.exchange_verbs === 'forward')
      notes.error(at('exchange_verbs'), `forward would let commands past that are never judged: ${need}`);
    if (document.starttls === 'passthrough')
      notes.error(at('starttls'), `passthrough would hide every recipient from the firewall: ${need}`);
    if (document.bare_lf === 'pass')
      notes.warn(
        at('bare_lf'),
        `pass has no effect here, an ambiguous end of mail data is refused as with reject: ${need}`,
      );
  }
  if (document.starttls === 'hide') lintHiddenTls(draft, notes);
  if (document.starttls === 'passthrough' && relaysAnywhere)
    notes.note(
      at('starttls'),
      'behind a STARTTLS that passes through nothing is read: no rule and no limit holds there',
    );
  if (mode === 'observe' && options.mode !== 'observe')
    notes.warn(
      at('mode'),
      `${name} observes: what policy and limits would refuse is only logged, the relay is not protected`,
    );
  lintLimits(draft, notes);
}
