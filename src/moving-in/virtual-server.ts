// An SMTP virtual server of Exchange 2000, 2003 or IIS: its settings by any of their names, read into what they mean.
//
// Names differ between the metabase, WMI and the directory, meanings do not. What is missing stays null: exchange-2000.ts
// decides what that is worth, which is never a right.

import type { Place } from '../policy/problem.ts';
import type { Entry } from './addresses.ts';
import type { Report } from './imported.ts';
import type { AccessList, Line, ServerLists } from './lists.ts';
import { octetsOf, readSecurityOctets } from './security-octets.ts';
import type { Setting, SettingsObject } from './settings-object.ts';

export interface VirtualServer {
  readonly name: string;
  readonly where: Place;
  /** `address:port`, `*:port`; empty: port 25 of every address. */
  readonly bindings: readonly string[];
  /** Null: everybody may connect. */
  readonly connection: AccessList | null;
  /** Null: nobody is on it. `unknown`: there is one, and who is on it is not known; `open`: all except nobody. */
  readonly relay: AccessList | 'unknown' | 'open' | null;
  readonly relayWhere: Place;
  /** "Allow all computers which successfully authenticate to relay"; null: not said. */
  readonly relayForLogins: boolean | null;
  readonly relayForLoginsWhere: Place;
  /** Null: not said. */
  readonly anonymous: boolean | null;
  readonly authWhere: Place;
  /** Kerberos may be what somebody logs in with: its names cannot be seen. */
  readonly kerberos: boolean;
  readonly restricted: boolean;
  readonly requireTls: boolean;
  readonly relayUsers: readonly Line[] | null;
  readonly submitUsers: readonly Line[] | null;
  readonly limits: {
    readonly recipients: number | null;
    readonly connections: number | null;
    readonly size: number | null;
  };
}

const NAMES = {
  relay: ['RelayIpList', 'msExchSmtpRelayIpList'],
  connection: ['IPSecurity', 'msExchIPSecurity', 'msExchSmtpIPSecurity'],
  relayForLogins: ['RelayForAuth', 'msExchSmtpRelayForAuth'],
  disableRelay: ['SmtpDisableRelay', 'msExchSmtpDisableRelay'],
  auth: ['AuthFlags', 'msExchAuthenticationFlags'],
  providers: ['NTAuthenticationProviders', 'msExchNTAuthenticationProviders'],
  bindings: ['ServerBindings', 'msExchServerBindings'],
  secureBindings: ['SecureBindings', 'msExchSecureBindings'],
  restricted: ['SmtpIpRestrictionFlag', 'msExchSmtpIpRestrictionFlag'],
  ssl: ['AccessSSLFlags', 'msExchAccessSSLFlags'],
  recipients: ['MaxRecipients', 'msExchSmtpMaxRecipients'],
  connections: ['MaxConnections', 'msExchSmtpMaxIncomingConnections', 'msExchMaxIncomingConnections'],
  size: ['MaxMessageSize', 'msExchSmtpMaxMessageSize'],
} as const;

export function virtualServerOf(
  object: SettingsObject,
  name: string,
  lists: ServerLists,
  report: Report,
): VirtualServer {
  const whereOf = (names: readonly string[]): Place => object.get(...names)?.where ?? object.where;
  const fromLists = readingOf(lists);
  const relay = relayOf(object, name, lists, report);
  const auth = authOf(object, report);
  const disabled = object.number(...NAMES.disableRelay);
  if (disabled !== null && disabled !== 0)
    report.cannotBeSaid(
      whereOf(NAMES.disableRelay),
      `virtual server ${name}: SmtpDisableRelay`,
      String(disabled),
      'Microsoft does not say what it forbids, so that the relay list is left out',
    );
  const number = object.number(...NAMES.relayForLogins);
  // -1 is true for Visual Basic, and may be written as the 32 bits that it is.
  const flag = number === null || ![0, 1, -1, 0xffffffff].includes(number) ? null : number;
  if (flag === null && object.get(...NAMES.relayForLogins) !== null)
    report.cannotBeSaid(
      whereOf(NAMES.relayForLogins),
      `virtual server ${name}: RelayForAuth`,
      object.text(...NAMES.relayForLogins) ?? '',
      'neither 0 nor 1 nor -1: taken as not ticked',
    );
  return {
    name,
    where: object.where,
    bindings: bindingsOf(object, name, lists, report),
    connection: connectionOf(object, name, lists, report),
    relay: disabled !== null && disabled !== 0 ? 'unknown' : relay,
    relayWhere: lists.relay?.where ?? whereOf(NAMES.relay),
    relayForLogins: fromLists.relayForLogins ?? (flag === null ? null : flag !== 0),
    relayForLoginsWhere: lists.relayForLogins?.where ?? whereOf(NAMES.relayForLogins),
    anonymous: fromLists.anonymous ?? (auth === null ? null : (auth & 1) !== 0),
    authWhere: lists.anonymous?.where ?? whereOf(NAMES.auth),
    kerberos:
      auth !== null && (auth & 4) !== 0 && /gssapi|negotiate|kerberos/i.test(valuesOf(object.get(...NAMES.providers))),
    restricted: fromLists.restricted ?? object.number(...NAMES.restricted) === 1,
    requireTls:
      ((object.number(...NAMES.ssl) ?? 0) & 8) !== 0 || /AccessSSL(\s|\||$)/i.test(object.text(...NAMES.ssl) ?? ''),
    relayUsers: lists.relayUsers ?? null,
    submitUsers: lists.submitUsers ?? null,
    limits: {
      recipients: limitOf(object.number(...NAMES.recipients)),
      connections: limitOf(object.number(...NAMES.connections)),
      size: limitOf(object.number(...NAMES.size)),
    },
  };
}

function readingOf({ relayForLogins, anonymous, restricted }: ServerLists) {
  return { relayForLogins: relayForLogins?.value, anonymous: anonymous?.value, restricted: restricted?.value };
}

const UNLIMITED = 2_000_000_000; // KB 321757, and what the dialogs write for a limit that is not ticked

function limitOf(value: number | null): number | null {
  return value === null || value <= 0 || value >= UNLIMITED ? null : value;
}

function valuesOf(setting: Setting | null): string {
  return (setting?.values ?? []).filter((value) => typeof value === 'string').join(' ');
}

/** 1 anonymous, 2 basic, 4 integrated. */
function authOf(object: SettingsObject, report: Report): number | null {
  const number = object.number(...NAMES.auth);
  if (number !== null) return number;
  const setting = object.get(...NAMES.auth);
  if (setting === null) {
    const flags = (['AuthAnonymous', 'AuthBasic', 'AuthNTLM'] as const).map((name) => object.number(name));
    return flags[0] === null ? null : flags.reduce<number>((sum, flag, i) => sum | (flag ? 1 << i : 0), 0);
  }
  const words: Readonly<Record<string, number>> = { authanonymous: 1, authbasic: 2, authntlm: 4 };
  const found = valuesOf(setting)
    .toLowerCase()
    .split(/[\s|,]+/)
    .filter((word) => word !== '');
  const unknown = found.find((word) => words[word] === undefined);
  if (unknown !== undefined)
    report.cannotBeSaid(setting.where, setting.name, valuesOf(setting), `'${unknown}' is not known`);
  return found.reduce((sum, word) => sum | (words[word] ?? 0), 0);
}

function relayOf(object: SettingsObject, name: string, lists: ServerLists, report: Report): VirtualServer['relay'] {
  const read = accessOf(object, NAMES.relay, `virtual server ${name}: relay list`, lists.relay, report);
  // All except nobody, or only nobody: which of them it is, the octets do not tell. Salt's note says the first.
  if (read === 'empty') return 'open';
  if (read === null || read === 'unknown') return read;
  if (read.hasHiddenNames)
    report.cannotBeSaid(
      read.list.where,
      `virtual server ${name}: relay list`,
      'names in DNS',
      'how they are kept is not known: add them in a file of lists',
    );
  if (read.hasHiddenNames && read.list.mode === 'except') return 'unknown';
  return read.list.mode === 'except' && read.list.entries.length === 0 ? 'open' : read.list;
}

function connectionOf(object: SettingsObject, name: string, lists: ServerLists, report: Report): AccessList | null {
  const read = accessOf(
    object,
    NAMES.connection,
    `virtual server ${name}: connection control`,
    lists.connection,
    report,
  );
  if (read === null || read === 'unknown' || read === 'empty') return null;
  if (read.hasHiddenNames && read.list.mode === 'except')
    report.fault(
      read.list.where,
      `virtual server ${name}: connection control denies names in DNS, and how they are kept is not known; a denial cannot be left out: write them under [connection: all except the list below] in a file of lists`,
    );
  return read.list;
}

interface Read {
  readonly list: AccessList;
  /** Names in DNS, of which only the number can be told. */
  readonly hasHiddenNames: boolean;
}

/** What the octets say, and what a file of lists adds: names, which octets do not tell, or all. Null: there is none. */
function accessOf(
  object: SettingsObject,
  names: readonly string[],
  what: string,
  listed: AccessList | undefined,
  report: Report,
): Read | 'empty' | 'unknown' | null {
  const setting = object.get(...names);
  const read = setting === null ? null : securityOf(setting, report);
  if (listed === undefined) return setting !== null && read === null ? 'unknown' : read;
  if (setting === null) return { list: listed, hasHiddenNames: false };
  const isMore = read !== null && read !== 'empty' && read.list.mode === listed.mode;
  if (isMore && listed.entries.every(({ address }) => 'name' in address))
    return { list: { ...read.list, entries: [...read.list.entries, ...listed.entries] }, hasHiddenNames: false };
  const { file, line } = setting.where;
  report.fault(
    listed.where,
    `${what}: there is one in ${file}:${line} already; only names in DNS may be added to it, under the same heading as there`,
  );
  return null;
}

/** Null: it cannot be read; that was said. */
function securityOf(setting: Setting, report: Report): Read | 'empty' | null {
  const { name, where, values } = setting;
  const [value = ''] = values;
  const octets = typeof value === 'string' ? octetsOf(value) : value;
  if (octets === null) {
    report.fault(where, `${name} is neither hexadecimal digits nor base64: is it cut off?`);
    return null;
  }
  if (octets.length === 0) return 'empty';
  const read = readSecurityOctets(octets);
  if (typeof read === 'string') {
    report.fault(where, `${name}: ${read}`);
    return null;
  }
  const { granted, denied, hasGrantedNames, hasDeniedNames } = read;
  const grants = granted.length > 0 || hasGrantedNames;
  const denies = denied.length > 0 || hasDeniedNames;
  if (!grants && !denies) return 'empty';
  if (grants && denies)
    report.stricter(
      where,
      name,
      `${granted.length} granted, ${denied.length} denied`,
      'those that are granted',
      'only one of the lists is alive, and which is not known',
    );
  if (grants && hasGrantedNames)
    report.cannotBeSaid(where, name, 'names in DNS', 'how they are kept is not known: list them in a file of lists');
  const mode = grants ? 'only' : 'except';
  const entries = (grants ? granted : denied).map(
    ({ net, mask }): Entry => ({ address: { net, mask }, written: masked(net, mask), where }),
  );
  return { list: { mode, entries, where }, hasHiddenNames: grants ? hasGrantedNames : hasDeniedNames };
}

function masked(net: number, mask: number): string {
  return [net, mask].map((ip) => [24, 16, 8, 0].map((bits) => (ip >>> bits) & 255).join('.')).join(', ');
}

/** `address:port:host`. */
function bindingsOf(object: SettingsObject, name: string, lists: ServerLists, report: Report): string[] {
  const bindings: { address: string; port: string }[] = [];
  const take = (text: string, where: Place): void => {
    const match = /^(\*|[0-9.]*|\[[0-9a-f:]+\]):([0-9]{1,5}):?[^:]*$/i.exec(text);
    if (match === null)
      report.fault(where, `'${text}' is no binding: ADDRESS:PORT: is wanted, as :25: or 192.0.2.25:25:`);
    else bindings.push({ address: match[1] === '*' ? '' : (match[1] as string), port: match[2] as string });
  };
  for (const { text, where } of lists.bindings ?? []) take(text, where);
  for (const names of [NAMES.bindings, NAMES.secureBindings]) {
    const setting = lists.bindings === undefined ? object.get(...names) : null;
    if (setting !== null)
      for (const text of valuesOf(setting).split(/[\s,]+/)) if (text !== '') take(text, setting.where);
  }
  if (bindings.every(({ address, port }) => address === '' && port === '25')) return [];
  const where = object.get(...NAMES.bindings)?.where ?? lists.bindings?.[0]?.where ?? object.where;
  const written = [...new Set(bindings.map(({ address, port }) => `${address === '' ? '*' : address}:${port}`))];
  report.exact(
    where,
    `virtual server ${name}: bindings`,
    written.join(', '),
    'bindings',
    "these are the old server's addresses: write Postern's own where it has others",
  );
  return written;
}

/** What says that it was stopped: then it relayed for nobody. ServerState is 4, or it does not start by itself. */
export function stopOf(object: SettingsObject): Setting | null {
  const isStopped = object.number('ServerState') === 4;
  const isOff = object.number(...AUTOSTART) === 0;
  return isStopped ? object.get('ServerState') : isOff ? object.get(...AUTOSTART) : null;
}

const AUTOSTART = ['ServerAutoStart', 'msExchServerAutoStart'];

/** The settings that were read here, of which nothing needs to be said again. */
export function settingsWithoutMeaning(object: SettingsObject): readonly Setting[] {
  object.get(...HOUSEKEEPING);
  for (const names of Object.values(NAMES)) object.get(...names);
  return object.others();
}

/** Of every object, and of none of the settings. */
const HOUSEKEEPING = [
  ...[
    'objectClass',
    'objectCategory',
    'objectGUID',
    'cn',
    'name',
    'distinguishedName',
    'adminDisplayName',
    'instanceType',
  ],
  ...['whenCreated', 'whenChanged', 'uSNCreated', 'uSNChanged', 'showInAdvancedViewOnly', 'systemFlags', 'KeyType'],
];
