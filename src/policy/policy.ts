// A policy, compiled: the document goes in, once; decisions come out, many times.
//
// compilePolicy never throws: whatever is wrong is a problem with its place, and a policy with an error is not returned
// at all, so that nothing half-understood ever decides. It reads no file, no clock and no network interface: those are
// handed in.

import type { Door, OwnReply, Profile } from '../smtp/types.ts';
import { type ClientReader, Connector } from './connector.ts';
import {
  type ConditionsDocument,
  type ConnectorDocument,
  defaultLimits,
  type Limits,
  type Mode,
  type PolicyDocument,
  type ReplyName,
  replaceLimits,
} from './document.ts';
import { DomainTable, parseDomainPattern } from './domains.ts';
import { type Ip, isLoopback, parseIp } from './ip.ts';
import { type Domains, Judgement, parseLiteral, type Resolve } from './judge.ts';
import { lint, rangeGrantsRelay } from './lint.ts';
import {
  AddressSet,
  type Endpoint,
  linesOf,
  Notes,
  parseEndpoint,
  type ReadList,
  readAddresses,
  readDomains,
  readRanges,
  type SourceEntry,
  SourceSet,
  UserNames,
} from './lists.ts';
import type { Path, Problem } from './problem.ts';
import { defaultReplies, parseReply } from './replies.ts';
import { compileRule, membersOf, memberTest, type Rule, type Vocabulary } from './rules.ts';
import { type Choice, Selection } from './selection.ts';

export interface PolicyOptions {
  /** Milliseconds since 1970: rules may expire. */
  readonly now: () => number;
  readonly readList: ReadList;
  /** `observe` here is for every connector, whatever it says itself. */
  readonly mode: Mode;
  /** Those of the top of the configuration; connectors replace what they name. */
  readonly limits: Limits;
  readonly dotLines: 'pass' | 'strict';
  readonly lostAddressGuard: 'refuse' | 'warn';
  /** This host's own addresses, and its default gateways: where clients seem to be when their address is lost. */
  readonly ownAddresses: readonly string[];
  readonly gateways: readonly string[];
  /** Told when a client comes from a lost address and the guard is on: once for each policy. */
  readonly onLostAddress: (address: string) => void;
  /** Null: what depends on reverse DNS cannot be told. */
  readonly resolve: Resolve | null;
}

export const defaultOptions: Omit<PolicyOptions, 'now'> = {
  readList: (name) => `${name} cannot be read here`,
  mode: 'enforce',
  limits: defaultLimits,
  dotLines: 'pass',
  lostAddressGuard: 'refuse',
  ownAddresses: [],
  gateways: [],
  onLostAddress: () => {},
  resolve: null,
};

export interface CompiledPolicy {
  /** Null when there is an error among the problems. */
  readonly policy: Policy | null;
  readonly problems: readonly Problem[];
}

/** What no connector answers is refused with this. */
export const NO_CONNECTOR: OwnReply = defaultReplies.connect;

export class Policy {
  readonly connectors: readonly Connector[];
  readonly #selection: Selection<Connector>;
  readonly #clientAt: ClientReader;
  /** Null when there is no guard, or it has spoken. */
  #onLostAddress: ((address: string) => void) | null;

  constructor(
    connectors: readonly Connector[],
    selection: Selection<Connector>,
    clientAt: ClientReader,
    onLostAddress: ((address: string) => void) | null,
  ) {
    this.connectors = connectors;
    this.#selection = selection;
    this.#clientAt = clientAt;
    this.#onLostAddress = onLostAddress;
  }

  /** The connector that answers at this door, null when none does: then the connection is refused. */
  connectorFor(door: Pick<Door, 'clientAddress' | 'localAddress' | 'localPort'>): Connector | null {
    return this.choiceFor(door)?.connector ?? null;
  }

  /** The same, with the range that decided. */
  choiceFor(door: Pick<Door, 'clientAddress' | 'localAddress' | 'localPort'>): Choice<Connector> | null {
    const ip = parseIp(door.clientAddress);
    if (ip === null) return null;
    const localIp = parseIp(door.localAddress);
    const { lost } = this.#clientAt(ip, localIp);
    if (lost && this.#onLostAddress !== null) {
      this.#onLostAddress(door.clientAddress);
      this.#onLostAddress = null;
    }
    return this.#selection.choose(ip, lost, localIp, door.localPort);
  }
}

/** A connector on its way: what the selection, lint and the connector itself are made of. */
export interface Draft {
  readonly document: ConnectorDocument;
  readonly path: Path;
  readonly bindings: readonly Endpoint[];
  readonly ranges: readonly SourceEntry[];
  readonly rules: readonly Rule[];
  readonly connectAllow: SourceSet;
  readonly connectDeny: SourceSet;
  readonly limits: Limits;
  readonly mode: Mode;
  readonly relaysAnywhere: boolean;
}

export function compilePolicy(
  document: PolicyDocument,
  given: Partial<PolicyOptions> & Pick<PolicyOptions, 'now'>,
): CompiledPolicy {
  const options = { ...defaultOptions, ...given };
  const notes = new Notes(options.readList);
  const words = vocabulary(document, options, notes);
  const domains = compileDomains(document, notes);
  const drafts = document.connectors.map((connector, i) =>
    draftConnector(connector, ['connectors', i], document, options, words),
  );
  const clientAt = clientReader(options);
  const connectors = drafts.map((draft) => finish(draft, domains, words, options, clientAt));
  const selection = new Selection(
    drafts.map((draft, i) => ({
      connector: connectors[i] as Connector,
      name: draft.document.name,
      bindings: draft.bindings,
      ranges: draft.ranges,
      grantsRelay: (entry: SourceEntry) => rangeGrantsRelay(draft, entry),
    })),
    words.guard,
    notes,
  );
  lint({ document, domains, drafts, options, notes });
  const sound = !notes.problems.some(({ severity }) => severity === 'error');
  const onLostAddress = words.guard ? options.onLostAddress : null;
  return {
    policy: sound ? new Policy(connectors, selection, clientAt, onLostAddress) : null,
    problems: notes.problems,
  };
}

function vocabulary(document: PolicyDocument, options: PolicyOptions, notes: Notes): Vocabulary {
  const users = new UserNames();
  for (const [windows, mail] of Object.entries(document.user_domains)) {
    const pattern = parseDomainPattern(mail);
    if (typeof pattern === 'string') notes.error(['user_domains', windows], pattern);
    else if (pattern.below) notes.error(['user_domains', windows], `'${mail}': one domain is wanted, without a star`);
    else users.add(windows, mail);
  }
  const groups = new Map<string, Set<string>>();
  for (const [name, members] of Object.entries(document.groups)) {
    groups.set(name, new Set(members.map((member) => users.keyOfWritten(member))));
  }
  return { notes, users, groups, guard: options.lostAddressGuard === 'refuse', unknowns: new Map() };
}

function compileDomains(document: PolicyDocument, notes: Notes): Domains {
  const known: Domains['known'] = new DomainTable();
  for (const kind of ['accepted', 'relay'] as const) {
    const key = `${kind}_domains` as const;
    for (const [i, text] of document[key].entries()) {
      const pattern = parseDomainPattern(text);
      if (typeof pattern === 'string') {
        const all = text === '*' ? ': every domain would be relayed for everyone, an open relay; name the domains' : '';
        notes.error([key, i], pattern + all);
        continue;
      }
      const earlier = known.add(pattern, { kind, text });
      if (earlier?.kind === kind) notes.warn([key, i], `'${text}' is listed twice`);
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
        `'${text}' is not an address of ours: 192.0.2.25 or 2001:db8::25 is wanted`,
      );
    else literals.add(ip);
  }
  return {
    blocked: readDomains(document.blocked_domains, ['blocked_domains'], notes),
    known,
    literals,
    validRecipients: readValidRecipients(document, notes),
  };
}

function readValidRecipients(document: PolicyDocument, notes: Notes): AddressSet | null {
  if (document.valid_recipients === undefined) return null;
  const path = ['valid_recipients', 'file'];
  const set = new AddressSet();
  for (const { text, place } of linesOf(document.valid_recipients.file, path, notes)) {
    const wrong = set.add(text);
    if (wrong !== null) notes.error(path, wrong, place);
  }
  return set;
}

function draftConnector(
  document: ConnectorDocument,
  path: Path,
  policy: PolicyDocument,
  options: PolicyOptions,
  words: Vocabulary,
): Draft {
  const { notes } = words;
  const bindings: Endpoint[] = [];
  for (const [i, text] of document.bindings.entries()) {
    const endpoint = parseEndpoint(text);
    if (typeof endpoint === 'string') notes.error([...path, 'bindings', i], endpoint);
    else bindings.push(endpoint);
  }
  const rules = document.rules.map((rule, i) => compileRule(rule, i, [...path, 'rules', i], words));
  const [first] = rules;
  return {
    document,
    path,
    bindings,
    ranges: readRanges(document.remote_ip_ranges, [...path, 'remote_ip_ranges'], notes),
    rules,
    connectAllow: new SourceSet(readRanges(document.connect.allow, [...path, 'connect', 'allow'], notes, noNames)),
    connectDeny: new SourceSet(readRanges(document.connect.deny, [...path, 'connect', 'deny'], notes, noNames)),
    limits: replaceLimits(options.limits, document.limits),
    mode: options.mode === 'observe' ? 'observe' : document.mode,
    relaysAnywhere: first !== undefined && isUnconditionalAllow(first) && policy.blocked_domains.length === 0,
  };
}

/** The door decides at once: a name would have to be asked for first. */
function noNames(text: string, at: Path, notes: Notes): boolean {
  if (!/^[a-z0-9_*-]+(\.[a-z0-9_-]+)+$/i.test(text) || /^[0-9.]+$/.test(text)) return false;
  notes.error(at, `'${text}': a name is not supported here by this version, only addresses and ranges`);
  return true;
}

function isUnconditionalAllow(rule: Rule): boolean {
  return rule.action === 'allow' && rule.conditions.length === 0 && rule.expiresAt === Number.POSITIVE_INFINITY;
}

function finish(
  draft: Draft,
  domains: Domains,
  words: Vocabulary,
  options: PolicyOptions,
  clientAt: ClientReader,
): Connector {
  const { document, path, rules, limits, mode } = draft;
  const replies = { ...defaultReplies };
  for (const [name, text] of Object.entries(document.replies) as [ReplyName, string | undefined][]) {
    if (text === undefined) continue;
    const reply = parseReply(name, text);
    if (typeof reply === 'string') words.notes.error([...path, 'replies', name], reply);
    else replies[name] = reply;
  }
  const loginSenders = new Map<string, AddressSet>();
  for (const [user, senders] of Object.entries(document.senders.login_must_match)) {
    const at = [...path, 'senders', 'login_must_match', user];
    loginSenders.set(words.users.keyOfWritten(user), readAddresses(senders, at, words.notes));
  }
  const terms = {
    mode,
    requireTls: document.require_tls,
    submit: submitTest(document, path, words),
    ownDomains: document.senders.own_domains,
    loginSenders,
    otherLogins: document.senders.others,
    rules,
    usesPtr: rules.some(({ document: rule }) => mentionsPtr(rule.allow ?? rule.deny)),
    unqualified: document.unqualified_recipients,
    replies,
  };
  return new Connector({
    document,
    path,
    profile: profileOf(draft, options, replies.relay),
    mode,
    limits,
    replies,
    rules,
    connectAllow: draft.connectAllow,
    connectDeny: draft.connectDeny,
    judgement: new Judgement(domains, terms, words.users, options.now),
    clientAt,
    resolve: options.resolve,
  });
}

function mentionsPtr(conditions: ConditionsDocument | undefined): boolean {
  return conditions !== undefined && (conditions.ptr !== undefined || mentionsPtr(conditions.not));
}

function submitTest(
  { submit }: ConnectorDocument,
  path: Path,
  words: Vocabulary,
): ReturnType<typeof memberTest> | null {
  if (submit === 'anyone') return null;
  if (submit === 'authenticated') return ({ question }) => question.login !== null;
  const users = (submit.users ?? []).map((name) => words.users.keyOfWritten(name));
  const members = membersOf(submit.groups ?? [], [...path, 'submit', 'groups'], words);
  return memberTest(new Set([...users, ...members]), words);
}

function profileOf(
  { document, limits, mode, relaysAnywhere }: Draft,
  options: PolicyOptions,
  relay: OwnReply,
): Profile {
  const { session } = limits;
  return {
    connector: document.name,
    mode,
    relaysAnywhere,
    auth: document.auth,
    starttls: 'hide',
    exchangeVerbs: document.exchange_verbs,
    chunking: document.chunking,
    hideKeywords: new Set(document.hide_keywords.map((keyword) => keyword.toUpperCase())),
    vrfy: document.vrfy,
    bareLf: document.bare_lf,
    dotLines: options.dotLines,
    earlyTalker: document.early_talker,
    unqualifiedRecipients: document.unqualified_recipients,
    relayReply: relay,
    limits: {
      errors: session.errors,
      junkCommands: session.junk_commands,
      recipientsPerMessage: session.recipients_per_message,
      messages: session.messages,
      authFailures: session.auth_failures,
      commandLine: session.command_line,
    },
  };
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
