// From the document to a policy: the document goes in, once; decisions come out, many times.
//
// compilePolicy never throws: whatever is wrong is a problem with its place, and a policy with an error is not returned
// at all, so that nothing half-understood ever decides. It reads no file, no clock and no network interface: those are
// handed in.

import { foldAscii } from '../smtp/bytes.ts';
import { UserNames } from './accounts.ts';
import { draftConnector, finishConnector } from './compile-connector.ts';
import type { Vocabulary } from './condition.ts';
import type { ClientReader, Connector } from './connector.ts';
import type { PolicyDocument } from './document.ts';
import { DomainTable, parseDomainPattern } from './domains.ts';
import type { Draft } from './draft.ts';
import { type Ip, isLoopback, parseIp } from './ip.ts';
import { type Domains, parseLiteral } from './judge.ts';
import { lint, rangeGrantsRelay } from './lint.ts';
import { AddressSet, checkUsers, Notes, readDomains, type SourceEntry } from './lists.ts';
import { several, whyNoWindowsDomain } from './names.ts';
import { DEFAULT_OPTIONS, type PolicyOptions } from './options.ts';
import { Policy } from './policy.ts';
import type { Problem } from './problem.ts';
import { Selection } from './selection.ts';
import { atOnce, STEP, type Steps } from './steps.ts';

export interface CompiledPolicy {
  /** Null when there is an error among the problems. */
  readonly policy: Policy | null;
  readonly problems: readonly Problem[];
}

type GivenOptions = Partial<PolicyOptions> & Pick<PolicyOptions, 'now'>;

export function compilePolicy(document: PolicyDocument, given: GivenOptions): CompiledPolicy {
  return atOnce(compileInSteps(document, given));
}

export function* compileInSteps(document: PolicyDocument, given: GivenOptions): Steps<CompiledPolicy> {
  const options = { ...DEFAULT_OPTIONS, ...given };
  const notes = new Notes(options.readList);
  const domains = yield* compileDomains(document, notes);
  const words = yield* vocabulary(document, options, notes, domains);
  const drafts: Draft[] = [];
  for (const [i, connector] of document.connectors.entries())
    drafts.push(yield* draftConnector(connector, ['connectors', i], document, options, words));
  const clientAt = clientReader(options);
  const connectors: Connector[] = [];
  for (const draft of drafts) {
    yield;
    connectors.push(yield* finishConnector(draft, domains, words, options, clientAt));
  }
  const selection = yield* Selection.inSteps(
    drafts.map((draft, i) => ({
      connector: connectors[i] as Connector,
      name: draft.document.name,
      bindings: draft.bindings,
      ranges: draft.ranges.entries,
      grantsRelay: (entry: SourceEntry) => rangeGrantsRelay(draft, entry),
    })),
    words.guard,
    notes,
  );
  yield* lint({ document, domains, users: words.users, drafts, options, notes });
  const sound = !notes.problems.some(({ severity }) => severity === 'error');
  const onLostAddress = words.guard ? options.onLostAddress : null;
  return {
    policy: sound ? new Policy(connectors, domains, selection, clientAt, onLostAddress) : null,
    problems: notes.problems,
  };
}

/** What rules of this policy share: its groups, and how its users are spelled. */
export function* vocabulary(
  document: PolicyDocument,
  options: Pick<PolicyOptions, 'lostAddressGuard'>,
  notes: Notes,
  { known }: Pick<Domains, 'known'>,
): Steps<Vocabulary> {
  const users = new UserNames();
  const mails = new Map<string, string>();
  const windowsDomains = new Set<string>();
  for (const [windows, mail] of Object.entries(document.user_domains)) {
    const wrong = whyNoWindowsDomain(windows);
    if (wrong !== null) notes.error(['user_domains', windows], wrong);
    if (windowsDomains.has(foldAscii(windows)))
      notes.error(['user_domains', windows], `'${windows}' stands there already in another case: keep one of them`);
    windowsDomains.add(foldAscii(windows));
    const pattern = parseDomainPattern(mail);
    if (typeof pattern === 'string') notes.error(['user_domains', windows], pattern);
    else if (pattern.below) notes.error(['user_domains', windows], `'${mail}': one domain is wanted, without a star`);
    else {
      if (mails.has(mail))
        notes.warn(
          ['user_domains', windows],
          `'${mail}' stands for ${mails.get(mail)} already: people of one name in both are one user to every rule`,
        );
      mails.set(mail, windows);
      users.add(windows, mail);
    }
  }
  const groups = new Map<string, readonly string[]>();
  for (const [name, members] of Object.entries(document.groups)) {
    if (members.length === 0) notes.warn(['groups', name], `nobody is in group '${name}', so it never holds`);
    yield* checkUsers(members, ['groups', name], notes);
    groups.set(name, members);
  }
  const own = { isOwn: (domain: string) => known.find(domain) === 'accepted', patterns: document.accepted_domains };
  return { notes, users, groups, guard: options.lostAddressGuard === 'refuse', own, asked: [] };
}

export function* compileDomains(document: PolicyDocument, notes: Notes): Steps<Domains> {
  const known: Domains['known'] = new DomainTable();
  for (const kind of ['accepted', 'relay'] as const) {
    const key = `${kind}_domains` as const;
    for (const [i, text] of document[key].entries()) {
      if (i % STEP === 0) yield* known.makeRoom();
      const pattern = parseDomainPattern(text);
      if (typeof pattern === 'string') {
        const all = text === '*' ? ': every domain would be relayed for everyone, an open relay; name the domains' : '';
        notes.error([key, i], pattern + all);
        continue;
      }
      if (pattern.below && !pattern.text.slice(2).includes('.'))
        notes.warn(
          [key, i],
          `'${text}' holds every domain below a top-level name, for everyone: name the domains that are meant`,
        );
      const earlier = known.add(pattern, kind);
      if (earlier === kind) notes.warn([key, i], `'${text}' is listed twice`);
      else if (earlier !== undefined)
        notes.warn([key, i], `'${text}' is an accepted domain already, and that is what it stays`);
    }
  }
  const literals = new Set<Ip>();
  for (const [i, text] of document.accepted_literals.entries()) {
    const bare = text.replace(/^\[(.*)\]$/, '$1');
    const ip = parseLiteral(bare) ?? parseIp(bare);
    if (ip === null)
      notes.error(
        ['accepted_literals', i],
        several(text) ?? `'${text}' is not an address of ours: 192.0.2.25 or 2001:db8::25 is wanted`,
      );
    else literals.add(ip);
  }
  return {
    blocked: yield* readDomains(document.blocked_domains, ['blocked_domains'], notes),
    known,
    literals,
    validRecipients: yield* readValidRecipients(document, notes),
  };
}

function* readValidRecipients(document: PolicyDocument, notes: Notes): Steps<AddressSet | null> {
  if (document.valid_recipients === undefined) return null;
  const path = ['valid_recipients', 'file'];
  const set = new AddressSet();
  const list = yield* notes.readList(document.valid_recipients.file);
  if (typeof list === 'string') {
    notes.error(path, list);
    return set;
  }
  let lines = 0;
  for (const { text, place, fault } of list.lines) {
    if (++lines % STEP === 0) yield;
    const wrong = fault ?? set.add(text);
    if (wrong !== null) notes.error(path, wrong, { ...place, column: 1 });
  }
  if (lines === 0) notes.warn(path, `${list.file} lists nothing, so no recipient is valid`);
  return set;
}

/** The address that a client has connected to is ours too, whatever the interfaces were when the policy was read. */
function clientReader(options: PolicyOptions): ClientReader {
  const lostAddresses = new Set<Ip>();
  for (const text of [...options.ownAddresses, ...options.gateways]) {
    const ip = parseIp(text);
    if (ip !== null) lostAddresses.add(ip);
  }
  return (ip, localIp) => ({ ip, lost: ip === localIp || isLoopback(ip) || lostAddresses.has(ip) });
}
