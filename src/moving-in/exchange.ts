// Exchange 2007 to 2019: what Get-ReceiveConnector, Get-AcceptedDomain, Get-ADPermission, Get-TransportConfig and Get-Mailbox
// gave out, in any form that PowerShell writes, together.

import { isClixml, parseClixml } from './clixml.ts';
import { isCsv, parseCsv } from './csv.ts';
import { casesOf } from './exchange-cases.ts';
import { grantsOf, isWorld, type OldConnector, readConnector, writeConnector } from './exchange-connector.ts';
import { importDomains } from './exchange-domains.ts';
import { type ExchangeObjects, sortObjects, userDomainsOf } from './exchange-objects.ts';
import { ConnectorRights, type Entry } from './exchange-rights.ts';
import { sizeOf, textOf } from './exchange-values.ts';
import { type Exported, fieldOf } from './exported.ts';
import { isFormatList, isFormatTable, parseFormatList } from './format-list.ts';
import type { Fault, Given, Imported, Report } from './imported.ts';
import { type InputFile, unfinished } from './input-file.ts';
import { isJson, parseJson } from './json.ts';
import type { Kind, KnownFile, System } from './system.ts';

const CLIXML: Kind = {
  name: 'clixml',
  what: 'what Export-Clixml writes',
  recognises: ({ text }) => isClixml(text),
};

const JSON_KIND: Kind = { name: 'json', what: 'what ConvertTo-Json writes', recognises: ({ text }) => isJson(text) };

const CSV: Kind = {
  name: 'csv',
  what: 'what Export-Csv writes',
  hasNoEnd: true,
  recognises: ({ text }) => isCsv(text),
};

const FORMAT_LIST: Kind = {
  name: 'format-list',
  what: 'the text of Format-List',
  hasNoEnd: true,
  recognises: ({ text }) => isFormatList(text) || isFormatTable(text),
  instead: ({ text }) =>
    isFormatTable(text) && !isFormatList(text)
      ? 'a table of PowerShell has its values cut off: use Export-Clixml FILE, or Format-List, in its place'
      : null,
};

const PARSERS = new Map<Kind, (file: InputFile) => readonly Exported[] | Fault>([
  [CLIXML, parseClixml],
  [JSON_KIND, parseJson],
  [CSV, parseCsv],
  [FORMAT_LIST, parseFormatList],
]);

export const EXCHANGE: System = {
  name: 'Exchange 2007 to 2019',
  kinds: [...PARSERS.keys()],
  read,
};

function read(files: readonly KnownFile[], given: Given, report: Report): Omit<Imported, 'report' | 'faults'> {
  const objects = sortObjects(
    files.flatMap(({ kind, file }) => parsed(kind, file, report)),
    report,
  );
  checkWhole(objects, files, report);
  const domains = importDomains(objects.domains, given, report);
  const connectors = objects.connectors.map((object) => readConnector(object, report)).filter((old) => old !== null);
  const bindings = bindingsOf(connectors);
  reportStrayEntries(objects, connectors, report);
  reportTransport(objects.transport, report);
  reportFiltered(objects.entries, report);
  const around = connectors.map((old) => {
    const entries = entriesOf(old, objects.entries);
    return {
      old,
      isKnown: entries.length > 0 && fieldOf(old.object, 'Enabled') !== null,
      rights: new ConnectorRights(old.groups, entries),
      keepOpen: given.keepOpen,
      mailboxes: objects.mailboxes,
      bindings: bindings.get(old) ?? [],
    };
  });
  const userDomains = userDomainsOf(objects.mailboxes);
  const asked = around.map((one) => {
    const granted = grantsOf(one.old, one.rights, one.isKnown);
    // An open relay is not carried over, and its case says so.
    const isClosed = isWorld(one.old.ranges) && !given.keepOpen;
    return { ...one, granted: { ...granted, anonymousRelays: granted.anonymousRelays && !isClosed } };
  });
  return {
    system: EXCHANGE.name,
    policy: {
      version: 1,
      accepted_domains: domains.accepted,
      relay_domains: domains.relay.length === 0 ? undefined : domains.relay,
      valid_recipients: given.validRecipients === null ? undefined : { file: given.validRecipients },
      user_domains: Object.keys(userDomains).length === 0 ? undefined : userDomains,
      connectors: around.map((one) => writeConnector(one.old, one, report)),
    },
    cases: casesOf(asked, domains.example),
  };
}

function parsed(kind: Kind, file: InputFile, report: Report): readonly Exported[] {
  const isText = kind === CSV || kind === FORMAT_LIST;
  const objects = (isText ? unfinished(file) : null) ?? PARSERS.get(kind)?.(file) ?? [];
  if (Array.isArray(objects)) {
    if (objects.length === 0) report.fault(file.place(), 'no object is in it');
    return objects;
  }
  const fault = objects as Fault;
  report.fault(fault, fault.message);
  return [];
}

/** What must be there, and once. */
function checkWhole({ connectors }: ExchangeObjects, files: readonly KnownFile[], report: Report): void {
  if (report.faults.length > 0) return;
  const place = (files[0] as KnownFile).file.place();
  if (connectors.length === 0)
    report.fault(
      place,
      'no receive connector is in it: Get-ReceiveConnector | Export-Clixml connectors.xml is needed first of all',
    );
  const servers = new Map<string, Exported>();
  const seen = new Map<string, Exported>();
  for (const object of connectors) {
    const server = textOf(fieldOf(object, 'Server')?.value ?? null);
    if (server !== null && !servers.has(server.toLowerCase())) servers.set(server.toLowerCase(), object);
    const identity =
      textOf(fieldOf(object, 'Identity')?.value ?? null) ?? textOf(fieldOf(object, 'Name')?.value ?? null) ?? '';
    const before = seen.get(identity.toLowerCase());
    if (before !== undefined)
      report.fault(object, `'${identity}' stands in ${before.file}:${before.line} already: give each connector once`);
    seen.set(identity.toLowerCase(), object);
  }
  const [, second] = [...servers.values()];
  if (second === undefined) return;
  const names = [...servers.keys()].join(', ');
  report.fault(
    second,
    `connectors of ${servers.size} servers (${names}): a policy is for one, Get-ReceiveConnector -Server NAME gives its own`,
  );
}

/** Connectors of port 25 alone have none, so that they answer wherever no other is bound. */
function bindingsOf(connectors: readonly OldConnector[]): ReadonlyMap<OldConnector, readonly string[]> {
  const onPort25 = connectors.filter(({ bindings }) => bindings.includes('*:25'));
  const isPlain = onPort25.every(({ bindings }) => bindings.length === 1);
  return new Map(connectors.map((old) => [old, isPlain && onPort25.includes(old) ? [] : old.bindings]));
}

function entriesOf({ object }: OldConnector, entries: readonly Entry[]): readonly Entry[] {
  return entries.filter(({ identity }) => isCalled(object, identity));
}

/** EX01\Relay, Relay, its distinguished name, or a path that ends in it. */
function isCalled(object: Exported, identity: string): boolean {
  const names = ['Identity', 'DistinguishedName', 'Guid', 'Name'].map((name) =>
    textOf(fieldOf(object, name)?.value ?? null),
  );
  const wanted = identity.toLowerCase();
  if (names.some((name) => name?.toLowerCase() === wanted)) return true;
  const [full, distinguished, , name] = names;
  if (full?.includes('\\') || distinguished !== null) return false;
  return name !== null && name !== undefined && wanted.endsWith(`\\${name.toLowerCase()}`);
}

/** The list of all entries has inherited ones in it: without them it was picked over, and often denials were left out. */
function reportFiltered(entries: readonly Entry[], report: Report): void {
  const [first] = entries;
  if (first === undefined || entries.some(({ deny, inherited }) => deny || inherited !== false)) return;
  const why =
    'not one is inherited, and none denies: was the list filtered? Whom something denies is not known then; Get-ReceiveConnector | Get-ADPermission | Export-Clixml rights.xml gives all of it';
  report.loud(first, 'Get-ADPermission', '', 'cannot be said', '', why);
}

/** Entries of connectors that are not there. One of this very server may answer some of the clients of a wider one: without it they
 * would be taken for that one's. */
function reportStrayEntries(
  { entries, connectors: all }: ExchangeObjects,
  connectors: readonly OldConnector[],
  report: Report,
): void {
  const stray = entries.filter(({ identity }) => !connectors.some(({ object }) => isCalled(object, identity)));
  const servers = new Set(all.map((object) => serverIn(textOf(fieldOf(object, 'Identity')?.value ?? null) ?? '')));
  for (const identity of new Set(stray.map((entry) => entry.identity))) {
    const entry = stray.find((one) => one.identity === identity) as Entry;
    const isOurs = identity.includes('\\') && servers.has(serverIn(identity));
    if (isOurs && !all.some((object) => isCalled(object, identity)))
      report.fault(entry, `'${identity}' is not among the connectors: is the file with those cut off?`);
    else
      report.cannotBeSaid(
        entry,
        'Get-ADPermission',
        identity,
        'no connector of this name was given, or it is switched off',
      );
  }
}

/** `EX01` of `EX01\Relay`. */
function serverIn(identity: string): string {
  return identity.replace(/\\.*$/, '').toLowerCase();
}

function reportTransport(transport: readonly Exported[], report: Report): void {
  for (const object of transport) {
    const field = fieldOf(object, 'MaxReceiveSize');
    if (field === null || sizeOf(field.value) === 'unlimited') continue;
    const why = 'a limit of the whole organisation: the server behind goes on keeping it';
    report.cannotBeSaid(field, 'MaxReceiveSize', textOf(field.value) ?? '', why);
  }
}
