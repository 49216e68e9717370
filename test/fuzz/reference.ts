// The reference judge: may this client write as this sender, to this recipient? Written from the description of the policy, small
// and slow, and sharing no code with src/. It reads an address as the most obliging server would, and every host in it has to be
// allowed.
//
// Two kinds of things may be unknown. What the firewall cannot know (names in DNS that did not come) is a third value, and the
// answer is then "come again" unless all ways lead to the same one. What only this judge cannot know (a login whose name is not in
// clear or spelled otherwise, a sender or HELO name that is no plain word) is tried both ways: it says no only where every way does.
// It does not know limits, certificates of clients, or accounts that may be spelled otherwise.

import type { Conditions, Connector, Policy, Senders } from './case.ts';
import { coversAny, foldAscii, hostsIn, narrowest } from './reading.ts';

export interface Facts {
  /** The client's address, as the policy sees it. */
  readonly client: string;
  /** The address that the client was talking to, with its port. */
  readonly local: string;
  /** null: not logged in; '': logged in under a name that nobody can read here. */
  readonly login: string | null;
  readonly tls: boolean;
  /** The reverse-path. */
  readonly sender: string;
  /** What the client called itself; '': nobody can say here. */
  readonly helo: string;
  /** Its names in DNS that lead back to it; null: DNS did not answer. */
  readonly names: readonly string[] | null;
  /** The whole firewall only observes. */
  readonly observes: boolean;
  /** The recipients that exist; null: nobody knows which. */
  readonly valid: readonly string[] | null;
}

export type Outcome = 'proceed' | 'reject' | 'defer';

// --- three values

/** null: cannot tell. */
type Truth = boolean | null;

function all(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false;
  return truths.includes(null) ? null : true;
}

function any(truths: readonly Truth[]): Truth {
  if (truths.includes(true)) return true;
  return truths.includes(null) ? null : false;
}

function not(truth: Truth): Truth {
  return truth === null ? null : !truth;
}

// --- who is asking

/** The connector that answers, or null: the connection is refused. */
export function connectorFor(policy: Policy, { client, local }: Pick<Facts, 'client' | 'local'>): Connector | null {
  const bound = policy.connectors.filter(({ bindings = [] }) => bindings.includes(local));
  const competing = bound.length > 0 ? bound : policy.connectors.filter(({ bindings = [] }) => bindings.length === 0);
  const sized = competing.flatMap((connector) => {
    const size = narrowest(connector.remote_ip_ranges, client);
    return size === null ? [] : [{ connector, size }];
  });
  return sized.toSorted((one, other) => (one.size < other.size ? -1 : 1))[0]?.connector ?? null;
}

/** What a session that this connector took has when another policy comes into force: the one of the same name, if that takes it
 * too, and nothing but who may do what is changed in it. Whether it observes and whether it relays anywhere is more. */
export function sameConnector(policy: Policy, old: Policy, at: Connector, facts: Facts): Connector | null {
  const same = policy.connectors.find(({ name }) => name === at.name) ?? null;
  const observes = same !== null && isObserved(same, facts);
  if (same === null || observes !== isObserved(at, facts) || relaysAnywhere(policy, same) !== relaysAnywhere(old, at))
    return null;
  return observes || mayConnect(same, facts) === 'proceed' ? same : null;
}

/** For everybody, whoever they say they are, and with or without TLS. */
function relaysAnywhere({ blocked_domains = [] }: Policy, connector: Connector): boolean {
  const { rules: [first] = [], submit = 'anyone', senders = {}, require_tls = false } = connector;
  const { own_domains = 'allow', login_must_match = {}, own_address = 'free', others = 'allow' } = senders;
  const asWhoever = own_domains === 'allow' && others === 'allow' && own_address !== 'required';
  const forAll = submit === 'anyone' && !require_tls && asWhoever && Object.keys(login_must_match).length === 0;
  return (
    forAll &&
    first?.expires === undefined &&
    first?.allow !== undefined &&
    Object.keys(first.allow).length === 0 &&
    blocked_domains.length === 0
  );
}

const isRange = (entry: string): boolean => entry === 'any' || /^[0-9]|:/.test(entry);

function isAmong(entries: readonly string[], { client, names }: Facts): Truth {
  return any(
    entries.map((entry) => {
      if (isRange(entry)) return narrowest([entry], client) !== null;
      return names === null ? null : names.some((name) => coversAny([entry], foldAscii(name)));
    }),
  );
}

/** Whether it may talk to us at all. */
export function mayConnect({ connect }: Connector, facts: Facts): Outcome {
  const denied = isAmong(connect?.deny ?? [], facts);
  const allowed = isAmong(connect?.allow ?? ['any'], facts);
  const may = all([not(denied), allowed]);
  return may === null ? 'defer' : may ? 'proceed' : 'reject';
}

// --- the decision for a recipient

/** What is assumed of what nobody here can know. */
interface Guess {
  readonly sender: boolean;
  readonly login: boolean;
  readonly helo: boolean;
}

const BOTH = [true, false];
const GUESSES: readonly Guess[] = BOTH.flatMap((sender) =>
  BOTH.flatMap((login) => BOTH.map((helo) => ({ sender, login, helo }))),
);

/** What a client may be called whose name in DNS is not known: enough for every pattern of the settings to hold and not to. */
const MAY_BE_CALLED = [[], ['pc.corp.example'], ['mx.friend.example'], ['pc.corp.example', 'mx.friend.example']];

const isPlain = (address: string): boolean => /^[A-Za-z0-9.+_-]+@[A-Za-z0-9.-]+$/.test(address);

/** Whether the policy lets this client send to this recipient, the text between the brackets. More than one answer where the
 * description leaves it open. `at`: the connector that the session has. */
export function outcomes(policy: Policy, at: Connector | null, facts: Facts, recipient: string): Set<Outcome> {
  if (at === null) return new Set(['reject']);
  // Whether a literal that is not ours is a trick or for the policy, the description does not say.
  if (isObserved(at, facts) && recipient.endsWith(']')) return new Set(['proceed', 'reject']);
  const answer = (known: Facts): Outcome => outcome(policy, at, known, recipient);
  const found = new Set([answer(facts)]);
  if (facts.names === null && found.has('defer')) {
    const ways = new Set(MAY_BE_CALLED.map((names) => answer({ ...facts, names })));
    if (ways.size === 1) found.add([...ways][0] as Outcome);
  }
  return found;
}

function outcome(policy: Policy, connector: Connector, facts: Facts, recipient: string): Outcome {
  if (/^postmaster$/i.test(recipient)) return 'proceed';
  const hosts = hostsIn(recipient);
  if (hosts === null) return 'reject';
  if (isObserved(connector, facts) && hosts.length <= 1) return 'proceed'; // tricks are refused all the same
  if (hosts.length === 0) return connector.unqualified_recipients === 'allow' ? 'proceed' : 'reject';
  const last = foldAscii(recipient.slice(recipient.lastIndexOf('@') + 1));
  if (!isKnown(facts.valid, recipient) && isOurs(policy, last)) return 'reject';
  const each = hosts.map((host) => {
    const ways = GUESSES.map((guess) => isAllowed(policy, connector, facts, recipient, host, guess));
    return ways.includes('proceed') ? 'proceed' : (ways[0] as Outcome);
  });
  if (each.includes('reject')) return 'reject';
  return each.includes('defer') ? 'defer' : 'proceed';
}

/** The code of our refusal, where there is one. */
export function codeOf(policy: Policy, recipient: string, answer: Outcome): '550' | '554' | '451' | null {
  if (answer !== 'reject') return answer === 'defer' ? '451' : null;
  const last = foldAscii(recipient.slice(recipient.lastIndexOf('@') + 1));
  return isOurs(policy, last) && !coversAny(policy.blocked_domains, last) ? '550' : '554';
}

export function isObserved({ mode }: Connector, { observes }: Facts): boolean {
  return observes || mode === 'observe';
}

/** Without quotes, in any case: no list is held against how an address may be written. Exchange's reply addresses stand in none. */
function isKnown(valid: Facts['valid'], recipient: string): boolean {
  const plain = (address: string): string => foldAscii(address.replace(/["\\]/g, '')).replace(/\.$/, '');
  return valid === null || plain(recipient).startsWith('imceaex-') || valid.map(plain).includes(plain(recipient));
}

function isOurs({ accepted_domains, accepted_literals = [] }: Policy, host: string): boolean {
  return host.startsWith('[') ? accepted_literals.includes(host.slice(1, -1)) : coversAny(accepted_domains, host);
}

function isAllowed(
  policy: Policy,
  connector: Connector,
  facts: Facts,
  recipient: string,
  host: string,
  guess: Guess,
): Outcome {
  if (host.startsWith('[')) return isOurs(policy, host) ? 'proceed' : 'reject';
  if (!/^[a-z0-9_\x80-\xff-]+(\.[a-z0-9_\x80-\xff-]+)*$/.test(host)) return 'reject';
  if (coversAny(policy.blocked_domains, host)) return 'reject';
  if (isOurs(policy, host) || coversAny(policy.relay_domains, host)) return 'proceed';
  const possible = new Set<Outcome>();
  for (const { allow, deny, expires } of connector.rules ?? []) {
    if (expires !== undefined && expires < TODAY) continue;
    const matches = holds(policy, allow ?? deny ?? {}, facts, recipient, host, guess);
    if (matches !== false) possible.add(allow === undefined ? 'reject' : 'proceed');
    if (matches === true) return possible.size === 1 ? ([...possible][0] as Outcome) : 'defer';
  }
  possible.add('reject');
  return possible.size === 1 ? 'reject' : 'defer';
}

const TODAY = new Date().toISOString().slice(0, 10);

function holds(policy: Policy, wanted: Conditions, facts: Facts, recipient: string, host: string, guess: Guess): Truth {
  const { login, sender, helo, local } = facts;
  const isUser = (users: readonly string[]): boolean => isOneOf(users, policy, login, guess);
  const known = sender === '' || isPlain(sender);
  const senderHost = foldAscii(sender.slice(sender.indexOf('@') + 1));
  return all([
    wanted.sources === undefined || narrowest(wanted.sources, facts.client) !== null,
    wanted.ptr === undefined || isAmong(wanted.ptr, facts),
    wanted.local === undefined || wanted.local.some((entry) => entry === local || entry === local.split(':')[0]),
    wanted.authenticated === undefined ||
      (wanted.authenticated ? login !== null && (login !== '' || guess.login) : login === null),
    wanted.users === undefined || isUser(wanted.users),
    wanted.groups === undefined || isUser(wanted.groups.flatMap((group) => policy.groups?.[group] ?? [])),
    wanted.tls === undefined || wanted.tls === facts.tls,
    wanted.senders === undefined ||
      (known ? wanted.senders.map(foldAscii).includes(foldAscii(sender === '' ? '<>' : sender)) : guess.sender),
    wanted.sender_domains === undefined ||
      (known ? sender !== '' && coversAny(wanted.sender_domains, senderHost) : guess.sender),
    wanted.recipients === undefined || wanted.recipients.some((listed) => names(foldAscii(listed), recipient, host)),
    wanted.recipient_domains === undefined || coversAny(wanted.recipient_domains, host),
    wanted.helo === undefined || (helo === '' ? guess.helo : coversAny(wanted.helo, foldAscii(helo))),
    wanted.not === undefined || not(holds(policy, wanted.not, facts, recipient, host, guess)),
  ]);
}

/** Whether the recipient is the listed address, or hides it in its local part behind this host. */
function names(listed: string, recipient: string, host: string): boolean {
  const folded = foldAscii(recipient);
  if (folded === listed) return true;
  const [local, domain] = listed.split('@') as [string, string];
  if (domain !== host) return false;
  const plain = folded.replaceAll('+40', '@').replaceAll('+2e', '.');
  return [`${local}@${host}`, `${local}%${host}`, `${host}!${local}`].some((form) =>
    new RegExp(`(?<![a-z0-9.+_-])${form.replaceAll('.', '\\.')}(?![a-z0-9.+_-])`).test(plain),
  );
}

/** Names that the settings write. Of any other it is open whose it may be. */
const WRITTEN = /^(?:alice|dave|carol|CORP\\erin|frank@own\.example)$/i;

function isOneOf(users: readonly string[], policy: Policy, login: string | null, guess: Pick<Guess, 'login'>): boolean {
  if (login === null || users.length === 0) return false;
  if (!WRITTEN.test(login)) return guess.login;
  const same = (user: string): string => ownAddress(policy, user) ?? foldAscii(user);
  return users.some((user) => same(user) === same(login));
}

/** The address that user_domains tells of a login. */
function ownAddress({ user_domains = {} }: Policy, login: string): string | null {
  const [windows, account] = login.split('\\') as [string, string | undefined];
  if (account === undefined) {
    const domain = foldAscii(login.slice(login.indexOf('@') + 1));
    return Object.values(user_domains).includes(domain) ? foldAscii(login) : null;
  }
  const mail = Object.entries(user_domains).find(([name]) => foldAscii(name) === foldAscii(windows))?.[1];
  return mail === undefined ? null : `${foldAscii(account)}@${mail}`;
}

// --- the decision for a sender

/** Why a MAIL of this client does not pass, as the code that it hears; null: it passes. `unsure`: the description leaves it open. */
export function whyNoMail(policy: Policy, at: Connector | null, facts: Facts): '530' | '550' | 'unsure' | null {
  if (at === null) return '530';
  if (isObserved(at, facts)) return null;
  if (at.require_tls === true && !facts.tls) return '530';
  const { submit = 'anyone', senders = {} } = at;
  if (submit === 'authenticated' && facts.login === null) return '530';
  if (typeof submit === 'object') {
    const users = [...(submit.users ?? []), ...(submit.groups ?? []).flatMap((group) => policy.groups?.[group] ?? [])];
    if (!isOneOf(users, policy, facts.login, { login: true })) return '530';
  }
  if (facts.sender === '') return null;
  if (!isPlain(facts.sender) || facts.login === '') return 'unsure';
  return whyNotAs(policy, senders, facts.login, foldAscii(facts.sender));
}

function whyNotAs(policy: Policy, senders: Senders, login: string | null, sender: string): '550' | 'unsure' | null {
  const { own_domains = 'allow', login_must_match = {}, own_address = 'free', others = 'allow' } = senders;
  const isOwn = coversAny(policy.accepted_domains, sender.slice(sender.indexOf('@') + 1));
  if (isOwn && (own_domains === 'deny' || (own_domains === 'authenticated' && login === null))) return '550';
  if (login === null) return null;
  if (!WRITTEN.test(login)) return 'unsure';
  const listed = Object.entries(login_must_match).find(([name]) => foldAscii(name) === foldAscii(login))?.[1];
  if (listed?.map(foldAscii).includes(sender)) return null;
  const own = own_address === 'required' ? ownAddress(policy, login) : null;
  if (own !== null) return sender === own ? null : '550';
  if (listed !== undefined) return '550';
  if (others === 'deny') return '550';
  // Without a domain it may be anybody's of that name who is held to an address.
  const mayBe =
    own_address === 'required' ? Object.values(policy.user_domains ?? {}).map((mail) => `${login}@${mail}`) : [];
  if (login.includes('@') || login.includes('\\') || mayBe.length === 0) return null;
  return mayBe.includes(sender) ? null : '550';
}
