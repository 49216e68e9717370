// Exchange 2010, as far as relaying goes: receive connectors with their permission groups and rights, what the administrator
// exports of them (Export-Clixml), and what their sessions may do, for the log.
//
// The binding and the most specific remote range choose a connector, and it applies whole. Rights come from the permission
// groups of who the client is, and from entries that somebody added for anonymous clients.

import { asClixml, type PlainObject } from './clixml.ts';
import type { Caller, House, Journal } from './house.ts';
import type { SessionFacts } from './receive-log.ts';
import { EXCHANGE_2010 } from './tongues.ts';

const SERVER = 'EX10';

export interface ReceiveConnector {
  readonly name: string;
  readonly port: number;
  /** Empty: everybody. Single addresses, or `first-last` within one /24. */
  readonly ranges: readonly string[];
  readonly groups: readonly ('AnonymousUsers' | 'ExchangeUsers')[];
  /** Add-ADPermission for ANONYMOUS LOGON, ms-Exch-SMTP-Accept-Any-Recipient: whoever comes relays. */
  readonly anonymousRelay: boolean;
}

/** As it stood open: the right to relay was given to anonymous clients of the connector for the whole world. */
export const OPEN: readonly ReceiveConnector[] = [
  {
    name: 'Default EX10',
    port: 25,
    ranges: [],
    groups: ['AnonymousUsers', 'ExchangeUsers'],
    anonymousRelay: true,
  },
  { name: 'Client EX10', port: 587, ranges: [], groups: ['ExchangeUsers'], anonymousRelay: false },
  {
    name: 'Scanner Relay',
    port: 25,
    ranges: ['192.168.1.100-192.168.1.101'],
    groups: ['AnonymousUsers'],
    anonymousRelay: true,
  },
];

/** The right taken away again, and two connectors for Postern: one that the world comes to by way of it, one for devices. */
export function closedFor(postern: string): readonly ReceiveConnector[] {
  const [world, ...others] = OPEN;
  return [...(world === undefined ? [] : [{ ...world, anonymousRelay: false }]), ...others, ...doorsFor(postern)];
}

export function doorsFor(postern: string): readonly ReceiveConnector[] {
  const groups = ['AnonymousUsers', 'ExchangeUsers'] as const;
  return [
    { name: 'From Postern', port: 25, ranges: [postern], groups, anonymousRelay: false },
    {
      name: 'Devices through Postern',
      port: 2525,
      ranges: [postern],
      groups: ['AnonymousUsers'],
      anonymousRelay: true,
    },
  ];
}

const ANONYMOUS = ['SMTPSubmit', 'SMTPAcceptAnySender', 'SMTPAcceptAuthoritativeDomainSender', 'AcceptRoutingHeaders'];
const USERS = ['SMTPSubmit', 'SMTPAcceptAnyRecipient', 'BypassAntiSpam', 'AcceptRoutingHeaders'];
const RELAY = 'SMTPAcceptAnyRecipient';

export function factsIn(connectors: readonly ReceiveConnector[]): SessionFacts {
  return (caller) => {
    const connector = connectorFor(caller, connectors);
    return {
      connector: `${SERVER}\\${connector?.name ?? 'none'}`,
      rights: connector === null ? [] : rightsOf(caller, connector),
    };
  };
}

function rightsOf({ login }: Caller, { groups, anonymousRelay }: ReceiveConnector): string[] {
  if (login !== null) return groups.includes('ExchangeUsers') ? USERS : [];
  return [...(groups.includes('AnonymousUsers') ? ANONYMOUS : []), ...(anonymousRelay ? [RELAY] : [])];
}

function connectorFor(
  { address, localPort }: Caller,
  connectors: readonly ReceiveConnector[],
): ReceiveConnector | null {
  const here = connectors.filter(({ port }) => port === localPort);
  const named = here.find(({ ranges }) => ranges.some((range) => isIn(address, range)));
  return named ?? here.find(({ ranges }) => ranges.length === 0) ?? null;
}

function isIn(address: string, range: string): boolean {
  const [first = '', last = first] = range.split('-');
  const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return number(address) >= number(first) && number(address) <= number(last);
}

export function houseOf(
  connectors: readonly ReceiveConnector[],
  domains: readonly string[],
  accounts: ReadonlyMap<string, string>,
  journal: Journal,
): House {
  const factsOf = factsIn(connectors);
  return {
    tongue: EXCHANGE_2010,
    journal,
    hasAccount: (name, password) => accounts.get(name.toLowerCase()) === password,
    whyNotFrom: (caller) =>
      factsOf(caller).rights.includes('SMTPSubmit') ? null : '530 5.7.1 Client was not authenticated',
    whyNotTo: (caller, recipient) => {
      const domain = recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase();
      return domains.includes(domain) || factsOf(caller).rights.includes(RELAY) ? null : '550 5.7.1 Unable to relay';
    },
  };
}

const EVERYWHERE = ['::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '0.0.0.0-255.255.255.255'];
const GROUPS = { AnonymousUsers: 1, ExchangeUsers: 2 } as const;
const PRINCIPALS = {
  AnonymousUsers: 'NT AUTHORITY\\ANONYMOUS LOGON',
  ExchangeUsers: 'NT AUTHORITY\\Authenticated Users',
} as const;
const RIGHTS = {
  AnonymousUsers: [
    'ms-Exch-SMTP-Submit',
    'ms-Exch-SMTP-Accept-Any-Sender',
    'ms-Exch-SMTP-Accept-Authoritative-Domain-Sender',
    'ms-Exch-Accept-Headers-Routing',
  ],
  ExchangeUsers: [
    'ms-Exch-SMTP-Submit',
    'ms-Exch-SMTP-Accept-Any-Recipient',
    'ms-Exch-Bypass-Anti-Spam',
    'ms-Exch-Accept-Headers-Routing',
  ],
} as const;

/** Get-ReceiveConnector | Export-Clixml. */
export function connectorsOf(connectors: readonly ReceiveConnector[]): string {
  return asClixml(
    connectors.map(({ name, port, ranges, groups }) => ({
      AuthMechanism: { names: 'Integrated, BasicAuth', number: 6 },
      Bindings: [`0.0.0.0:${port}`, `[::]:${port}`],
      Enabled: true,
      Fqdn: EXCHANGE_2010.name,
      MaxInboundConnection: 5000,
      MaxInboundConnectionPerSource: 'Unlimited',
      MaxInboundConnectionPercentagePerSource: 100,
      MaxLogonFailures: 3,
      MaxProtocolErrors: 5,
      MaxRecipientsPerMessage: 200,
      MaxMessageSize: '10 MB (10,485,760 bytes)',
      MessageRateLimit: 'Unlimited',
      PermissionGroups: { names: groups.join(', '), number: groups.reduce((sum, one) => sum | GROUPS[one], 0) },
      ProtocolLoggingLevel: { names: 'Verbose', number: 1 },
      RemoteIPRanges: ranges.length === 0 ? EVERYWHERE : ranges,
      RequireTLS: false,
      Server: SERVER,
      TarpitInterval: '00:00:00',
      Name: name,
      Identity: `${SERVER}\\${name}`,
    })),
  );
}

/** Get-ReceiveConnector | Get-ADPermission | Export-Clixml. */
export function rightsIn(connectors: readonly ReceiveConnector[]): string {
  const entry = (connector: string, User: string, ExtendedRights: readonly string[]): PlainObject => ({
    Identity: `${SERVER}\\${connector}`,
    User,
    Deny: false,
    IsInherited: false,
    ExtendedRights,
  });
  return asClixml(
    connectors.flatMap(({ name, groups, anonymousRelay }) => [
      ...groups.map((group) => entry(name, PRINCIPALS[group], RIGHTS[group])),
      ...(anonymousRelay ? [entry(name, PRINCIPALS.AnonymousUsers, ['ms-Exch-SMTP-Accept-Any-Recipient'])] : []),
      // As every connector has it from above.
      { ...entry(name, 'EXAMPLE\\Organization Management', ['Send-As']), Deny: true, IsInherited: true },
    ]),
  );
}

/** Get-AcceptedDomain | Export-Clixml. */
export function domainsOf(domains: readonly string[]): string {
  return asClixml(
    domains.map((DomainName) => ({ DomainName, DomainType: { names: 'Authoritative', number: 0 }, Name: DomainName })),
  );
}

/** Get-Mailbox | Export-Clixml. Here people log in with their address. */
export function mailboxesOf(addresses: readonly string[]): string {
  return asClixml(addresses.map((address) => ({ UserPrincipalName: address, EmailAddresses: [`SMTP:${address}`] })));
}
