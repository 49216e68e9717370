// Who has which right on a receive connector: permission groups, and the entries that Get-ADPermission lists.
//
// Windows looks at entries in this order: denied here, allowed here, denied above, allowed above; the first that names the
// right decides. A permission group is entries that are allowed here. Who is meant by an entry is told by SID, by the names
// that are known, or by its position: whoever holds exactly what a permission group gives is that group's principal. Who
// is none of these is taken for an account of that name: a group's members are not in the export.

import type { Place } from '../policy/problem.ts';
import { enumOf, flagOf, isTypeName, listOf, textOf } from './exchange-values.ts';
import { type Exported, fieldOf, isExported, type Value } from './exported.ts';

/** Whose rights a session has. `server`: one that proved with Exchange's own verbs to be one. */
export type Principal = 'anonymous' | 'authenticated' | 'everyone' | 'external' | 'server' | 'partner';

export const RIGHTS = {
  submit: 'ms-Exch-SMTP-Submit',
  relay: 'ms-Exch-SMTP-Accept-Any-Recipient',
  anySender: 'ms-Exch-SMTP-Accept-Any-Sender',
  ownDomains: 'ms-Exch-SMTP-Accept-Authoritative-Domain-Sender',
} as const;

export type Right = keyof typeof RIGHTS;

/** [doc] receive-connectors.md of Microsoft. */
export const GROUPS: Readonly<Record<string, { bit: number; principal: Principal; rights: readonly Right[] }>> = {
  AnonymousUsers: { bit: 1, principal: 'anonymous', rights: ['submit', 'anySender', 'ownDomains'] },
  ExchangeUsers: { bit: 2, principal: 'authenticated', rights: ['submit', 'relay'] },
  ExchangeServers: { bit: 4, principal: 'server', rights: ['submit', 'relay', 'anySender', 'ownDomains'] },
  ExchangeLegacyServers: { bit: 8, principal: 'server', rights: ['submit', 'relay', 'anySender', 'ownDomains'] },
  Partners: { bit: 16, principal: 'partner', rights: ['submit'] },
  Custom: { bit: 32, principal: 'everyone', rights: [] },
};

/** One entry of an access control list. */
export interface Entry extends Place {
  /** Of the connector, as the export names it. */
  readonly identity: string;
  readonly who: string;
  readonly sid: string | null;
  readonly deny: boolean;
  /** Null: the export does not say. */
  readonly inherited: boolean | null;
  /** It allows something below the connector, and nothing on it. */
  readonly below: boolean;
  /** Names in small letters; `all`: every extended right. */
  readonly rights: readonly string[] | 'all';
}

/** What is wrong with the object as an entry, or the entry. */
export function entryOf(object: Exported): Entry | string {
  const identity = fieldOf(object, 'Identity');
  if (identity === null)
    return 'which connector it is of is not said: Get-ReceiveConnector | Get-ADPermission | Export-Clixml FILE gives all of it';
  const user = fieldOf(object, 'User')?.value ?? null;
  const who = textOf(user);
  if (who === null) return 'no User: an entry of Get-ADPermission names one';
  const deny = flagOf(fieldOf(object, 'Deny')?.value ?? null);
  if (deny === null) return 'whether it allows or denies is not said: the column Deny is wanted';
  const inherited = fieldOf(object, 'IsInherited') ?? fieldOf(object, 'Inherited');
  const rights = rightsOf(object);
  if (typeof rights === 'string' && rights !== 'all') return rights;
  const { file, line, column } = object;
  return {
    identity: textOf(identity.value) ?? '',
    who,
    sid: sidIn(object, user),
    deny,
    inherited: inherited === null ? null : flagOf(inherited.value),
    below: BELOW.has(enumOf(fieldOf(object, 'InheritanceType')?.value ?? null, SCOPES) ?? ''),
    rights,
    file,
    line,
    column,
  };
}

/** ActiveDirectorySecurityInheritance, from 0. */
const SCOPES = ['None', 'All', 'Descendents', 'SelfAndChildren', 'Children'];
const BELOW = new Set(['Descendents', 'Children']);

/** A string is what is wrong, but for `all`. */
function rightsOf(object: Exported): readonly string[] | string {
  const named = fieldOf(object, 'ExtendedRights')?.value ?? null;
  if (isTypeName(named))
    return 'Export-Csv has written the name of a type in the place of ExtendedRights: use Export-Clixml FILE in its place';
  const names = listOf(named).map((right) => (textOf(right) ?? '').toLowerCase());
  if (names.includes('')) return 'one of its ExtendedRights has no name: what it is about is not said';
  if (names.length > 0) return names;
  if (!object.fields.has('extendedrights') && !object.fields.has('accessrights'))
    return 'neither ExtendedRights nor AccessRights: is the export cut off?';
  // One element may have several names: `ReadProperty, ExtendedRight`.
  const access = listOf(fieldOf(object, 'AccessRights')?.value ?? null).flatMap((right) =>
    (textOf(right) ?? '').split(/[\s,]+/),
  );
  // ActiveDirectoryRights: GenericAll 983551, ExtendedRight 256.
  const isAll = access.some((right) => /^(GenericAll|ExtendedRight)$/i.test(right) || (Number(right) & 256) !== 0);
  return isAll ? 'all' : [];
}

const SID = /\bS-1(-[0-9]+)+\b/;

function sidIn(object: Exported, user: Value): string | null {
  const places = [
    user,
    ...['Sid', 'UserSid', 'SecurityIdentifier'].map((name) => fieldOf(object, name)?.value ?? null),
  ];
  const nested = isExported(user) ? [...user.fields.values()].map(({ value }) => value) : [];
  for (const value of [...places, ...nested]) {
    const sid = SID.exec(textOf(value) ?? '')?.[0];
    if (sid !== undefined) return sid;
  }
  return null;
}

const SIDS: Readonly<Record<string, Principal>> = {
  'S-1-5-7': 'anonymous',
  'S-1-5-11': 'authenticated',
  'S-1-1-0': 'everyone',
};

/** In the languages whose names are certain; the part behind the backslash stands for itself. */
const NAMES: Readonly<Record<string, Principal>> = {
  'anonymous logon': 'anonymous',
  'anonymous-anmeldung': 'anonymous',
  'authenticated users': 'authenticated',
  'authentifizierte benutzer': 'authenticated',
  'utilisateurs authentifiés': 'authenticated',
  everyone: 'everyone',
  jeder: 'everyone',
  'tout le monde': 'everyone',
  'externally secured servers': 'external',
  'partner servers': 'partner',
  'hub transport servers': 'server',
  'edge transport servers': 'server',
  'exchange servers': 'server',
  exchangelegacyinterop: 'server',
};

/** Authorities that no Windows domain is called by. */
const AUTHORITY = /^(nt authority|nt-autorität|autorite nt|autorité nt|ms exchange)\\/i;

function principalOf({ who, sid }: Entry): Principal | null {
  if (sid !== null && SIDS[sid] !== undefined) return SIDS[sid] as Principal;
  const name = who.replace(/^.*\\/, '').toLowerCase();
  const found = NAMES[name];
  if (found === undefined) return null;
  // CORP\Everyone may be somebody; the groups of Exchange itself bear the domain's name.
  return !who.includes('\\') || AUTHORITY.test(who) || found === 'server' ? found : null;
}

/** Somebody whom Windows itself names, and nobody here knows by that name: Everyone in another language, say. */
function mayBeAnybody({ who, sid }: Entry): boolean {
  if (sid !== null) return !sid.startsWith('S-1-5-21-');
  return AUTHORITY.test(who) || !/[\\@]/.test(who);
}

/** What is known of one connector's rights. */
export class ConnectorRights {
  /** Entries by whom they are for. */
  readonly #entries = new Map<Principal, Entry[]>();
  /** Entries for accounts, or for groups that look like accounts. */
  readonly accounts = new Map<string, Entry[]>();
  readonly #groups: ReadonlySet<string>;

  constructor(groups: ReadonlySet<string>, entries: readonly Entry[]) {
    this.#groups = groups;
    const unknown = new Map<string, Entry[]>();
    for (const entry of entries) {
      if (!entry.deny && entry.below) continue;
      const principal = principalOf(entry) ?? (entry.deny && mayBeAnybody(entry) ? 'everyone' : null);
      if (principal === null) push(unknown, entry.who, entry);
      else push(this.#entries, principal, entry);
    }
    for (const [who, theirs] of unknown) {
      const principal = this.#byPosition(theirs);
      if (principal === null) this.accounts.set(who, theirs);
      else this.#entries.set(principal, [...(this.#entries.get(principal) ?? []), ...theirs]);
    }
  }

  /** The one principal that holds exactly what a group of this connector gives, where nobody else is known to. */
  #byPosition(entries: readonly Entry[]): Principal | null {
    const held = new Set(
      entries.filter(({ deny }) => !deny).flatMap(({ rights }) => (rights === 'all' ? ['all'] : rights)),
    );
    for (const name of ['AnonymousUsers', 'ExchangeUsers']) {
      const { principal } = GROUPS[name] as (typeof GROUPS)[string];
      const wanted = POSITION[name] as readonly string[];
      if (!this.#groups.has(name) || this.#entries.has(principal)) continue;
      const extra = [...held].filter((right) => !wanted.includes(right));
      const isAlike = wanted.every((right) => held.has(right));
      if (isAlike && extra.every((right) => principal === 'anonymous' && right === RIGHTS.relay.toLowerCase()))
        return principal;
    }
    return null;
  }

  /** Whether sessions of this principal have the right. */
  has(principal: Principal, right: Right): boolean {
    const name = RIGHTS[right].toLowerCase();
    // Everyone does not hold the anonymous logon since Windows Server 2003; a no to everyone is a no to it all the same.
    const others = (this.#entries.get('everyone') ?? []).filter(({ deny }) => deny || principal !== 'anonymous');
    const own = this.#entries.get(principal) ?? [];
    const entries = [...own, ...others].filter((entry) => isAbout(entry, name));
    if (entries.some(({ deny, inherited }) => deny && inherited !== true)) return false;
    if (entries.some(({ deny, inherited }) => !deny && inherited === false)) return true;
    // An entry that lists what the group gives as well stands for the group: what was taken from it is missing there.
    const isListed = own.some(
      ({ deny, rights }) => !deny && rights !== 'all' && rights.includes(RIGHTS.submit.toLowerCase()),
    );
    if (!isListed && this.#groupGives(principal, right)) return true;
    if (entries.some(({ deny }) => deny)) return false;
    return entries.length > 0;
  }

  #groupGives(principal: Principal, right: Right): boolean {
    return [...this.#groups].some((name) => {
      const group = GROUPS[name];
      const holds = principal === group?.principal || (principal === 'external' && name === 'ExchangeServers');
      return group !== undefined && holds && group.rights.includes(right);
    });
  }

  /** What an account of its own has: a no, a yes, or nothing. */
  account(who: string, right: Right): 'allow' | 'deny' | null {
    const name = RIGHTS[right].toLowerCase();
    const entries = (this.accounts.get(who) ?? []).filter((entry) => isAbout(entry, name));
    if (entries.some(({ deny, inherited }) => deny && inherited !== true)) return 'deny';
    if (entries.some(({ deny }) => !deny)) return 'allow';
    // What is denied above gives way to what everybody who logs in is allowed here.
    return entries.some(({ deny }) => deny) && !this.has('authenticated', right) ? 'deny' : null;
  }
}

/** All extended rights without a name may be one that the export could not name: that is a no, and never a yes. */
function isAbout({ rights, deny }: Entry, name: string): boolean {
  return rights === 'all' ? deny : rights.includes(name);
}

const POSITION: Readonly<Record<string, readonly string[]>> = {
  AnonymousUsers: [RIGHTS.submit, RIGHTS.anySender, RIGHTS.ownDomains, 'ms-exch-accept-headers-routing'].map(lower),
  ExchangeUsers: [RIGHTS.submit, RIGHTS.relay, 'ms-exch-bypass-anti-spam', 'ms-exch-accept-headers-routing'].map(lower),
};

function lower(text: string): string {
  return text.toLowerCase();
}

function push<K>(map: Map<K, Entry[]>, key: K, entry: Entry): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [entry]);
  else list.push(entry);
}

/** May be a group of people: a deny for it holds for logins that nobody can name. */
export function looksLikeGroup(who: string): boolean {
  return SID.test(who) || /\s/.test(who.replace(/^.*\\/, '')) || AUTHORITY.test(who);
}
