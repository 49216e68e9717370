// Accounts: whose login a name is. For a yes one spelling is wanted, as the policy writes it; for a no every spelling
// counts that may be the same account.
//
// The server behind decides what a name means: Windows takes CORP\steven, corp.example.com\steven, steven@CORP, steven
// alone, in any case and with or without accents. Which of its domains are one is known from user_domains only, so two
// names whose domains are both known, or both of one kind, are two people; all else may be one. Nothing here is ever a
// reason to let somebody in.

import { foldAscii } from '../smtp/bytes.ts';
import type { Login } from '../smtp/types.ts';
import { aLabelsOf, foldWidely, toOctets } from './spellings.ts';

/** The domain in a login's name: one of user_domains, another of Windows (CORP), another with dots, or none that is told. */
export interface Realm {
  readonly kind: 'known' | 'flat' | 'dotted' | 'none';
  readonly name: string;
}

/** One way to read a login's name. */
export interface Reading {
  readonly name: string;
  readonly realm: Realm;
}

const UNTOLD: Realm = { kind: 'none', name: '' };
const MOST_PIECES = 8; // Exchange 5.5 takes three: domain, account, mailbox

/** How user names are compared: for a yes ASCII-folded, `CORP\alice` as alice@corp.example.com where user_domains says so. */
export class UserNames {
  readonly #domains = new Map<string, string>();
  /** Windows names and mail domains, widely folded, and the mail domain that they are. */
  readonly #known = new Map<string, string>();
  /** By the widely folded mail domain: how an address of its users ends, in octets as in user_domains. */
  readonly #mails = new Map<string, string>();
  #last = { domain: '', realm: UNTOLD };
  readonly #readings = new WeakMap<Login, readonly Reading[]>();

  add(windowsDomain: string, mailDomain: string): void {
    this.#domains.set(foldAscii(toOctets(windowsDomain)), foldAscii(toOctets(mailDomain)));
    const mail = domainKey(mailDomain);
    this.#known.set(domainKey(windowsDomain), mail);
    this.#known.set(mail, mail);
    this.#mails.set(mail, foldAscii(toOctets(mailDomain)));
    this.#last = { domain: '', realm: UNTOLD };
  }

  /** `name` in octets, as it comes from the wire. */
  key(name: string): string {
    const folded = foldAscii(name);
    const backslash = folded.indexOf('\\');
    const domain = backslash === -1 ? undefined : this.#domains.get(folded.slice(0, backslash));
    return domain === undefined ? folded : `${folded.slice(backslash + 1)}@${domain}`;
  }

  /** `name` as a configuration file writes it. */
  keyOfWritten(name: string): string {
    return this.key(toOctets(name));
  }

  /** Some login has an address that is known. */
  get tellsAddresses(): boolean {
    return this.#mails.size > 0;
  }

  /** Whether user_domains gives somebody an address in a domain, as it comes from the wire. */
  hasAddressAt(domain: string | null): boolean {
    return [...this.#mails.values()].some((mail) => mail === domain);
  }

  /** The address of a login that is spelled as CORP\alice or alice@corp.example.com, with both told by user_domains; null: it is
   * not known. In folded octets. A name beyond ASCII is none for a yes: Windows takes it for one without accents. */
  addressOf(login: Login): string | null {
    const [reading] = this.readingsOf(login);
    if (login.name === null || reading?.realm.kind !== 'known') return null;
    const address = `${foldAscii(reading.name)}@${this.#mails.get(reading.realm.name)}`;
    return /^[\x21-\x7e]*$/.test(reading.name) && this.keyOfWritten(login.name) === address ? address : null;
  }

  /** For a no: the addresses of all whose login it may be; null where it may be anybody's. */
  addressesOf(login: Login): readonly string[] | null {
    const readings = this.readingsOf(login);
    if (readings.length === 0) return null;
    const addresses = new Set<string>();
    for (const { name, realm } of readings) {
      const mails = [...this.#mails].filter(([mail]) => realm.kind !== 'known' || mail === realm.name);
      const local = toOctets(foldAccount(name));
      if (realm.kind !== 'flat') for (const [, mail] of mails) addresses.add(`${local}@${mail}`);
    }
    return [...addresses];
  }

  /** What a login's limits are counted under: what all spellings of one account have in common. A name without a domain, or
   * with one with dots that is told nowhere, counts for each account that it may be; those of all other domains that are
   * told nowhere count together, or a name made up for each login would be a limit for each. */
  limitKeys(login: Login): string[] {
    const keys = new Set<string>();
    for (const { name, realm } of this.readingsOf(login)) {
      const folded = foldAccount(name);
      if (realm.kind === 'flat') keys.add(this.#known.size === 0 ? `${realm.name}\\${folded}` : folded);
      else keys.add(realm.kind === 'none' ? folded : `${folded}@${realm.name}`);
      if (realm.kind === 'none' || realm.kind === 'dotted')
        for (const domain of this.#known.values()) keys.add(`${folded}@${domain}`);
    }
    return keys.size === 0 ? [login.name ?? ''] : [...keys];
  }

  /** Empty where the name is not known, or has so much in it that it may be anybody's. */
  readingsOf(login: Login): readonly Reading[] {
    let readings = this.#readings.get(login);
    if (readings === undefined) {
      readings = login.name === null ? [] : this.readings(login.name);
      this.#readings.set(login, readings);
    }
    return readings;
  }

  /** `DOMAIN\name`, `DOMAIN/name` (Exchange 5.5 takes both), `name@domain`, `name%domain`; with more in it each piece may be
   * the name. */
  readings(name: string): readonly Reading[] {
    const pieces = name.split(/[\\/@%]/, MOST_PIECES + 1).map(trim);
    if (pieces.length > MOST_PIECES) return [];
    const told = pieces.filter((piece) => piece !== '');
    if (told.length !== 2 || pieces.length !== 2) return told.map((piece) => ({ name: piece, realm: UNTOLD }));
    const [first = '', second = ''] = told;
    return /[@%]/.test(name)
      ? [{ name: first, realm: this.#realm(second) }]
      : [{ name: second, realm: this.#realm(first) }];
  }

  /** A list names one domain many times. */
  #realm(domain: string): Realm {
    if (this.#last.domain !== domain) this.#last = { domain, realm: this.#realmOf(domain) };
    return this.#last.realm;
  }

  #realmOf(domain: string): Realm {
    const key = domainKey(domain);
    if (key === '') return UNTOLD;
    const known = this.#known.get(key);
    if (known !== undefined) return { kind: 'known', name: known };
    return { kind: key.includes('.') ? 'dotted' : 'flat', name: key };
  }
}

/** Blanks at the ends mean nothing to Windows, and neither does a dot at the end of a domain or a name. */
function trim(text: string): string {
  const trimmed = text.trim();
  let end = trimmed.length;
  while (end > 0 && /[\s.]/.test(trimmed[end - 1] as string)) end--;
  return trimmed.slice(0, end);
}

function domainKey(domain: string): string {
  const folded = trim(foldWidely(domain));
  return aLabelsOf(folded) || folded;
}

/** Whether two domains may be one. A Windows domain may have names with dots that nobody told us: of its own, and those
 * behind an @ (UPN suffixes) that an administrator gave it. */
export function mayBeOne(a: Realm, b: Realm): boolean {
  if (a.kind === 'none' || b.kind === 'none' || a.name === b.name) return true;
  return (a.kind === 'dotted') !== (b.kind === 'dotted');
}

/** Letters that Windows sorts with another, which Unicode does not take apart. */
const ALIKE: Readonly<Record<string, string>> = { ø: 'o', đ: 'd', ð: 'd', ł: 'l', ħ: 'h', þ: 'th', æ: 'ae', œ: 'oe' };

/** A name as Windows looks it up: without case, accents, width and kind of kana. */
function foldAccount(name: string): string {
  const folded = foldWidely(name);
  if (/^[\x00-\x7f]*$/.test(folded)) return folded;
  return folded
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[øđðłħþæœ]/g, (letter) => ALIKE[letter] ?? letter)
    .replace(/[ァ-ヶ]/g, (kana) => String.fromCharCode(kana.charCodeAt(0) - 0x60));
}

// Old clients say names in a code page that nobody names. Such a name shows itself by signs where letters should be, or
// stands for letters of another script; its ASCII alone is compared then.

export function listedKeys(name: string): string[] {
  const keys = [foldAccount(name)];
  if (/[^\x00-\x7f]/.test(name)) keys.push(`\0signs ${skeleton(name)}`);
  if (/[^\x00-\xff]/.test(name)) keys.push(`\0letters ${skeleton(name)}`);
  return keys;
}

export function saidKeys(name: string): string[] {
  const keys = [foldAccount(name)];
  if (!/[\x80-\xff]/.test(name) || /[^\x00-\xff]/.test(name)) return keys;
  keys.push(`\0letters ${skeleton(name)}`);
  if (/[^\x00-\x7f\p{L}]/u.test(name)) keys.push(`\0signs ${skeleton(name)}`);
  return keys;
}

function skeleton(name: string): string {
  return foldAscii(name.normalize('NFC')).replace(/[^\x00-\x7f]+/g, '?');
}
