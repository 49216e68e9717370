// One receive connector of Exchange as a connector of ours.
//
// What is not known stays closed: without Get-ADPermission nobody relays, whatever the permission groups say, since entries
// that deny are not in them. What Exchange asks of a session by means that go past us (X-EXPS between servers, a partner's
// certificate) gives nothing here.

import { formatIp } from '../policy/ip.ts';
import { hullOf, isSingle, parseRange, type Range } from '../policy/ranges.ts';
import { isWide, publicPart, union } from '../policy/spans.ts';
import { atOnce } from '../policy/steps.ts';
import { importLimits } from './exchange-limits.ts';
import type { Mailbox } from './exchange-objects.ts';
import { type ConnectorRights, GROUPS, looksLikeGroup } from './exchange-rights.ts';
import { bindingOf, flagOf, flagsOf, listOf, rangeOf, textOf } from './exchange-values.ts';
import { type Exported, type Field, fieldOf } from './exported.ts';
import { Noted, type Report, type WrittenBlock } from './imported.ts';

export const MECHANISMS: Readonly<Record<string, number>> = {
  Tls: 1,
  Integrated: 2,
  BasicAuth: 4,
  BasicAuthRequireTLS: 8,
  ExchangeServer: 16,
  ExternalAuthoritative: 32,
};

const GROUP_BITS = Object.fromEntries(Object.entries(GROUPS).map(([name, { bit }]) => [name, bit]));

/** A connector as it was there, as far as it matters who may do what. */
export interface OldConnector {
  readonly name: string;
  readonly object: Exported;
  readonly bindings: readonly string[];
  readonly ranges: readonly string[];
  readonly groups: ReadonlySet<string>;
  readonly mechanisms: ReadonlySet<string>;
}

export interface Grants {
  /** Who may hand in mail: by the old server's own words. */
  readonly anonymousSubmits: boolean;
  readonly loginSubmits: boolean;
  readonly accountsSubmit: readonly string[];
  readonly anonymousRelays: boolean;
  readonly loginRelays: boolean;
  readonly accountsRelay: readonly string[];
  /** They may relay, and may not hand in mail. */
  readonly accountsRelayInVain: readonly string[];
  readonly accountsDenied: readonly string[];
}

/** Null: it is switched off, or something of it cannot be read; the report has it. */
export function readConnector(object: Exported, report: Report): OldConnector | null {
  const name = textOf(fieldOf(object, 'Name')?.value ?? null) ?? textOf(fieldOf(object, 'Identity')?.value ?? null);
  if (name === null) {
    report.fault(object, 'a receive connector without Name');
    return null;
  }
  for (const key of ['Enabled', 'RequireTLS']) {
    const field = fieldOf(object, key);
    if (field !== null && flagOf(field.value) === null)
      report.fault(field, `${key} of '${name}' is ${JSON.stringify(textOf(field.value))}: True or False is wanted`);
  }
  const enabled = fieldOf(object, 'Enabled');
  if (enabled !== null && flagOf(enabled.value) === false) {
    report.exact(enabled, 'Enabled', 'False', '', `'${name}' is switched off: left out`);
    return null;
  }
  const bindings = bindingsOf(fieldOf(object, 'Bindings') as Field, report);
  const ranges = rangesOf(fieldOf(object, 'RemoteIPRanges') as Field, report);
  const groups = flagsOf(fieldOf(object, 'PermissionGroups')?.value ?? null, GROUP_BITS) ?? new Set<string>();
  const mechanisms = flagsOf(fieldOf(object, 'AuthMechanism')?.value ?? null, MECHANISMS) ?? new Set<string>();
  return bindings === null || ranges === null ? null : { name, object, bindings, ranges, groups, mechanisms };
}

/** `*:25` for every address of ours. */
function bindingsOf(field: Field, report: Report): readonly string[] | null {
  const bindings = new Set<string>();
  for (const value of listOf(field.value)) {
    const binding = bindingOf(value);
    if (binding === null || parseRange(binding.address).error !== undefined) {
      report.fault(
        field,
        `${JSON.stringify(textOf(value) ?? 'an object')} is no binding: 0.0.0.0:25 or [::]:25 is wanted`,
      );
      return null;
    }
    const { address, port } = binding;
    const isAny = address === '0.0.0.0' || /^[0:]+$/.test(address);
    bindings.add(`${isAny ? '*' : address.includes(':') ? `[${address}]` : address}:${port}`);
  }
  return [...bindings];
}

function rangesOf(field: Field, report: Report): readonly string[] | null {
  const ranges = new Set<string>();
  for (const value of listOf(field.value)) {
    const text = rangeOf(value);
    const parsed = parseRange(text ?? '');
    if (text === null || parsed.error !== undefined) {
      report.fault(field, `RemoteIPRanges: ${parsed.error ?? 'a range without bounds'}`);
      return null;
    }
    ranges.add(plainRange(text, parsed.ranges[0] as Range));
  }
  const [v4, v6] = EVERYWHERE;
  if (!ranges.has(v4) || !ranges.has(v6)) return [...ranges];
  return ['any', ...[...ranges].filter((range) => range !== v4 && range !== v6)];
}

const EVERYWHERE = ['0.0.0.0/0', '::/0'] as const;

/** As `check` likes it: no bits behind a prefix, one address as itself. */
function plainRange(text: string, range: Range): string {
  const { lo, hi } = hullOf(range);
  if (isSingle(range)) return formatIp(lo);
  const bounds = `${formatIp(lo)}-${formatIp(hi)}`;
  if (bounds === '0.0.0.0-255.255.255.255') return EVERYWHERE[0];
  if (bounds === '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff') return EVERYWHERE[1];
  const slash = text.indexOf('/');
  return slash === -1 ? text : `${formatIp(lo)}${text.slice(slash)}`;
}

/** Wide parts of the Internet, where nobody's address says who they are. */
export function isWorld(ranges: readonly string[]): boolean {
  const spans = union(ranges.flatMap((text) => parseRange(text).ranges.map(hullOf)));
  return atOnce(publicPart(spans)).some(isWide);
}

/** What the connector granted; `rights` null: Get-ADPermission was not given, and nobody relays. */
export function grantsOf(old: OldConnector, rights: ConnectorRights, isKnown: boolean): Grants {
  const anonymous = old.mechanisms.has('ExternalAuthoritative') ? 'external' : 'anonymous';
  const submits = rights.has(anonymous, 'submit');
  const accounts = [...rights.accounts.keys()];
  const withRight = (right: 'submit' | 'relay', what: 'allow' | 'deny'): string[] =>
    accounts.filter((who) => rights.account(who, right) === what);
  const loginSubmits = rights.has('authenticated', 'submit');
  /** A session that has logged in is anonymous no more, and may not hand in what the anonymous may. */
  const mayHandIn = (who: string): boolean =>
    rights.account(who, 'submit') === 'allow' || (loginSubmits && rights.account(who, 'submit') === null);
  const relaying = withRight('relay', 'allow').filter((who) => !looksLikeGroup(who));
  // A partner proves itself by certificate, which we do not see: it is held for anybody from its ranges.
  const isPartner = rights.has('partner', 'submit') && !loginSubmits;
  return {
    anonymousSubmits: submits || isPartner,
    loginSubmits,
    accountsSubmit: withRight('submit', 'allow').filter((who) => !looksLikeGroup(who)),
    anonymousRelays: isKnown && submits && rights.has(anonymous, 'relay'),
    loginRelays: isKnown && loginSubmits && rights.has('authenticated', 'relay'),
    accountsRelay: isKnown ? relaying.filter(mayHandIn) : [],
    accountsRelayInVain: isKnown ? relaying.filter((who) => !mayHandIn(who)) : [],
    accountsDenied: [...new Set([...withRight('relay', 'deny'), ...withRight('submit', 'deny')])],
  };
}

export interface Surroundings {
  readonly rights: ConnectorRights;
  /** Get-ADPermission was given, and that the connector is switched on. */
  readonly isKnown: boolean;
  readonly keepOpen: boolean;
  readonly mailboxes: readonly Mailbox[];
  /** Connectors without bindings answer on port 25. */
  readonly bindings: readonly string[];
}

export function writeConnector(old: OldConnector, around: Surroundings, report: Report): WrittenBlock {
  const { object, mechanisms, ranges } = old;
  const { rights } = around;
  const granted = grantsOf(old, rights, around.isKnown);
  const { anonymousSubmits, loginSubmits, accountsSubmit } = granted;
  const place = (name: string): Field | Exported => fieldOf(object, name) ?? object;
  const shown = (name: string): string => listText(fieldOf(object, name));
  const key = `connectors '${old.name}'`;

  report.exact(
    place('Bindings'),
    'Bindings',
    shown('Bindings'),
    around.bindings.length === 0 ? 'no bindings: port 25' : 'bindings',
  );
  report.exact(place('RemoteIPRanges'), 'RemoteIPRanges', shown('RemoteIPRanges'), 'remote_ip_ranges');
  const rules = rulesOf(old, granted, around, report);
  const isForNobody = !anonymousSubmits && !loginSubmits && accountsSubmit.length === 0;
  const submit =
    anonymousSubmits || isForNobody ? undefined : loginSubmits ? 'authenticated' : { users: accountsSubmit };
  reportSubmit(old, granted, report);
  const isOpen = rules.some(({ name }) => name === 'accept-any-recipient') && isWorld(ranges);
  const isExternal = mechanisms.has('ExternalAuthoritative');
  return {
    name: old.name,
    bindings: around.bindings.length === 0 ? undefined : around.bindings,
    remote_ip_ranges: ranges,
    connect: isForNobody ? new Noted({ deny: ['any'] }, 'nobody may hand in mail here whom we could tell') : undefined,
    submit,
    senders: sendersOf(old, granted, around, report),
    rules: rules.length === 0 ? undefined : rules,
    ...dialogueOf(old, report),
    exchange_verbs: isExternal && rules[0]?.name === 'accept-any-recipient' ? 'forward' : undefined,
    ...importLimits(object, report),
    replies: { relay: '550 5.7.1 Unable to relay' },
    i_know_this_is_open: isOpen ? new Noted(true, `as ${key} of the old server was: close it`) : undefined,
  };
}

function listText(field: Field | null): string {
  return listOf(field?.value ?? null)
    .map((value) => rangeOf(value) ?? '')
    .join(', ');
}

function reportSubmit({ object, groups, name }: OldConnector, granted: Grants, report: Report): void {
  const field = fieldOf(object, 'PermissionGroups') ?? object;
  const listed = [...groups].join(', ') || 'None';
  const { anonymousSubmits, loginSubmits, accountsSubmit } = granted;
  const named = accountsSubmit.length > 0 ? 'users' : null;
  const who = anonymousSubmits ? 'anyone' : loginSubmits ? 'authenticated' : named;
  report.exact(field, `PermissionGroups of '${name}'`, listed, who === null ? 'connect: deny' : `submit: ${who}`);
  for (const group of groups) {
    if (group === 'Partners') {
      const why =
        'a partner proves itself by certificate, which is not seen here: whoever comes from these ranges may write to accepted domains, and not as a sender of ours';
      report.cannotBeSaid(field, group, name, why);
    } else if (group === 'ExchangeServers' || group === 'ExchangeLegacyServers') {
      const why =
        'servers prove themselves with X-EXPS, which is not seen here: their addresses alone give them nothing; a connector for single addresses with allow: {} would trust those';
      report.stricter(field, group, name, '', why);
    } else if (GROUPS[group] === undefined)
      report.cannotBeSaid(
        field,
        'PermissionGroups',
        group,
        'no permission group of that name is known: it gives nothing',
      );
  }
}

function rulesOf(old: OldConnector, granted: Grants, around: Surroundings, report: Report): WrittenBlock[] {
  const { name, object, groups } = old;
  const field = fieldOf(object, 'PermissionGroups') ?? object;
  const setting = `who may relay through '${name}'`;
  if (!around.isKnown) {
    const why =
      fieldOf(object, 'Enabled') === null
        ? 'not known without Enabled, since nobody may through one that is switched off: Get-ReceiveConnector | Export-Clixml connectors.xml tells it'
        : 'not known without its entries of Get-ADPermission: nobody may. Get-ReceiveConnector | Get-ADPermission | Export-Clixml rights.xml tells it';
    report.loud(field, setting, [...groups].join(', '), 'cannot be said', '', why);
    return [];
  }
  const rules: WrittenBlock[] = [];
  const isOne = (who: string): boolean =>
    around.mailboxes.some(({ login, principalName }) => isSame(login, who) || isSame(principalName, who));
  const opens = granted.anonymousRelays && isWorld(old.ranges) && !around.keepOpen;
  const needsNoLogin = granted.anonymousRelays && !opens;
  // Where nobody needs a login to relay, a denial for a group changes nothing: its members come without one.
  const denied = granted.accountsDenied.filter((who) => isOne(who) || (needsNoLogin && !looksLikeGroup(who)));
  const deniedGroups = granted.accountsDenied.filter((who) => !denied.includes(who));
  for (const who of granted.accountsDenied) {
    const [entry] = around.rights.accounts.get(who) ?? [];
    const isGroup = !denied.includes(who);
    const why = needsNoLogin
      ? 'who comes from these ranges relays without a login all the same, as there'
      : isGroup
        ? 'it may be a group, and whoever is in it is not told: nobody relays here by login. If it is one account, give its mailbox too (Get-Mailbox)'
        : 'an account with a mailbox';
    report.loud(
      entry ?? field,
      `${setting}: denied`,
      who,
      isGroup ? (needsNoLogin ? 'cannot be said' : 'stricter') : 'exact',
      isGroup ? '' : 'rule denied',
      why,
    );
  }
  for (const who of granted.accountsRelayInVain) {
    const why =
      'it may relay, and has no ms-Exch-SMTP-Submit: once logged in it was told that it has no permission to submit';
    report.loud(around.rights.accounts.get(who)?.[0] ?? field, setting, who, 'exact', '', why);
  }
  if (denied.length > 0) rules.push({ name: 'denied', deny: { users: denied } });
  if (opens) {
    const why = 'anybody on the Internet, to anywhere: an open relay. Left out; name the clients that need it';
    report.loud(field, setting, 'anonymous', 'stricter', '', why);
  } else if (granted.anonymousRelays) {
    report.exact(
      field,
      setting,
      old.mechanisms.has('ExternalAuthoritative') ? 'externally secured' : 'anonymous',
      'rule accept-any-recipient',
    );
    rules.push({ name: 'accept-any-recipient', allow: {} });
    return rules;
  }
  if (granted.loginRelays && deniedGroups.length === 0) {
    report.exact(field, setting, 'who logs in', 'rule exchange-users');
    rules.push({ name: 'exchange-users', allow: { authenticated: true } });
  } else if (granted.accountsRelay.length > 0) {
    report.exact(
      around.rights.accounts.get(granted.accountsRelay[0] as string)?.[0] ?? field,
      setting,
      granted.accountsRelay.join(', '),
      'rule accounts',
      'each taken for one account: if it is a group, name its members',
    );
    rules.push({ name: 'accounts', allow: { users: granted.accountsRelay } });
  } else if (rules.length === 0) report.exact(field, setting, 'nobody', 'no rule');
  return rules;
}

function isSame(one: string | null, other: string): boolean {
  return one?.toLowerCase() === other.toLowerCase();
}

function sendersOf(
  old: OldConnector,
  granted: Grants,
  { rights, mailboxes }: Surroundings,
  report: Report,
): WrittenBlock | undefined {
  const field = fieldOf(old.object, 'PermissionGroups') ?? old.object;
  const anonymous = old.mechanisms.has('ExternalAuthoritative') ? 'external' : 'anonymous';
  const mayOwn = rights.has(anonymous, 'ownDomains') || !granted.anonymousSubmits;
  const own_domains = mayOwn ? undefined : granted.loginSubmits ? 'authenticated' : 'deny';
  const setting = `ms-Exch-SMTP-Accept-Authoritative-Domain-Sender of '${old.name}'`;
  if (!mayOwn) report.exact(field, setting, 'not for the anonymous', `senders.own_domains: ${own_domains}`);
  const asOwner = granted.loginSubmits && !rights.has('authenticated', 'anySender');
  if (asOwner && mailboxes.length === 0) {
    const why =
      'which addresses a login owns stands in its mailbox (Get-Mailbox with Login, UserPrincipalName, EmailAddresses): the server behind goes on looking';
    report.cannotBeSaid(field, `ms-Exch-SMTP-Accept-Any-Sender of '${old.name}'`, 'not for logins', why);
  }
  if (!asOwner || mailboxes.length === 0) return own_domains === undefined ? undefined : { own_domains };
  const login_must_match = Object.fromEntries(mailboxes.map(({ login, addresses }) => [login, addresses]));
  report.exact(field, `ms-Exch-SMTP-Accept-Any-Sender of '${old.name}'`, 'not for logins', 'senders.login_must_match');
  return { own_domains, login_must_match, others: 'deny' };
}

function dialogueOf({ object, mechanisms, name }: OldConnector, report: Report): WrittenBlock {
  const field = fieldOf(object, 'AuthMechanism');
  const flag = (key: string): boolean | null => flagOf(fieldOf(object, key)?.value ?? null);
  const logins = mechanisms.has('Integrated') || mechanisms.has('BasicAuth');
  const inTls = mechanisms.has('BasicAuthRequireTLS') && !mechanisms.has('Integrated');
  const auth = field === null ? undefined : !logins ? 'hide' : inTls ? 'require_tls' : undefined;
  if (field !== null)
    report.exact(field, `AuthMechanism of '${name}'`, [...mechanisms].join(', ') || 'None', `auth: ${auth ?? 'offer'}`);
  for (const one of mechanisms)
    if (MECHANISMS[one] === undefined)
      report.cannotBeSaid(field ?? object, 'AuthMechanism', one, 'no mechanism of that name is known');
  const requireTls = fieldOf(object, 'RequireTLS');
  const require_tls = flag('RequireTLS') === true ? true : undefined;
  if (require_tls === true) report.exact(requireTls as Field, 'RequireTLS', 'True', 'require_tls');
  if (requireTls === null)
    report.cannotBeSaid(object, `RequireTLS of '${name}'`, '', 'not in the export: taken as False');
  const isTls = mechanisms.has('Tls');
  const needsTls = require_tls === true || auth === 'require_tls';
  const starttls = needsTls
    ? new Noted('terminate', 'with a certificate of the listener')
    : new Noted('hide', 'terminate, once the listener has a certificate');
  if (isTls && !needsTls)
    report.stricter(field ?? object, `STARTTLS of '${name}'`, 'Tls', 'starttls: hide', starttls.comment);
  return { auth, require_tls, starttls: isTls || needsTls ? starttls : 'hide' };
}
