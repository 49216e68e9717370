// An access table of Postfix as conditions of ours, in the order in which they are looked at.
//
// An indexed table is asked for the most specific key first, a cidr or pattern table from its top. What a key means depends
// on what it is compared with: the client's name and address, the sender, the recipient, or the name in HELO.

import { parseDomainPattern } from '../policy/domains.ts';
import { formatIp, parseIp } from '../policy/ip.ts';
import { hullOf, parseRange, type Span } from '../policy/ranges.ts';
import { subtract, union } from '../policy/spans.ts';
import { plainPattern, type TableEntry } from './postfix-tables.ts';

/** The right side of a table lets through and denies nobody: OK, digits alone, or restrictions that permit. */
export function isPermission(value: string): boolean {
  return /^((ok|relay)(\s.*)?|[0-9]+|permit\w*([\s,]+permit\w*)*)$/i.test(value);
}

/** It lets nobody through. */
export function isDenial(value: string): boolean {
  return /^((reject|defer)(_unauth_destination)?|discard|defer_if_permit|[45][0-9]{2})(\s|$)/i.test(value);
}

/** Conditions of a rule (policy/document.ts), as far as they are used here. */
export interface When {
  readonly sources?: readonly string[];
  readonly ptr?: readonly string[];
  readonly authenticated?: true;
  readonly tls?: true;
  readonly senders?: readonly string[];
  readonly sender_domains?: readonly string[];
  readonly recipients?: readonly string[];
  readonly recipient_domains?: readonly string[];
  readonly helo?: readonly string[];
  readonly not?: When;
}

export type Subject = 'client' | 'helo' | 'sender' | 'recipient';

export interface AccessEntry {
  readonly entry: TableEntry;
  /** Null: nothing of ours says when. `never`: Postfix asks no table of this kind for such a key. */
  readonly when: When | 'never' | null;
}

/** `parents`: a domain stands for what is below it too (parent_domain_matches_subdomains has smtpd_access_maps). */
export function accessEntries(
  entries: readonly TableEntry[],
  type: string,
  subject: Subject,
  parents: boolean,
): AccessEntry[] {
  const isCidr = type === 'cidr';
  const read = entries.map((entry) => ({
    entry,
    when: entry.isConditional ? null : isCidr ? whenNetwork(entry.key, subject) : whenOf(entry, subject, parents),
  }));
  if (isCidr) return read;
  // The whole table is asked for the client's name, and then for the address.
  if (type === 'regexp' || type === 'pcre')
    return read.toSorted((a, b) => Number(isOfAddress(a.when)) - Number(isOfAddress(b.when)));
  return read.toSorted((a, b) => rank(b.entry.key) - rank(a.entry.key));
}

function isOfAddress(when: AccessEntry['when']): boolean {
  return when !== null && when !== 'never' && when.sources !== undefined;
}

/** Addresses of mail before names, names before addresses of clients, longer before shorter. */
function rank(key: string): number {
  const kind = key.includes('@') ? 2 : isAddressLike(key) ? 0 : 1;
  return kind * 1000 + key.length;
}

function isAddressLike(key: string): boolean {
  return /^[0-9]{1,3}(\.[0-9]{1,3}){0,3}$/.test(key) || (/^[0-9a-fA-F:]+$/.test(key) && key.includes(':'));
}

/** A cidr table holds addresses and networks, and Postfix leaves out a line with anything else: bits behind the prefix too. */
function whenNetwork(key: string, subject: Subject): When | 'never' {
  const { error, warning } = parseRange(key);
  const isNetwork = error === undefined && warning === undefined && /^[0-9a-fA-F:.]+(\/[0-9]+)?$/.test(key);
  return isNetwork && subject === 'client' ? { sources: [key] } : 'never';
}

function whenOf(entry: TableEntry, subject: Subject, parents: boolean): When | 'never' | null {
  if (entry.isPattern) return whenPattern(entry.key, subject);
  const { key } = entry;
  if (subject === 'client') {
    // `10.0.0.0/8` in an indexed table is what nobody is called.
    if (/[/;,]|^[0-9.]+-[0-9.]+$/.test(key)) return 'never';
    const range = networkOf(key);
    if (range !== null) return { sources: [range] };
    const domain = domainOf(key, parents);
    // `unknown` is whoever has no name, and no other word alone is a name that a client has.
    return domain?.includes('.') !== true || key.toLowerCase() === UNNAMED ? null : { ptr: [domain] };
  }
  if (subject === 'helo') {
    const domain = domainOf(key, parents);
    return domain === null ? null : { helo: [domain] };
  }
  if (key.includes('@') || key === '<>') return addressIs(subject, key);
  const domain = domainOf(key, parents);
  return domain === null ? null : domainIs(subject, domain);
}

/** `10.1` is 10.1.0.0/16, `2001:db8` is 2001:db8::/32. Addresses are compared as text, as Postfix writes them. */
function networkOf(key: string): string | null {
  const address = addressOf(key);
  if (address !== null) return address;
  if (/^[0-9]{1,3}(\.[0-9]{1,3}){0,2}$/.test(key)) {
    const octets = key.split('.');
    const range = `${[...octets, '0', '0', '0'].slice(0, 4).join('.')}/${octets.length * 8}`;
    return parseRange(range).error === undefined ? range : null;
  }
  // A group of zeros may be written as nothing at all.
  if (!/^[1-9a-fA-F][0-9a-fA-F]{0,3}(:[1-9a-fA-F][0-9a-fA-F]{0,3}){1,6}$/.test(key)) return null;
  return `${key}::/${key.split(':').length * 16}`;
}

function addressOf(text: string): string | null {
  const ip = parseIp(text);
  return ip !== null && formatIp(ip) === text.toLowerCase() ? text : null;
}

const UNNAMED = 'unknown';

/** Where parents match, `.d` means nothing to Postfix. */
function domainOf(key: string, parents: boolean): string | null {
  if (key.startsWith('.')) return null;
  const name = parents ? `*.${key}` : key;
  return typeof parseDomainPattern(name) === 'string' ? null : name;
}

function addressIs(subject: 'sender' | 'recipient', address: string): When | null {
  if (!/^(<>|[^@\s"\\]+@[^@\s]+)$/.test(address)) return null;
  return subject === 'sender' ? { senders: [address] } : { recipients: [address] };
}

function domainIs(subject: 'sender' | 'recipient', domain: string): When {
  return subject === 'sender' ? { sender_domains: [domain] } : { recipient_domains: [domain] };
}

function whenPattern(pattern: string, subject: Subject): When | null {
  const octets = /^\^((?:[0-9]{1,3}\\\.){1,3})$/.exec(pattern)?.[1];
  if (octets !== undefined && subject === 'client') {
    const range = networkOf(octets.replaceAll('\\.', '.').slice(0, -1));
    return range === null ? null : { sources: [range] };
  }
  const plain = plainPattern(pattern);
  if (plain === null) return null;
  // `\.d$` holds what is below d and not d itself, which no pattern of ours says.
  return plain.text.startsWith('.') ? null : whenPlain(plain.kind, plain.text, subject);
}

function whenPlain(kind: 'exact' | 'domain' | 'below', text: string, subject: Subject): When | null {
  if (subject === 'client' || subject === 'helo') {
    if (kind === 'domain') return null;
    const range = subject === 'client' && kind === 'exact' ? addressOf(text) : null;
    if (range !== null) return { sources: [range] };
    const domain = domainOf(text, kind === 'below');
    return domain?.includes('.') !== true || text === UNNAMED
      ? null
      : subject === 'client'
        ? { ptr: [domain] }
        : { helo: [domain] };
  }
  if (kind === 'exact') return text.includes('@') ? addressIs(subject, text) : null;
  // What is asked for is a whole address: `(^|\.)d$` holds what is below d, and d itself never.
  const domain = kind === 'below' ? null : domainOf(text, false);
  return domain === null ? null : domainIs(subject, domain);
}

/** Both hold; null where no rule of ours says so. */
export function both(a: When, b: When): When | null {
  const shared = Object.keys(b).filter((key) => key in a);
  if (shared.every((key) => JSON.stringify(a[key as keyof When]) === JSON.stringify(b[key as keyof When])))
    return { ...a, ...b };
  const except = a.not === undefined || b.not === undefined ? null : joined(a.not, b.not);
  if (except !== null && sameBut('not', a, b)) return { ...a, ...b, not: except };
  if (a.not === undefined) return { ...a, not: { not: b } };
  return b.not === undefined ? { ...b, not: { not: a } } : null;
}

function sameBut(but: string, a: When, b: When): boolean {
  const without = (when: When, other: When): string =>
    JSON.stringify(Object.entries(when).filter(([key]) => key !== but && key in other));
  return without(a, b) === without(b, a);
}

/** Either holds, where one list can say that. */
export function joined(a: When, b: When): When | null {
  const [key, second] = Object.keys(a);
  if (second !== undefined || key === undefined || Object.keys(b).join() !== key) return null;
  const [one, other] = [a[key as keyof When], b[key as keyof When]];
  return Array.isArray(one) && Array.isArray(other) ? { [key]: [...one, ...other] } : null;
}

export function isAlways(when: When): boolean {
  return Object.keys(when).length === 0;
}

/** Addresses that it holds for by themselves, whatever else is so. */
export function sourcesOf({ sources = [], not, ...others }: When): readonly string[] {
  const { sources: except = [], ...more } = not ?? {};
  if (Object.keys(others).length > 0 || Object.keys(more).length > 0) return [];
  return not === undefined ? sources : without(sources, except);
}

function without(texts: readonly string[], except: readonly string[]): readonly string[] {
  const spans = (list: readonly string[]): Span[] => union(list.flatMap((text) => parseRange(text).ranges.map(hullOf)));
  const rest = subtract(spans(texts), spans(except));
  return rest.map(({ lo, hi }) => (lo === hi ? formatIp(lo) : `${formatIp(lo)}-${formatIp(hi)}`));
}

/** The clients that a denial is for, or some more: names cannot be taken out of networks, nor networks out of names. */
export function deniedClients({ sources = [], ptr = [], not }: When): {
  sources: readonly string[];
  names: readonly string[];
} {
  const isOfNetworks = not !== undefined && Object.keys(not).join() === 'sources';
  return { sources: isOfNetworks ? without(sources, not.sources ?? []) : sources, names: ptr };
}
