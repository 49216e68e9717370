// The presets are policies written by hand. Here the same settings are stated as the old systems keep them, imported, and
// asked every case of the preset.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import {
  casesAgainst,
  importFiles,
  ldif,
  metabase,
  multi,
  type Net,
  registryExport,
  securityOctets,
} from './settings.ts';

const POLICIES = join(import.meta.dirname, '../../policies');

function casesOf(preset: string): string {
  return readFileSync(join(POLICIES, `${preset}.cases`), 'utf8');
}

const single = (address: string): Net => [address, '255.255.255.255'];
const DOORS = {
  RelayDenyList: multi(['10.20.30.66', '10.20.60.199', '10.20.40.0;255.255.255.0']),
  RelayAllowList: multi(['10.20.30.17', '10.20.30.64;255.255.255.192', '10.20.50.0;255.255.255.123', '10.20.40.9']),
  RelayLocalIPList: multi(['10.20.60.1']),
};

test('Exchange 5.5: both services of the preset, imported', async (t) => {
  const first = await importFiles(
    t,
    {
      'imc.reg': registryExport({ RelayFlags: 'dword:0000000f', ...DOORS }),
      'lists.txt': [
        '[routing table]',
        'example.com;<inbound>',
        '#exact.example.org;<inbound>',
        'partner.example;mx.partner.example;always relay',
        '[connection: all except the list below]',
        '198.51.100.0;255.255.255.0',
        '[login must match]',
        'CORP\\steven steven@example.com',
      ].join('\n'),
    },
    ...['--inside', '10.20.60.128/25'],
  );
  const second = await importFiles(
    t,
    { 'imc.reg': registryExport({ RelayFlags: 'dword:00000001', RelayDenyList: multi(['10.20.61.66']) }) },
    ...['--inside', '10.20.61.0/24', '--accepted-domain', '*.example.com'],
  );
  assert.equal(first.code, 0, first.said);
  assert.equal(second.code, 0, second.said);
  const policy = parse(first.yaml);
  // Which address a second service answers at stands in no export.
  const [service] = parse(second.yaml).connectors;
  policy.connectors.push({
    ...service,
    name: 'only-never',
    bindings: ['10.20.61.1:25'],
    remote_ip_ranges: ['10.20.61.0/24'],
  });
  assert.equal(await casesAgainst(first.folder, stringify(policy), casesOf('exchange-5.5')), '62 cases, 0 failed\n');
});

test('Exchange 2000: MetaBase.xml and the names that its octets do not tell', async (t) => {
  const hex = (list: Parameters<typeof securityOctets>[0]): string => securityOctets(list).toString('hex');
  const { code, said, yaml, folder } = await importFiles(t, {
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
    ].join('\r\n'),
  });
  assert.equal(code, 0, said);
  assert.equal(await casesAgainst(folder, yaml, casesOf('exchange-2000')), '52 cases, 0 failed\n');
});

test('Exchange 2003: ldifde, with users, filters and domains as lists', async (t) => {
  const server = (number: number) =>
    `CN=${number},CN=SMTP,CN=Protocols,CN=SERVER01,CN=Servers,CN=Exchange,DC=example,DC=com`;
  const auth = {
    objectClass: ['top', 'protocolCfg', 'protocolCfgSMTPServer'],
    msExchAuthenticationFlags: '7',
    msExchSmtpRelayForAuth: '0',
  };
  const recipients = join(POLICIES, 'exchange-2003.recipients.txt');
  const users = ['[relay users]', 'CORP\\alice', 'CORP\\bob'];
  const { code, said, yaml, folder } = await importFiles(
    t,
    {
      'servers.ldf': ldif([
        {
          dn: server(1),
          ...auth,
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
          dn: server(2),
          ...auth,
          msExchServerBindings: '10.20.0.30:25:',
          msExchSmtpIpRestrictionFlag: '1',
          msExchIPSecurity: securityOctets({ granted: [['10.20.31.0', '255.255.255.0'], single('192.0.2.17')] }),
        },
        { dn: server(3), ...auth, msExchServerBindings: ':587:' },
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
        '[login must match]',
        'CORP\\steven steven@example.com, sales@example.com',
        '[virtual server 1]',
        '[relay: only the list below]',
        'printers.example.com',
        ...users,
        '[virtual server 2]',
        ...users,
        '[virtual server 3]',
        ...users,
        '[submit users]',
        'CORP\\alice',
        'CORP\\bob',
        'CORP\\carol',
        'CORP\\steven',
      ].join('\n'),
    },
    ...['--accepted-domain', '*.example.com', '--valid-recipients', recipients],
  );
  assert.equal(code, 0, said);
  // What the preset adds, and no setting of Exchange 2003 says: own domains of senders are for the inside and for logins, and
  // who logs in at the clients' port sends as oneself.
  const cases = casesOf('exchange-2003').replace(
    /^refuse-sender {2}203\.0\.113\.7 (sender=user(@example\.com)?|local=10\.20\.0\.25:587 login=CORP\\bob .*) .*$/gm,
    '',
  );
  assert.equal(await casesAgainst(folder, yaml, cases), '64 cases, 0 failed\n');
});
