// Which of an export's objects are what: receive connectors, accepted domains, entries of access control lists, mailboxes,
// the organisation's transport settings. What is none of these is told and left out.

import { type Entry, entryOf } from './exchange-rights.ts';
import { isTypeName, listOf, textOf } from './exchange-values.ts';
import { type Exported, fieldOf } from './exported.ts';
import type { Report } from './imported.ts';

export interface Mailbox {
  /** `CORP\alice`, or the user principal name. */
  readonly login: string;
  readonly principalName: string | null;
  readonly addresses: readonly string[];
}

export interface ExchangeObjects {
  readonly connectors: Exported[];
  readonly domains: Exported[];
  readonly transport: Exported[];
  readonly entries: Entry[];
  readonly mailboxes: Mailbox[];
}

export function sortObjects(objects: readonly Exported[], report: Report): ExchangeObjects {
  const sorted: ExchangeObjects = { connectors: [], domains: [], transport: [], entries: [], mailboxes: [] };
  for (const object of objects) {
    const has = (...names: string[]): boolean => names.every((name) => object.fields.has(name.toLowerCase()));
    if (object.types.some((type) => type.includes('PowerShell.Commands.Internal.Format')))
      report.fault(object, 'it went through Format-List or Format-Table before it was exported: leave that out');
    else if (has('RemoteIPRanges') || has('Bindings') || has('PermissionGroups')) addConnector(object, sorted, report);
    else if (has('DomainName', 'DomainType')) sorted.domains.push(object);
    else if (has('User') && (has('ExtendedRights') || has('AccessRights') || has('Deny')))
      addEntry(object, sorted, report);
    else if (has('EmailAddresses')) addMailbox(object, sorted, report);
    else if (has('MaxReceiveSize')) sorted.transport.push(object);
    else
      report.cannotBeSaid(
        object,
        nameOf(object),
        textOf(object) ?? '',
        'nothing is known of such an object: it is left out',
      );
  }
  return sorted;
}

function nameOf({ types, fields }: Exported): string {
  return (
    types[0]?.replace(/^(Deserialized\.|Selected\.)*.*\./, '') ??
    [...fields.values()]
      .slice(0, 3)
      .map(({ name }) => name)
      .join(', ')
  );
}

const LISTS = ['RemoteIPRanges', 'Bindings'];

function addConnector(object: Exported, { connectors }: ExchangeObjects, report: Report): void {
  for (const name of LISTS) {
    const field = fieldOf(object, name);
    if (field === null || listOf(field.value).length === 0)
      report.fault(object, `a receive connector without ${name}: is the export cut off? ${RUN}`);
    else if (isTypeName(field.value)) {
      const why = `Export-Csv has written the name of a type in the place of ${name}, and its values are lost: ${RUN}`;
      report.fault(field, why);
    } else continue;
    return;
  }
  connectors.push(object);
}

const RUN = 'Get-ReceiveConnector | Export-Clixml connectors.xml gives all of it';

function addEntry(object: Exported, { entries }: ExchangeObjects, report: Report): void {
  const entry = entryOf(object);
  if (typeof entry === 'string') report.fault(object, entry);
  else entries.push(entry);
}

function addMailbox(object: Exported, { mailboxes }: ExchangeObjects, report: Report): void {
  const text = (name: string): string | null => textOf(fieldOf(object, name)?.value ?? null);
  const principalName = text('UserPrincipalName');
  const login = text('Login') ?? principalName;
  const addresses = fieldOf(object, 'EmailAddresses');
  const wrong =
    addresses !== null && isTypeName(addresses.value)
      ? 'Export-Csv has written the name of a type in the place of EmailAddresses: use Export-Clixml'
      : 'a mailbox without Login or UserPrincipalName: whose addresses these are is not said';
  if (login === null || wrong.startsWith('Export-Csv')) {
    report.fault(addresses ?? object, wrong);
    return;
  }
  const written = listOf(addresses?.value ?? null).map((one) => textOf(one) ?? '');
  const smtp = written.filter((one) => /^(smtp:)?[^:]+@/i.test(one)).map((one) => one.replace(/^smtp:/i, ''));
  mailboxes.push({ login, principalName, addresses: smtp });
}

/** What the NetBIOS domain of logins is called in addresses, where every mailbox says the same. */
export function userDomainsOf(mailboxes: readonly Mailbox[]): Readonly<Record<string, string>> {
  const domains = new Map<string, string | null>();
  for (const { login, principalName } of mailboxes) {
    const [, windows, user] = /^([^\\]+)\\(.+)$/.exec(login) ?? [];
    const [, name, mail] = /^(.+)@([^@]+)$/.exec(principalName ?? '') ?? [];
    if (windows === undefined || mail === undefined) continue;
    const agrees =
      user?.toLowerCase() === name?.toLowerCase() && [undefined, mail].includes(domains.get(windows) ?? undefined);
    domains.set(windows, agrees && domains.get(windows) !== null ? mail : null);
  }
  return Object.fromEntries([...domains].filter((pair): pair is [string, string] => pair[1] !== null));
}
