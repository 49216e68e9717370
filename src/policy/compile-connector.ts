// One connector of a policy, compiled: first what the others must know of it (its ranges, its rules), then the whole.

import { isKeyword } from '../smtp/capabilities.ts';
import { CONNECTOR_FULL } from '../smtp/replies.ts';
import type { OwnReply, Profile } from '../smtp/types.ts';
import type { Condition, Rule, Vocabulary } from './condition.ts';
import { type AccessList, type ClientReader, Connector } from './connector.ts';
import {
  type ConditionsDocument,
  type ConnectorDocument,
  type PolicyDocument,
  type ReplyName,
  replaceLimits,
} from './document.ts';
import { DomainTable, parseDomainPattern } from './domains.ts';
import type { Draft } from './draft.ts';
import { type Domains, Judgement } from './judge.ts';
import {
  type AddressSet,
  type Endpoint,
  type Notes,
  parseEndpoint,
  readAddresses,
  readRanges,
  SourceSet,
  warnOfEmpty,
  warnOfTopLevel,
} from './lists.ts';
import { LoginSenders } from './login-senders.ts';
import { membersOf, memberTest, usersOf } from './members.ts';
import { isEverybody, several, whyNoUser } from './names.ts';
import type { PolicyOptions } from './options.ts';
import type { Path } from './problem.ts';
import { DEFAULT_REPLIES, parseReply } from './replies.ts';
import { compileRule } from './rules.ts';
import type { Steps } from './steps.ts';
import { Suspects } from './suspects.ts';

export function* draftConnector(
  document: ConnectorDocument,
  path: Path,
  policy: PolicyDocument,
  options: PolicyOptions,
  words: Vocabulary,
): Steps<Draft> {
  const { notes } = words;
  const bindings: Endpoint[] = [];
  for (const [i, text] of document.bindings.entries()) {
    const endpoint = parseEndpoint(text);
    if (typeof endpoint === 'string') notes.error([...path, 'bindings', i], endpoint);
    else bindings.push(endpoint);
  }
  for (const [i, keyword] of document.hide_keywords.entries()) {
    const at = [...path, 'hide_keywords', i];
    const many = several(keyword);
    if (many !== null) notes.error(at, many);
    else if (!/^[a-z0-9][a-z0-9-]*=?$/i.test(keyword) || isEverybody(keyword))
      notes.error(at, `'${keyword}' is no EHLO keyword: one word is wanted, as CHUNKING`);
    else if (!isKeyword(keyword.replace('=', '')))
      notes.warn(
        at,
        `'${keyword}' is no keyword that would pass: those that Postern does not know are taken out anyway`,
      );
  }
  if (document.connect.allow.length === 0)
    notes.warn([...path, 'connect', 'allow'], `an empty list: nobody may connect to '${document.name}'`);
  const rules: Rule[] = [];
  for (const [i, rule] of document.rules.entries()) {
    yield;
    rules.push(yield* compileRule(rule, i, [...path, 'rules', i], words));
  }
  yield* warnOfTopLevel(document.connect.allow, [...path, 'connect', 'allow'], notes);
  const [first] = rules;
  return {
    document,
    path,
    bindings,
    ranges: yield* SourceSet.inSteps(
      yield* readRanges(document.remote_ip_ranges, [...path, 'remote_ip_ranges'], notes),
    ),
    rules,
    connectAllow: yield* readAccess(document.connect.allow, [...path, 'connect', 'allow'], notes),
    connectDeny: yield* readAccess(document.connect.deny, [...path, 'connect', 'deny'], notes),
    limits: replaceLimits(options.limits, document.limits),
    mode: options.mode === 'observe' ? 'observe' : document.mode,
    relaysAnywhere:
      first !== undefined &&
      isUnconditionalAllow(first) &&
      policy.blocked_domains.length === 0 &&
      mayAllSubmit(document),
  };
}

/** Who gets past MAIL only under conditions could get past them in a stream that nobody reads. */
function mayAllSubmit({ submit, senders, require_tls }: ConnectorDocument): boolean {
  const free = senders.own_domains === 'allow' && senders.others === 'allow' && senders.own_address !== 'required';
  return submit === 'anyone' && !require_tls && free && Object.keys(senders.login_must_match).length === 0;
}

/** Ranges, and names that a client may have in DNS (Exchange 2000's connection control takes both). */
function* readAccess(list: readonly string[], path: Path, notes: Notes): Steps<AccessList> {
  const names = new DomainTable();
  const takeName = (text: string, at: () => Path): boolean => {
    if (!/^[a-z0-9_*-]+(\.[a-z0-9_-]+)+$/i.test(text) || /^[0-9.-]+$/.test(text)) return false;
    const pattern = parseDomainPattern(text);
    if (typeof pattern === 'string') notes.error(at(), pattern);
    else names.add(pattern, true);
    return true;
  };
  return { ranges: yield* SourceSet.inSteps(yield* readRanges(list, path, notes, takeName)), names };
}

function isUnconditionalAllow(rule: Rule): boolean {
  return rule.action === 'allow' && rule.conditions.length === 0 && rule.expiresAt === Number.POSITIVE_INFINITY;
}

export function* finishConnector(
  draft: Draft,
  domains: Domains,
  words: Vocabulary,
  options: PolicyOptions,
  clientAt: ClientReader,
): Steps<Connector> {
  const { document, path, rules, limits, mode } = draft;
  const replies = { ...DEFAULT_REPLIES };
  for (const [name, text] of Object.entries(document.replies) as [ReplyName, string | undefined][]) {
    if (text === undefined) continue;
    const reply = parseReply(name, text);
    if (typeof reply === 'string') words.notes.error([...path, 'replies', name], reply);
    else replies[name] = reply;
  }
  const loginSenders = new Map<string, AddressSet>();
  for (const [user, senders] of Object.entries(document.senders.login_must_match)) {
    const at = [...path, 'senders', 'login_must_match', user];
    const wrong = whyNoUser(user);
    if (wrong !== null) words.notes.error(at, wrong);
    if (senders.length === 0) words.notes.warn(at, `an empty list: '${user}' may send as nobody`);
    const key = words.users.keyOfWritten(user);
    if (loginSenders.has(key)) words.notes.error(at, `'${user}' is named above already, perhaps in another spelling`);
    loginSenders.set(key, yield* readAddresses(senders, at, words.notes));
  }
  const terms = {
    mode,
    requireTls: document.require_tls,
    submit: yield* submitTest(document, path, words),
    ownDomains: document.senders.own_domains,
    loginSenders: new LoginSenders({
      listed: loginSenders,
      suspects: yield* Suspects.inSteps(words.users, Object.keys(document.senders.login_must_match)),
      ownAddress: document.senders.own_address,
      others: document.senders.others,
      users: words.users,
    }),
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
    replies: { ...replies, full: document.replies.connections === undefined ? CONNECTOR_FULL : replies.connections },
    rules,
    connectAllow: draft.connectAllow,
    connectDeny: draft.connectDeny,
    users: words.users,
    judgement: new Judgement(domains, terms, words.users, options.now),
    clientAt,
    resolve: options.resolve,
  });
}

function mentionsPtr(conditions: ConditionsDocument | undefined): boolean {
  return conditions !== undefined && (conditions.ptr !== undefined || mentionsPtr(conditions.not));
}

function* submitTest({ submit }: ConnectorDocument, path: Path, words: Vocabulary): Steps<Condition['holds'] | null> {
  if (submit === 'anyone') return null;
  if (submit === 'authenticated') return ({ question }) => question.login !== null;
  if (submit.users === undefined && submit.groups === undefined)
    words.notes.error(
      [...path, 'submit'],
      'nobody could send: users or groups are wanted, or anyone, or authenticated',
    );
  const at = [...path, 'submit'];
  for (const key of ['users', 'groups'] as const) warnOfEmpty(submit[key], [...at, key], words.notes);
  const users = yield* usersOf(submit.users ?? [], [...at, 'users'], words);
  const members = yield* membersOf(submit.groups ?? [], [...at, 'groups'], words);
  return (yield* memberTest(members.length === 0 ? users : [...users, ...members], true, words)).holds;
}

function profileOf(
  { document, limits, mode, relaysAnywhere }: Draft,
  options: PolicyOptions,
  relay: OwnReply,
): Profile {
  const { session } = limits;
  return {
    connector: document.name,
    upstream: document.upstream,
    mode,
    relaysAnywhere,
    auth: document.auth,
    starttls: document.starttls,
    exchangeVerbs: document.exchange_verbs,
    chunking: document.chunking,
    hideKeywords: new Set(document.hide_keywords.map((keyword) => keyword.toUpperCase())),
    vrfy: document.vrfy,
    bareLf: document.bare_lf,
    dotLines: options.dotLines(document.upstream),
    textLine: options.textLine(document.upstream),
    maxMessageSize: document.max_message_size,
    earlyTalker: document.early_talker,
    unqualifiedRecipients: document.unqualified_recipients,
    relayReply: relay,
    tarpit: mode === 'enforce' ? limits.tarpit : 0,
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
