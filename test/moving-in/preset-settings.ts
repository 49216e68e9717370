// The settings that the presets in policies/ state, as their systems keep them: written by us, with example names.
//
// What a preset says and no setting of its Exchange does stands in preset-edits.ts.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { acceptedDomain, entry, mailbox, receiveConnector } from './exchange-export.ts';
import { ldif, metabase, multi, type Net, registryExport, securityOctets } from './settings.ts';

export const POLICIES = join(import.meta.dirname, '../../policies');

export interface PresetSettings {
  readonly files: Readonly<Record<string, string | Buffer>>;
  readonly options: readonly string[];
}

const single = (address: string): Net => [address, '255.255.255.255'];

export const EXCHANGE_55: PresetSettings = {
  files: {
    'imc.reg': registryExport({
      RelayFlags: 'dword:0000000f',
      RelayDenyList: multi(['10.20.30.66', '10.20.60.199', '10.20.40.0;255.255.255.0']),
      RelayAllowList: multi(['10.20.30.17', '10.20.30.64;255.255.255.192', '10.20.50.0;255.255.255.123', '10.20.40.9']),
      RelayLocalIPList: multi(['10.20.60.1']),
    }),
    'lists.txt': [
      '[routing table]',
      'example.com;<inbound>',
      '#exact.example.org;<inbound>',
      'partner.example;mx.partner.example;always relay',
      '[connection: all except the list below]',
      '198.51.100.0;255.255.255.0',
      '[login must match]',
      'CORP\\steven steven@example.com',
    ]
      .map((line) => `${line}\n`)
      .join(''),
  },
  options: ['--inside', '10.20.60.128/25'],
};

/** A second Internet Mail Service, with nothing but NEVER ticked, for a network of ours. */
export const EXCHANGE_55_SECOND: PresetSettings = {
  files: { 'imc.reg': registryExport({ RelayFlags: 'dword:00000001', RelayDenyList: multi(['10.20.61.66']) }) },
  options: ['--inside', '10.20.61.0/24', '--accepted-domain', '*.example.com'],
};

const hex = (list: Parameters<typeof securityOctets>[0]): string => securityOctets(list).toString('hex');

export const EXCHANGE_2000: PresetSettings = {
  files: {
    'MetaBase.xml': metabase(
      {
        1: {
          ServerBindings: ':25:',
          AuthFlags: 'AuthAnonymous | AuthBasic | AuthNTLM',
          NTAuthenticationProviders: 'GSSAPI,NTLM',
          RelayForAuth: '-1',
          IPSecurity: hex({ denied: [['198.51.100.0', '255.255.255.0'], single('203.0.113.66')] }),
          RelayIpList: hex({
            granted: [
              single('10.20.30.17'),
              ['10.20.31.0', '255.255.255.0'],
              single('10.20.0.26'),
              single('10.20.0.27'),
            ],
          }),
        },
        2: {
          ServerBindings: '10.20.0.25:25:',
          AuthFlags: '7',
          RelayForAuth: '1',
          IPSecurity: hex({ granted: [['10.20.64.0', '255.255.192.0']] }),
          RelayIpList: hex({ denied: [['10.20.70.0', '255.255.255.0'], single('10.20.64.66')] }),
        },
        3: {
          ServerBindings: ':2525:',
          AuthFlags: 'AuthBasic | AuthNTLM',
          NTAuthenticationProviders: 'GSSAPI,NTLM',
          RelayForAuth: '-1',
        },
      },
      { '*.example.com': 16, 'merged-company.example': 4096 },
    ),
    'names.txt': [
      '[virtual server 1]',
      '[relay: only the list below]',
      '*.scanners.example.com',
      '[virtual server 3]',
      '[connection: all except the list below]',
      '*.dialup.example.net',
    ]
      .map((line) => `${line}\r\n`)
      .join(''),
  },
  options: [],
};

const virtualServer = (number: number) =>
  `CN=${number},CN=SMTP,CN=Protocols,CN=SERVER01,CN=Servers,CN=Exchange,DC=example,DC=com`;
const AUTH = {
  objectClass: ['top', 'protocolCfg', 'protocolCfgSMTPServer'],
  msExchAuthenticationFlags: '7',
  msExchSmtpRelayForAuth: '0',
};
const USERS = ['[relay users]', 'CORP\\alice', 'CORP\\bob'];

/** `match`: whom the file of lists ties to their addresses, which no setting of Exchange 2003 does. */
export function exchange2003(match: boolean): PresetSettings {
  return {
    files: {
      'servers.ldf': ldif([
        {
          dn: virtualServer(1),
          ...AUTH,
          msExchServerBindings: ':25:',
          msExchSmtpRelayIpList: securityOctets({
            granted: [
              single('10.20.30.17'),
              ['10.20.31.0', '255.255.255.0'],
              single('10.20.32.100'),
              single('10.20.32.101'),
            ],
          }),
        },
        {
          dn: virtualServer(2),
          ...AUTH,
          msExchServerBindings: '10.20.0.30:25:',
          msExchSmtpIpRestrictionFlag: '1',
          msExchIPSecurity: securityOctets({ granted: [['10.20.31.0', '255.255.255.0'], single('192.0.2.17')] }),
        },
        { dn: virtualServer(3), ...AUTH, msExchServerBindings: ':587:' },
        {
          dn: 'CN=Default Policy,CN=Recipient Policies,CN=Exchange,DC=example,DC=com',
          objectClass: ['top', 'msExchGenericPolicy', 'msExchRecipientPolicy'],
          gatewayProxy: ['SMTP:@example.com', 'smtp:@shared.example.com', 'X400:c=US;a= ;p=Example;o=Exchange;'],
          msExchNonAuthoritativeDomains: 'smtp:@shared.example.com',
        },
      ]),
      'lists.txt': [
        '[global deny list]',
        '198.51.100.0, 255.255.255.0',
        '203.0.113.66',
        '[global accept list]',
        '198.51.100.25',
        '[windows domains]',
        'CORP example.com',
        ...(match ? ['[login must match]', 'CORP\\steven steven@example.com, sales@example.com'] : []),
        '[virtual server 1]',
        '[relay: only the list below]',
        'printers.example.com',
        ...USERS,
        '[virtual server 2]',
        ...USERS,
        '[virtual server 3]',
        ...USERS,
        '[submit users]',
        'CORP\\alice',
        'CORP\\bob',
        'CORP\\carol',
        'CORP\\steven',
      ]
        .map((line) => `${line}\n`)
        .join(''),
    },
    options: [
      ...['--accepted-domain', '*.example.com'],
      ...['--valid-recipients', join(POLICIES, 'exchange-2003.recipients.txt')],
    ],
  };
}

const ANONYMOUS = 'NT AUTHORITY\\ANONYMOUS LOGON';
const SUBMIT = ['ms-Exch-SMTP-Submit'];
const RELAY = ['ms-Exch-SMTP-Accept-Any-Recipient'];
const OWN = ['ms-Exch-SMTP-Accept-Authoritative-Domain-Sender'];
const CLIENT = 'Tls, Integrated, BasicAuth, BasicAuthRequireTLS';
const PORT_587 = { Bindings: ['0.0.0.0:587', '[::]:587'], MessageRateLimit: 5 };

export const EXCHANGE_2007 = {
  connectors: [
    receiveConnector('Internet', CLIENT, 'AnonymousUsers'),
    receiveConnector(
      'Default EX01',
      'Tls, Integrated, BasicAuth, BasicAuthRequireTLS, ExchangeServer',
      'ExchangeUsers, ExchangeServers, ExchangeLegacyServers',
      {
        RemoteIPRanges: ['10.20.0.0/16'],
        MaxInboundConnectionPerSource: 'Unlimited',
        MaxInboundConnectionPercentagePerSource: 100,
        MaxRecipientsPerMessage: 5000,
      },
    ),
    receiveConnector('Client EX01', CLIENT, 'ExchangeUsers', PORT_587),
    receiveConnector('Partner', 'Tls', 'Partners', { RemoteIPRanges: ['198.51.100.10-198.51.100.19'] }),
    receiveConnector('Servers', 'Tls, ExternalAuthoritative', 'ExchangeServers', {
      RemoteIPRanges: ['10.20.0.26', '10.20.0.27'],
    }),
    receiveConnector('Anonymous relay', 'None', 'AnonymousUsers', { RemoteIPRanges: ['192.168.1.100-192.168.1.101'] }),
    receiveConnector('Externally secured', 'ExternalAuthoritative', 'ExchangeServers', {
      RemoteIPRanges: ['10.20.40.5'],
    }),
    receiveConnector('Guests', 'None', 'AnonymousUsers', { RemoteIPRanges: ['10.20.90.0/24'] }),
  ],
  domains: [acceptedDomain('*.example.com', 'Authoritative'), acceptedDomain('subsidiary.example', 'ExternalRelay')],
  rights: [entry('Anonymous relay', ANONYMOUS, RELAY), entry('Guests', ANONYMOUS, OWN, { Deny: true })],
  mailboxes: [
    mailbox('steven', ['steven@example.com', 'sales@example.com'], 'example.com'),
    mailbox('alice', ['alice@example.com'], 'example.com'),
  ],
};

const LIST = ['10.20.33.0/24', '10.20.34.7', '10.20.34.9-10.20.34.12', '2001:db8:20::25'];

export const EXCHANGE_2010 = {
  connectors: [
    receiveConnector('Default Frontend EX01', CLIENT, 'AnonymousUsers, ExchangeUsers'),
    receiveConnector('Client Frontend EX01', CLIENT, 'ExchangeUsers', {
      ...PORT_587,
      MessageRateSource: { names: 'User', number: 2 },
    }),
    receiveConnector('Relay', 'Tls', 'AnonymousUsers', { RemoteIPRanges: ['192.168.1.100-192.168.1.101', ...LIST] }),
    receiveConnector('Infected scanner', 'Tls', 'AnonymousUsers', { RemoteIPRanges: ['10.20.33.66'] }),
    receiveConnector('Externally secured', 'ExternalAuthoritative', 'ExchangeServers', {
      RemoteIPRanges: ['10.20.44.10/32'],
    }),
    receiveConnector('Suppliers', CLIENT, 'AnonymousUsers', { RemoteIPRanges: ['10.20.45.0/28'] }),
  ],
  domains: [acceptedDomain('*.example.com', 'Authoritative'), acceptedDomain('hosted.example', 'ExternalRelay')],
  rights: [
    entry('Default Frontend EX01', ANONYMOUS, OWN, { Deny: true }),
    entry('Default Frontend EX01', 'CORP\\kiosk', RELAY, { Deny: true }),
    entry('Relay', ANONYMOUS, RELAY),
    entry('Suppliers', 'CORP\\svc-erp', [...SUBMIT, ...RELAY]),
    entry('Suppliers', 'CORP\\svc-crm', [...SUBMIT, ...RELAY]),
  ],
  mailboxes: [
    mailbox('svc-erp', ['orders@example.com', 'invoices@example.com', 'svc-erp@example.com'], 'example.com'),
    mailbox('svc-crm', ['news@example.com', 'svc-crm@example.com'], 'example.com'),
    mailbox('alice', ['alice@example.com'], 'example.com'),
    mailbox('boss', ['boss@example.com'], 'example.com'),
    mailbox('kiosk', ['kiosk@example.com'], 'example.com'),
  ],
};

export function casesOf(preset: string): string {
  return readFileSync(join(POLICIES, `${preset}.cases`), 'utf8');
}
