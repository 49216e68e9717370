// Who and what is asked about: one of each kind that a policy could tell from the others.
//
// A domain is told from others by the names that stand in the policies: the name, what is below it, and what only looks like either
// (full-width letters: a no may hold for those and a yes does not); and one that stands nowhere. A login by its name, alone and in each
// domain. Not made: a login with several @ or \ that may be two of those named at once.

import { parseDistinguishedName } from '../../policy/certificate-subjects.ts';
import { DomainTable, parseDomainPattern } from '../../policy/domains.ts';
import { fromOctets, toOctets } from '../../policy/spellings.ts';
import { foldAscii } from '../../smtp/bytes.ts';
import { type ForwardPath, isUtf8Text, parseForwardPath, parseReversePath } from '../../smtp/path.ts';
import type { Address, Login } from '../../smtp/types.ts';
import type { Words } from './words.ts';

export interface Candidate<V> {
  readonly value: V;
  /** For people. */
  readonly label: string;
  /** As `explain` would be asked; null: it cannot be written there. */
  readonly written: string;
  /** Two with different tags are never taken for one. */
  readonly tag: string;
}

export interface SaidSender {
  readonly written: string;
  readonly address: Address | null;
}

export interface Secured {
  readonly tls: boolean;
  readonly subject: readonly string[];
}

/** A name in octets, and how people call it and those alike. */
interface Name {
  readonly octets: string;
  readonly label: string;
}

export const OTHER_DOMAIN = 'any other domain';
export const BARE = 'names without a domain';

/** Each name of `patterns`, what is below it, and what looks like them; then one that no pattern holds. */
function namesOf(patterns: Iterable<string>): Name[] {
  const table = new DomainTable();
  const forms = new Set<string>();
  for (const text of patterns) {
    const pattern = parseDomainPattern(text);
    if (typeof pattern === 'string') continue;
    table.add(pattern, true);
    for (const form of pattern.forms) forms.add(form);
  }
  let label = 'some';
  while ([...forms].some((form) => form.split('.').includes(label))) label += 'x';
  const others = ['foreign.example', 'elsewhere.invalid', `elsewhere.${label}`];
  const other = others.find((name) => !forms.has(name) && !table.holds(name)) ?? `elsewhere.${label}`;
  const names: Name[] = [{ octets: other, label: OTHER_DOMAIN }];
  const alike: Name[] = []; // behind the others: a class is shown by its first
  for (const form of forms) {
    const shown = fromOctets(form);
    const below = `${label}.${form}`;
    names.push({ octets: form, label: shown }, { octets: below, label: `below ${shown}` });
    alike.push({ octets: lookAlike(form), label: `look-alikes of ${shown}` });
    alike.push({ octets: `${label}.${lookAlike(form)}`, label: `look-alikes below ${shown}` });
  }
  return [...names, ...alike];
}

/** The same name to who maps it (UTS 46), and another one octet by octet. */
function lookAlike(name: string): string {
  const at = name.search(/[a-z0-9]/);
  return at === -1 ? name : name.slice(0, at) + toOctets(fullWidth(name[at] as string)) + name.slice(at + 1);
}

function fullWidth(letter: string): string {
  return String.fromCharCode(letter.charCodeAt(0) + 0xfee0);
}

const SOMEBODY = 'somebody';
const SOMEONE = 'someone.unnamed'; // who has logged in, and stands nowhere

function candidate<V>(value: V, label: string, written: string, tag = ''): Candidate<V> {
  return { value, label, written, tag };
}

/** `valid`: addresses of valid_recipients that the two policies do not agree on, or a few where they do. */
export function recipientCandidates(words: Words, valid: readonly string[]): Candidate<ForwardPath>[] {
  const all: Candidate<ForwardPath>[] = [];
  const add = (octets: string, label: string, tag = ''): void => {
    const path = recipientPath(fromOctets(octets));
    if (path !== null) all.push(candidate(path, label, fromOctets(octets), tag));
  };
  for (const { octets, label } of namesOf(words.domains)) {
    add(`${SOMEBODY}@${octets}`, label);
    add(`postmaster@${octets}`, `postmaster of ${label}`);
  }
  for (const address of new Set([...words.recipients, ...valid])) {
    add(toOctets(address), address);
    add(lookAlike(toOctets(address)), `look-alikes of ${address}`);
  }
  for (const literal of words.literals) {
    const bare = literal.replace(/^\[(.*)\]$/, '$1').replace(/^ipv6:/i, '');
    add(`${SOMEBODY}@[${bare.includes(':') ? 'IPv6:' : ''}${bare}]`, `[${bare}]`, `[${bare}]`);
  }
  add(`${SOMEBODY}@[192.0.2.253]`, 'any other address literal', '[]');
  add('postmaster', 'postmaster alone', 'postmaster');
  add(SOMEBODY, BARE, 'bare');
  add(
    `IMCEAX400-x+3B@${namesOf(words.domains)[1]?.octets ?? 'foreign.example'}`,
    'addresses for a gateway (X.400, fax)',
    'gateway',
  );
  return all;
}

/** Null where it is none that the grammar lets through. */
export function recipientPath(written: string): ForwardPath | null {
  const text = `<${toOctets(written)}>`;
  const path = parseForwardPath(text, 0, isUtf8Text(text));
  return 'address' in path && path.end === text.length ? path : null;
}

export function senderCandidates(words: Words): Candidate<SaidSender>[] {
  const all: Candidate<SaidSender>[] = [];
  const add = (octets: string, label: string, tag = ''): void => {
    const text = `<${octets}>`;
    const path = parseReversePath(text, 0, isUtf8Text(text));
    if (path !== null)
      all.push(candidate({ written: path.written, address: path.address }, label, fromOctets(octets), tag));
  };
  add('', '<>', '<>');
  for (const { octets, label } of namesOf(words.domains)) add(`${SOMEBODY}@${octets}`, label);
  const named = new Set([...words.senders, ...[...words.users].flatMap((user) => addressesOf(user, words))]);
  named.delete('<>');
  for (const mail of words.realms)
    if (mail.includes('.'))
      add(`${SOMEONE}@${toOctets(mail)}`, `another's own address at ${mail}`, `${SOMEONE}@${mail}`);
  for (const address of named) {
    add(toOctets(address), address, address);
    add(lookAlike(toOctets(address)), `look-alikes of ${address}`);
  }
  for (const literal of words.literals)
    add(`${SOMEBODY}@[${literal.replace(/^\[(.*)\]$/, '$1')}]`, `[${literal}]`, literal);
  add(SOMEBODY, BARE, 'bare');
  add(`@a.example,@b.example:${SOMEBODY}@c.example`, 'routes, and what is no plain address', 'route');
  return all;
}

/** The mail addresses that a login may have. */
function addressesOf(user: string, { realms }: Words): string[] {
  if (/^[^@\\/]+@[^@\\/]+$/.test(user)) return [user];
  const name = user.slice(user.indexOf('\\') + 1);
  return [...realms].filter((realm) => realm.includes('.')).map((realm) => `${name}@${realm}`);
}

export const NOBODY = 'nobody (no login)';
export const ANYBODY_ELSE = 'any other login';
export const CROWDED = 'names with so many parts that they may be anybody';
const MOST_REALMS = 16;

export function loginCandidates(words: Words): Candidate<Login | null>[] {
  const all: Candidate<Login | null>[] = [candidate(null, NOBODY, '', 'none')];
  const named = new Set<string>();
  const add = (name: string, label: string): void => {
    if (named.has(name)) return;
    named.add(name);
    all.push(candidate({ mechanism: 'PLAIN', name }, label, name));
  };
  all.push(candidate({ mechanism: 'GSSAPI', name: null }, 'logins whose name nobody sees', '?', '?'));
  add(SOMEONE, ANYBODY_ELSE);
  for (const user of words.users) add(user, user);
  const realms = [...words.realms];
  for (const user of words.users) realms.push(...(user.includes('\\') ? [user.slice(0, user.indexOf('\\'))] : []));
  const domains = new Set(realms);
  const known = [...domains].slice(0, MOST_REALMS);
  if (domains.size > MOST_REALMS)
    words.leftOut.add(
      `${domains.size} Windows and mail domains of logins: names in those behind the first ${MOST_REALMS} are only compared as they are written`,
    );
  for (const user of words.users) {
    const name = user.includes('\\') ? user.slice(user.indexOf('\\') + 1) : user.replace(/[@%].*$/, '');
    if (named.size < 4 * 100_000) {
      add(name, `${name} without a domain`);
      for (const realm of known) {
        const spelled = realm.includes('.') ? `${name}@${realm}` : `${realm}\\${name}`;
        add(spelled, spelled);
      }
      add(`ELSEWHERE\\${name}`, `${name} of another Windows domain`);
      add(`${name}@elsewhere.invalid`, `${name} of another mail domain`);
      add(`${fullWidth(name[0] ?? 'x')}${name.slice(1)}`, `look-alikes of ${name}`);
    }
  }
  for (const realm of known) {
    const spelled = realm.includes('.') ? `${SOMEONE}@${realm}` : `${realm}\\${SOMEONE}`;
    add(spelled, `any other login of ${realm}`);
  }
  add('a\\b\\c\\d\\e\\f\\g\\h\\i\\j', CROWDED);
  return all;
}

export function securedCandidates(words: Words): Candidate<Secured>[] {
  const all: Candidate<Secured>[] = [
    candidate({ tls: false, subject: [] }, 'not encrypted', '', 'clear'),
    candidate({ tls: true, subject: [] }, 'TLS', 'tls', 'tls'),
  ];
  const hosts: string[] = [];
  for (const subject of words.subjects) {
    if (!subject.includes('=')) hosts.push(subject);
    else {
      const name = parseDistinguishedName(subject);
      if (name !== null) all.push(candidate({ tls: true, subject: [name] }, `TLS as ${subject}`, subject, 'tls'));
    }
  }
  if (hosts.length === 0) return all;
  for (const { octets, label } of namesOf(hosts))
    all.push(candidate({ tls: true, subject: [octets] }, `TLS as ${label}`, fromOctets(octets), 'tls'));
  return all;
}

export function ptrCandidates(words: Words): Candidate<readonly string[] | null>[] {
  const all: Candidate<readonly string[] | null>[] = [candidate([], 'no name in DNS', '')];
  if (words.ptrs.size === 0) return all;
  for (const { octets, label } of namesOf(words.ptrs)) all.push(candidate([octets], label, fromOctets(octets)));
  all.push(candidate(null, 'DNS does not answer', '?', '?'));
  return all;
}

export function heloCandidates(words: Words): Candidate<string>[] {
  if (words.helos.size === 0) return [candidate('', 'any', '')];
  return namesOf(words.helos).map(({ octets, label }) => candidate(foldAscii(octets), label, fromOctets(octets)));
}
