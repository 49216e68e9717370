// The policy again, as a beginner would write it from design.md 5: lists walked from end to end, every unknown tried both
// ways by counting. Slow, obvious, and sharing no code with src/policy: what the two disagree about is wrong in one of
// them.

import { domainToUnicode } from 'node:url';
import type { ConditionsDocument, ConnectorDocument, PolicyDocument } from '../../src/policy/document.ts';
import type { Question } from '../../src/smtp/types.ts';

export interface World {
  readonly client: string;
  readonly localAddress: string;
  readonly localPort: number;
  /** Addresses of this host and its gateways. */
  readonly lost: readonly string[];
  readonly guard: boolean;
  /** The client's confirmed names; null when DNS does not answer. */
  readonly names: readonly string[] | null;
  readonly now: number;
}

interface Ip {
  readonly family: 4 | 6;
  readonly value: bigint;
}

function ipOf(text: string): Ip {
  if (!text.includes(':'))
    return { family: 4, value: text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : new Array(8 - left.length - right.length).fill('0');
  return {
    family: 6,
    value: [...left, ...zeros, ...right].reduce((sum, part) => sum * 65536n + BigInt(`0x${part}`), 0n),
  };
}

type Holds = (ip: Ip) => boolean;

export function rangeOf(text: string): { holds: Holds; size: bigint; lo: bigint; hi: bigint; family: 4 | 6 | null } {
  if (text === 'any') return { holds: () => true, size: 1n << 129n, lo: 0n, hi: (1n << 128n) - 1n, family: null };
  const of = (family: 4 | 6, lo: bigint, hi: bigint) => ({
    holds: (ip: Ip) => ip.family === family && ip.value >= lo && ip.value <= hi,
    size: hi - lo + 1n,
    ...{ lo, hi, family },
  });
  if (text.includes(';')) {
    const [net, mask] = text.split(';').map((part) => ipOf(part).value) as [bigint, bigint];
    const free = 32 - mask.toString(2).replaceAll('0', '').length;
    return {
      ...of(4, net, net),
      holds: (ip) => ip.family === 4 && (ip.value & mask) === net,
      size: 1n << BigInt(free),
    };
  }
  if (text.includes('/')) {
    const [net = '', length = ''] = text.split('/');
    const { family, value } = ipOf(net);
    const free = BigInt((family === 4 ? 32 : 128) - Number(length));
    return of(family, (value >> free) << free, ((value >> free) << free) + (1n << free) - 1n);
  }
  const [lo = '', hi = lo] = text.split('-');
  return of(ipOf(lo).family, ipOf(lo).value, ipOf(hi).value);
}

function isLost({ client, localAddress, lost }: World): boolean {
  return client.startsWith('127.') || client === '::1' || client === localAddress || lost.includes(client);
}

function holdsAny(list: readonly string[], client: string): boolean {
  return list.some((text) => rangeOf(text).holds(ipOf(client)));
}

function listsSingly(list: readonly string[], client: string): boolean {
  return list.some((text) => rangeOf(text).size === 1n && rangeOf(text).holds(ipOf(client)));
}

/** `*.d` is d and everything below, `d` is d. */
function matches(pattern: string, domain: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === domain;
  return domain === pattern.slice(2) || domain.endsWith(pattern.slice(1));
}

/** A yes (`opening`) knows a domain by its octets, as A-labels or as U-labels; a no also by what a browser makes of it. */
function matchesAny(patterns: readonly string[], octets: string | null, opening: boolean): boolean {
  if (octets === null) return false;
  const domain = Buffer.from(octets, 'latin1').toString();
  return patterns.map(browsed).some((pattern) => {
    const unicode = pattern.replace(/[^*.].*/, domainToUnicode);
    return matches(pattern, domain) || matches(unicode, domain) || (!opening && matches(pattern, browsed(domain)));
  });
}

/** A pattern without its star, in A-labels. */
function nameOf(pattern: string): string {
  return pattern === '' ? '' : browsed(pattern).replace('*.', '');
}

/** The most specific pattern decides. */
function isAccepted({ accepted_domains, relay_domains }: PolicyDocument, domain: string): boolean {
  const most = (patterns: readonly string[]): number =>
    Math.max(
      0,
      ...patterns
        .filter((one) => matchesAny([one], domain, true))
        .map((one) => (one[0] === '*' ? nameOf(one).length : 1000)),
    );
  return domain !== '' && most(accepted_domains) > 0 && most(accepted_domains) >= most(relay_domains);
}

/** In A-labels, with its star. */
function browsed(pattern: string): string {
  return pattern.replace(/[^*.].*/, (domain) => new URL(`http://${domain}`).hostname);
}

export function naiveConnector(policy: PolicyDocument, world: World): ConnectorDocument | null {
  const bound = policy.connectors.filter(({ bindings }) => bindings.some((binding) => binds(binding, world)));
  const competing = bound.length > 0 ? bound : policy.connectors.filter(({ bindings }) => bindings.length === 0);
  let best: { connector: ConnectorDocument; size: bigint } | null = null;
  for (const connector of competing) {
    for (const text of connector.remote_ip_ranges) {
      const { holds, size } = rangeOf(text);
      if (!holds(ipOf(world.client))) continue;
      if (world.guard && isLost(world) && size !== 1n && grantsRelay(connector, text)) continue;
      if (best === null || size < best.size) best = { connector, size };
    }
  }
  return best?.connector ?? null;
}

function binds(binding: string, { localAddress, localPort }: World): boolean {
  if (binding.startsWith('*:')) return binding === `*:${localPort}`;
  return binding === localAddress || binding === `${localAddress}:${localPort}`;
}

function grantsRelay({ submit, rules }: ConnectorDocument, range: string): boolean {
  return (
    submit === 'anyone' &&
    rules.some(({ allow }) => {
      if (allow === undefined || allow.sources || allow.users || allow.groups || allow.ptr || allow.authenticated)
        return false;
      return allow.recipient_domains === undefined || !(range === 'any' || range.endsWith('/0'));
    })
  );
}

/** `refused`: no connector. */
export function naiveAnswer(
  policy: PolicyDocument,
  world: World,
  question: Question,
): 'refused' | 'proceed' | 'reject' | 'defer' {
  const connector = naiveConnector(policy, world);
  if (connector === null) return 'refused';
  for (const address of question.addresses) {
    const atoms = unknownAtoms(policy, connector, world, question);
    const answers = new Set<boolean>();
    for (let way = 0; way < 2 ** atoms.length; way++) {
      const guess = new Map(atoms.map((atom, i) => [atom, (way & (1 << i)) !== 0]));
      answers.add(recipientPasses(policy, connector, world, { ...question, addresses: [address] }, guess));
    }
    if (answers.size === 2) return 'defer';
    if (answers.has(false)) return 'reject';
  }
  return 'proceed';
}

function unknownAtoms(
  policy: PolicyDocument,
  connector: ConnectorDocument,
  world: World,
  question: Question,
): string[] {
  const atoms = new Set<string>();
  const look = (conditions: ConditionsDocument | undefined): void => {
    if (conditions === undefined) return;
    if (world.names === null && conditions.ptr) atoms.add(ptrAtom(conditions.ptr));
    if (question.login !== null && question.login.name === null) {
      if (conditions.users) atoms.add(userAtom(policy, conditions.users));
      if (conditions.groups) atoms.add(userAtom(policy, membersOf(policy, conditions.groups)));
    }
    look(conditions.not);
  };
  for (const { allow, deny } of connector.rules) {
    look(allow);
    look(deny);
  }
  return [...atoms];
}

function ptrAtom(list: readonly string[]): string {
  return `ptr ${[...list].sort()}`;
}

function userAtom(policy: PolicyDocument, users: readonly string[]): string {
  return `login ${[...new Set(users.map((user) => userKey(policy, user)))].sort()}`;
}

function membersOf(policy: PolicyDocument, groups: readonly string[]): string[] {
  return groups.flatMap((group) => policy.groups[group] ?? []);
}

function userKey(policy: PolicyDocument, name: string): string {
  const [domain = '', user] = name.toLowerCase().split('\\');
  const mapped = Object.entries(policy.user_domains).find(([windows]) => windows.toLowerCase() === domain);
  return user === undefined || mapped === undefined ? name.toLowerCase() : `${user}@${mapped[1]}`;
}

/** For a no: whether two names may be one account. */
function mayBeOne(policy: PolicyDocument, a: string, b: string): boolean {
  const [one, other] = [a, b].map((name) => personOf(policy, name.toLowerCase().trim()));
  if (one === undefined || other === undefined || one.user !== other.user) return false;
  if (one.domain === '' || other.domain === '' || one.domain === other.domain) return true;
  // A Windows domain may have other names with dots than the one that user_domains gives.
  const isStrange = ({ domain }: { domain: string }): boolean =>
    domain.includes('.') && !Object.values(policy.user_domains).includes(domain);
  return isStrange(one) !== isStrange(other);
}

function personOf(policy: PolicyDocument, name: string): { user: string; domain: string } {
  const [before = '', behind] = name.split(/[\\@]/);
  const [user, domain] = behind === undefined ? [before, ''] : name.includes('@') ? [before, behind] : [behind, before];
  const written = domain.replace(/\.$/, '');
  const mapped = Object.entries(policy.user_domains).find(([windows]) => windows.toLowerCase() === written);
  return { user, domain: mapped?.[1] ?? written };
}

function recipientPasses(
  policy: PolicyDocument,
  connector: ConnectorDocument,
  world: World,
  question: Question,
  guess: ReadonlyMap<string, boolean>,
): boolean {
  const [recipient] = question.addresses;
  const domain = recipient?.domain ?? null;
  if (domain === null) throw new Error('the naive evaluator knows recipients with a domain only');
  if (matchesAny(policy.blocked_domains, domain, false)) return false;
  if (matchesAny([...policy.accepted_domains, ...policy.relay_domains], domain, true)) return true;
  for (const { allow, deny, expires } of connector.rules) {
    if (expires !== undefined && world.now >= Date.parse(expires) + 86_400_000) continue;
    if (holdsAll(policy, allow ?? deny ?? {}, allow !== undefined, world, question, guess)) return allow !== undefined;
  }
  return false;
}

function holdsAll(
  policy: PolicyDocument,
  conditions: ConditionsDocument,
  opening: boolean,
  world: World,
  question: Question,
  guess: ReadonlyMap<string, boolean>,
): boolean {
  const guarded = opening && world.guard && isLost(world);
  const user = question.login?.name == null ? null : userKey(policy, question.login.name);
  const isUser = (users: readonly string[]): boolean => {
    if (question.login === null || users.length === 0) return false;
    if (user === null) return guess.get(userAtom(policy, users)) as boolean;
    const said = question.login.name as string;
    return users.some((name) => userKey(policy, name) === user || (!opening && mayBeOne(policy, name, said)));
  };
  const isOne = (list: readonly string[], local: string, domain: string | null | undefined): boolean =>
    list.some((one) => {
      const [name = '', host = ''] = one.toLowerCase().split('@');
      return name === local.toLowerCase() && matchesAny([host], domain ?? null, opening);
    });
  const { sources, ptr, local, authenticated, users, groups, tls, senders, sender_domains } = conditions;
  const { recipients, recipient_domains, helo, not, allow_unnamed } = conditions;
  const recipient = question.addresses[0];
  const { senderAddress } = question;
  const isSender = (list: readonly string[], domain: string | null): boolean =>
    senderAddress === null ? list.includes('<>') : isOne(list, senderAddress.local, domain);
  // For a no: a bare name may be of every domain that is ours.
  const isBare = senderAddress !== null && senderAddress.domain === null && !opening;
  const named = [...(senders ?? []).map((one) => one.split('@')[1] ?? ''), ...(sender_domains ?? [])];
  const completions = isBare
    ? [...policy.accepted_domains, ...named].map(nameOf).filter((domain) => isAccepted(policy, domain))
    : [senderAddress?.domain ?? null];
  const checks: (boolean | undefined)[] = [
    sources && (guarded ? listsSingly(sources, world.client) : holdsAny(sources, world.client)),
    ptr && ptrHolds(ptr, guarded, world, guess),
    local?.some((one) => binds(one, world) || (!/:\d+$/.test(one) && rangeOf(one).holds(ipOf(world.localAddress)))),
    authenticated === undefined
      ? undefined
      : authenticated
        ? question.login !== null && (question.login.name !== null || allow_unnamed === true)
        : question.login === null,
    users && isUser(users),
    groups && isUser(membersOf(policy, groups)),
    tls === undefined ? undefined : tls === question.tls,
    senders && completions.some((domain) => isSender(senders, domain)),
    sender_domains && completions.some((domain) => matchesAny(sender_domains, domain, opening)),
    recipients && isOne(recipients, recipient?.local ?? '', recipient?.domain),
    recipient_domains && matchesAny(recipient_domains, recipient?.domain ?? null, opening),
    helo && matchesAny(helo, question.helo.toLowerCase(), opening),
    not && !holdsAll(policy, not, !opening, world, question, guess),
  ];
  return checks.every((check) => check !== false);
}

function ptrHolds(
  list: readonly string[],
  guarded: boolean,
  world: World,
  guess: ReadonlyMap<string, boolean>,
): boolean {
  if (list.length === 0 || guarded) return false;
  if (world.names === null) return guess.get(ptrAtom(list)) as boolean;
  return world.names.some((name) => matchesAny(list, name, true));
}
