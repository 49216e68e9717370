// The reference judge: may this recipient pass? Written from the description of the policy, small and slow, and sharing no
// code with src/. It reads an address as the most obliging server would, and every host in it has to be allowed.
//
// `unknown` facts (a login whose name is not in clear, a sender that is no plain address) are tried both ways: it says no only
// where every way says no. It does not know DNS, limits, time, or accounts that may be spelled otherwise.

import type { Conditions, Connector, Policy } from './case.ts';

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
}

// --- who is asking

interface Span {
  readonly family: number;
  readonly low: bigint;
  readonly high: bigint;
}

function numberOf(address: string): { family: number; value: bigint } {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  if (!mapped.includes(':')) {
    return { family: 4, value: mapped.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  }
  const [front = '', back] = mapped.split('::');
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const missing = 8 - words(front).length - words(back ?? '').length;
  const all = [
    ...words(front),
    ...Array.from({ length: back === undefined ? 0 : missing }, () => '0'),
    ...words(back ?? ''),
  ];
  return { family: 6, value: all.reduce((sum, word) => sum * 65536n + BigInt(`0x${word}`), 0n) };
}

function spansOf(range: string): Span[] {
  if (range === 'any') {
    return [
      { family: 4, low: 0n, high: 2n ** 32n - 1n },
      { family: 6, low: 0n, high: 2n ** 128n - 1n },
    ];
  }
  const [from = '', to] = range.split('-');
  if (to !== undefined) return [{ family: numberOf(from).family, low: numberOf(from).value, high: numberOf(to).value }];
  const [net = '', bits] = range.split('/');
  const { family, value } = numberOf(net);
  const free = 2n ** BigInt(bits === undefined ? 0 : (family === 4 ? 32 : 128) - Number(bits));
  return [{ family, low: value - (value % free), high: value - (value % free) + free - 1n }];
}

/** How many addresses the narrowest of these ranges has that holds the client; null when none does. */
function narrowest(ranges: readonly string[], client: string): bigint | null {
  const { family, value } = numberOf(client);
  const holding = ranges
    .filter((range) => spansOf(range).some((span) => span.family === family && span.low <= value && value <= span.high))
    .map((range) =>
      range === 'any' ? 2n ** 129n : spansOf(range).reduce((sum, { low, high }) => sum + high - low + 1n, 0n),
    );
  return holding.length === 0 ? null : holding.reduce((least, size) => (size < least ? size : least));
}

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

// --- what the address says

const UNREADABLE = 'unreadable';

/** Every host that some server may find in a mailbox; null when it is no mailbox for anybody. */
export function hostsIn(mailbox: string): string[] | null {
  if (mailbox === '' || mailbox.startsWith('@') || /[\x00-\x1f\x7f]/.test(mailbox)) return null;
  const hosts = new Set<string>();
  const readings = [mailbox.replace(/["\\]/g, '')];
  for (let reading = readings.shift(); reading !== undefined; reading = readings.shift()) {
    const parts = reading.split(/([@%!])/);
    for (let at = 1; at < parts.length; at += 2)
      hosts.add(foldAscii(parts[parts[at] === '!' ? at - 1 : at + 1] as string));
    if (/(^|[@%!"])[ ]*imcea(smtp|rfc822)-/i.test(reading)) {
      const unpacked = reading.replace(/\+([0-9a-f]{2})/gi, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      if (unpacked !== reading) readings.push(unpacked);
    }
  }
  return [...hosts];
}

/** A–Z and nothing else; one dot at the end goes. */
function foldAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 32)).replace(/\.$/, '');
}

/** `*.d` is d and all below it. */
function covers(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host;
  return host === pattern.slice(2) || host.endsWith(pattern.slice(1));
}

function coversAny(patterns: readonly string[] = [], host: string): boolean {
  return patterns.some((pattern) => covers(pattern, host));
}

// --- the decision

/** What is assumed of what nobody here can know. */
interface Guess {
  readonly sender: boolean;
  readonly login: boolean;
}

const GUESSES: readonly Guess[] = [true, false].flatMap((sender) => [true, false].map((login) => ({ sender, login })));

const isPlain = (address: string): boolean => /^[A-Za-z0-9.+_-]+@[A-Za-z0-9.-]+$/.test(address);

/** Whether the policy lets this client send to this recipient: the text between the brackets. */
export function mayReceive(policy: Policy, facts: Facts, recipient: string): boolean {
  const connector = connectorFor(policy, facts);
  if (connector === null) return false;
  if (/^postmaster$/i.test(recipient)) return true;
  const hosts = hostsIn(recipient);
  if (hosts === null) return false;
  if (hosts.length === 0) return connector.unqualified_recipients === 'allow';
  return hosts.every((host) => GUESSES.some((guess) => isAllowed(policy, connector, facts, recipient, host, guess)));
}

function isAllowed(
  policy: Policy,
  connector: Connector,
  facts: Facts,
  recipient: string,
  host: string,
  guess: Guess,
): boolean {
  if (host.startsWith('[')) return (policy.accepted_literals ?? []).includes(host.slice(1, -1));
  if (!/^[a-z0-9_\x80-\xff-]+(\.[a-z0-9_\x80-\xff-]+)*$/.test(host)) return false;
  if (coversAny(policy.blocked_domains, host)) return false;
  if (coversAny(policy.accepted_domains, host) || coversAny(policy.relay_domains, host)) return true;
  for (const { allow, deny } of connector.rules ?? []) {
    if (holds(policy, allow ?? deny ?? {}, facts, recipient, host, guess)) return allow !== undefined;
  }
  return false;
}

function holds(
  policy: Policy,
  wanted: Conditions,
  facts: Facts,
  recipient: string,
  host: string,
  guess: Guess,
): boolean {
  const { login, sender } = facts;
  const isUser = (users: readonly string[]): boolean => {
    if (login === null || users.length === 0) return false;
    return login === '' ? guess.login : users.some((user) => foldAscii(user) === foldAscii(login));
  };
  const known = sender === '' || isPlain(sender);
  const senderHost = known ? foldAscii(sender.slice(sender.indexOf('@') + 1)) : UNREADABLE;
  const { sources, authenticated, users, groups, tls, senders, sender_domains, recipients, recipient_domains, not } =
    wanted;
  const checks = [
    sources === undefined || narrowest(sources, facts.client) !== null,
    authenticated === undefined || (authenticated ? login !== null && (login !== '' || guess.login) : login === null),
    users === undefined || isUser(users),
    groups === undefined || isUser(groups.flatMap((group) => policy.groups?.[group] ?? [])),
    tls === undefined || tls === facts.tls,
    senders === undefined ||
      (known ? senders.map(foldAscii).includes(foldAscii(sender === '' ? '<>' : sender)) : guess.sender),
    sender_domains === undefined || (known ? sender !== '' && coversAny(sender_domains, senderHost) : guess.sender),
    recipients === undefined || recipients.map(foldAscii).includes(foldAscii(recipient)),
    recipient_domains === undefined || coversAny(recipient_domains, host),
    not === undefined || !holds(policy, not, facts, recipient, host, guess),
  ];
  return checks.every((check) => check);
}

/** Whether a MAIL of this client passes. */
export function maySend(policy: Policy, facts: Facts): boolean {
  const connector = connectorFor(policy, facts);
  if (connector === null || (connector.require_tls === true && !facts.tls)) return false;
  return connector.submit !== 'authenticated' || facts.login !== null;
}
