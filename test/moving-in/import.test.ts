// What an import makes of settings that are open, odd or unknown: never more than the old server gave, and every difference told.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { importSettings } from '../../src/commands/import.ts';
import {
  casesAgainst,
  importFiles,
  ldif,
  metabase,
  multi,
  type Net,
  output,
  registryExport,
  securityOctets,
} from './settings.ts';

const single = (address: string): Net => [address, '255.255.255.255'];
const ACCEPTED = ['--accepted-domain', 'example.com'];
const hex = (list: Parameters<typeof securityOctets>[0]): string => securityOctets(list).toString('hex');

async function service(t: TestContext, values: Record<string, string>, ...options: string[]) {
  return importFiles(t, { 'imc.reg': registryExport(values) }, ...ACCEPTED, ...options);
}

async function server(t: TestContext, values: Record<string, string>, ...options: string[]) {
  const common = { ServerBindings: ':25:', AuthFlags: '7', RelayForAuth: '0' };
  return importFiles(t, { 'MetaBase.xml': metabase({ 1: { ...common, ...values } }) }, ...ACCEPTED, ...options);
}

const STRANGER = '203.0.113.7 -> x@foreign.example';

for (const [what, values] of [
  ['nothing is ticked', { RelayFlags: 'dword:00000000' }],
  ['there is no RelayFlags', {}],
  ['nothing but NEVER is ticked', { RelayFlags: 'dword:00000001', RelayDenyList: multi(['10.9.9.9']) }],
] as const) {
  test(`Exchange 5.5, ${what}: closed, loudly`, async (t) => {
    const { said, yaml, folder, code } = await service(t, values);
    assert.match(
      said,
      /^imc\.reg:\d+:\d+: LOOK HERE: stricter: RelayFlags .*THE OLD SERVER IS AN OPEN RELAY.*imported CLOSED/m,
    );
    assert.match(yaml, /^# .*THE OLD SERVER IS AN OPEN RELAY/m);
    assert.match(said, /check --strict finds nothing/);
    assert.equal(
      await casesAgainst(folder, yaml, `reject ${STRANGER}\nproceed 203.0.113.7 -> user@example.com`),
      '2 cases, 0 failed\n',
    );
    assert.equal(code, 0);
  });

  test(`Exchange 5.5, ${what}: open only with --i-know-this-is-open, and then check says so`, async (t) => {
    const { said, yaml, folder } = await service(t, values, '--i-know-this-is-open');
    assert.match(
      said,
      /check --strict does not let this pass, since it finds this:\n.*an open relay, as i_know_this_is_open says/,
    );
    assert.equal(await casesAgainst(folder, yaml, `proceed ${STRANGER}`), '1 case, 0 failed\n');
  });
}

test('Exchange 5.5: who reaches an internal address relays only from --inside', async (t) => {
  const values = { RelayFlags: 'dword:00000004', RelayLocalIPList: multi(['10.20.60.1']) };
  const asked = (answer: string) =>
    `${answer} 10.20.60.200 local=10.20.60.1 -> x@foreign.example\nreject 203.0.113.7 local=10.20.60.1 -> x@foreign.example`;
  const without = await service(t, values);
  assert.match(
    without.said,
    /LOOK HERE: cannot be said: hosts connecting to these internal addresses .*--inside RANGE says it/,
  );
  assert.equal(await casesAgainst(without.folder, without.yaml, asked('reject')), '2 cases, 0 failed\n');
  const inside = await service(t, values, '--inside', '10.20.60.0/24');
  assert.equal(await casesAgainst(inside.folder, inside.yaml, asked('proceed')), '2 cases, 0 failed\n');
});

test('Exchange 5.5: masks with holes, entries that never matched, networks too wide, loopback', async (t) => {
  const { said, yaml, folder, code } = await service(t, {
    RelayFlags: 'dword:00000003',
    RelayDenyList: multi(['10.1.0.5;255.255.255.0', '10.2.0.1;255.0.255.0']),
    RelayAllowList: multi([
      '10.1.0.0;255.255.0.123',
      '10.3.0.5;255.255.255.0',
      '203.0.0.0;255.0.0.0',
      '127.0.0.0;255.0.0.0',
      '0.0.0.5;0.0.0.255',
      'scanner',
    ]),
  });
  assert.equal(code, 0, said);
  for (const line of [
    /stricter: RelayDenyList entry 10\.1\.0\.5;255\.255\.255\.0: .*never matched there: here it does/,
    /cannot be said: RelayAllowList entry 10\.3\.0\.5;255\.255\.255\.0: .*never matched/,
    /cannot be said: RelayAllowList entry 203\.0\.0\.0;255\.0\.0\.0: .*an open relay/,
    /stricter: RelayAllowList entry 127\.0\.0\.0;255\.0\.0\.0: .*only 127\.0\.0\.1/,
    /cannot be said: RelayAllowList entry 0\.0\.0\.5;0\.0\.0\.255/,
    /cannot be said: RelayAllowList entry scanner: .*no address|cannot be said: RelayAllowList entry scanner: 'scanner' is neither/,
  ])
    assert.match(said, line);
  assert.match(yaml, /10\.1\.0\.0;255\.255\.0\.123/); // too many pieces: as it stood there
  assert.match(said, /does not let this pass, since it finds these:\n.*a mask with holes/);
  const cases = [
    'proceed 10.1.7.132',
    'reject 10.1.7.1',
    'reject 10.1.0.0',
    'reject 203.7.7.7',
    'reject 127.0.0.2',
    'reject 10.3.0.5',
  ];
  assert.equal(
    await casesAgainst(folder, yaml, cases.map((one) => `${one} -> x@foreign.example`).join('\n')),
    '6 cases, 0 failed\n',
  );
});

test('Exchange 5.5: a row within another that goes elsewhere is refused for everyone, and told', async (t) => {
  const { said, yaml, folder, code } = await service(t, {
    RelayFlags: 'dword:00000008',
    RoutingTable: multi(['example.org;<inbound>', 'old.example.org;mx.example.net', 'example.net;mx.example.net']),
  });
  assert.equal(code, 0, said);
  assert.match(said, /LOOK HERE: stricter: routing table row old\.example\.org;mx\.example\.net: blocked_domains/);
  const cases = [
    'proceed 203.0.113.7 -> a@mail.example.org',
    'reject 203.0.113.7 -> a@old.example.org',
    'reject 203.0.113.7 -> a@example.net',
    'proceed 203.0.113.7 login=bob -> a@example.net',
  ];
  assert.equal(await casesAgainst(folder, yaml, cases.join('\n')), '4 cases, 0 failed\n');
});

test('a bit of RelayFlags that nobody knows is told', async (t) => {
  const { said } = await service(t, { RelayFlags: 'dword:00000018' });
  assert.match(said, /cannot be said: RelayFlags 0x18: it has bits that nobody knows/);
});

for (const [what, list] of [
  ['all except nobody', ''],
  ['all except a few', hex({ denied: [single('10.9.9.9')] })],
] as const) {
  test(`a virtual server, ${what}: closed, unless who may connect is named or said`, async (t) => {
    const open = await server(t, { RelayIpList: list });
    assert.match(
      open.said,
      /LOOK HERE: stricter: virtual server 1: relay restrictions all except .*THE OLD SERVER IS AN OPEN RELAY\. It is imported CLOSED/,
    );
    assert.match(open.said, /check --strict finds nothing/);
    assert.equal(await casesAgainst(open.folder, open.yaml, `reject ${STRANGER}`), '1 case, 0 failed\n');
    const inside = await server(t, { RelayIpList: list }, '--inside', '10.20.0.0/16');
    assert.equal(
      await casesAgainst(inside.folder, inside.yaml, `reject ${STRANGER}\nproceed 10.20.1.1 -> x@foreign.example`),
      '2 cases, 0 failed\n',
    );
    const kept = await server(t, { RelayIpList: list }, '--i-know-this-is-open');
    assert.match(kept.said, /i_know_this_is_open says/);
    const named = await server(t, { RelayIpList: list, IPSecurity: hex({ granted: [['10.20.0.0', '255.255.0.0']] }) });
    assert.equal(
      await casesAgainst(
        named.folder,
        named.yaml,
        `refuse-connection ${STRANGER}\nproceed 10.20.1.1 -> x@foreign.example`,
      ),
      '2 cases, 0 failed\n',
    );
    assert.equal(open.code + inside.code + kept.code + named.code, 0);
  });
}

test('the tick for logins stands above an entry that denies; without it the entry counts', async (t) => {
  const values = {
    RelayIpList: hex({ denied: [['10.20.70.0', '255.255.255.0']] }),
    IPSecurity: hex({ granted: [['10.20.0.0', '255.255.0.0']] }),
  };
  const ask = (answer: string) =>
    `reject 10.20.70.9 -> x@foreign.example\n${answer} 10.20.70.9 login=CORP\\alice -> x@foreign.example`;
  const ticked = await server(t, { ...values, RelayForAuth: '-1' });
  assert.equal(await casesAgainst(ticked.folder, ticked.yaml, ask('proceed')), '2 cases, 0 failed\n');
  const cleared = await server(t, values);
  assert.equal(await casesAgainst(cleared.folder, cleared.yaml, ask('reject')), '2 cases, 0 failed\n');
});

test('a virtual server that is stopped relays for nobody; a tick that is no tick is none', async (t) => {
  const relays = {
    ServerBindings: ':2525:',
    RelayForAuth: '0',
    RelayIpList: hex({ granted: [['10.9.0.0', '255.255.0.0']] }),
  };
  const other = {
    ServerBindings: ':25:',
    RelayForAuth: '2',
    RelayIpList: hex({ granted: [['10.8.0.0', '255.255.0.0']] }),
  };
  const both = metabase({ 1: other, 2: { ...relays, ServerAutoStart: '0' } });
  const { code, yaml, said } = await importFiles(t, { 'm.xml': both }, ...ACCEPTED);
  assert.equal(code, 0, said);
  assert.match(said, /exact: ServerAutoStart 0: virtual server 2 is stopped: left out/);
  assert.match(said, /RelayForAuth 2: neither 0 nor 1 nor -1: taken as not ticked/);
  assert.match(yaml, /10\.8\.0\.0/);
  assert.doesNotMatch(yaml, /10\.9\.0\.0\/|2525|authenticated: true/);
  const alone = metabase({ 1: { ...relays, ServerState: '4' } });
  const only = await importFiles(t, { 'm.xml': alone }, ...ACCEPTED);
  assert.equal(only.code, 65);
  assert.match(only.said, /^m\.xml:\d+:\d+: error: ServerState: the only virtual server is stopped/m);
});

test('a tick that the file does not hold is taken as not ticked, and told', async (t) => {
  const { said, yaml, folder } = await importFiles(
    t,
    { 'm.xml': metabase({ 1: { ServerBindings: ':25:' } }) },
    ...ACCEPTED,
  );
  assert.match(
    said,
    /LOOK HERE: cannot be said: virtual server 1: allow all computers which successfully authenticate to relay not in the file/,
  );
  assert.equal(
    await casesAgainst(folder, yaml, 'reject 203.0.113.7 login=bob -> x@foreign.example'),
    '1 case, 0 failed\n',
  );
});

test('many masks in one list, hexadecimal and base64, say the same', async (t) => {
  const octets = securityOctets({
    granted: [single('10.1.1.1'), ['10.2.0.0', '255.255.0.0'], ['10.3.3.0', '255.255.255.0'], single('10.1.1.2')],
  });
  const [one, other] = [
    await server(t, { RelayIpList: octets.toString('hex') }),
    await server(t, { RelayIpList: octets.toString('base64') }),
  ];
  assert.deepEqual(parse(one.yaml), parse(other.yaml));
  assert.deepEqual(parse(one.yaml).connectors[0].rules, [
    { name: 'list', allow: { sources: ['10.1.1.1', '10.1.1.2', '10.2.0.0/16', '10.3.3.0/24'] } },
  ]);
});

test('limits, TLS and what means nothing here: each is told', async (t) => {
  const { said, yaml, code } = await server(t, {
    MaxRecipients: '64000',
    MaxMessageSize: '4194304',
    MaxConnections: '2000000000',
    AccessSSLFlags: 'AccessSSL',
    LogFileDirectory: 'C:\\x',
  });
  const [connector] = parse(yaml).connectors;
  assert.deepEqual(
    [connector.max_message_size, connector.limits, connector.require_tls],
    ['4096KiB', { session: { recipients_per_message: 64000 } }, true],
  );
  assert.match(said, /cannot be said: virtual server 1: other settings 1: LogFileDirectory/);
  assert.match(said, /exact: virtual server 1: require secure channel ticked: require_tls/);
  assert.equal(code, 0, said);
});

test('what a directory says of connectors and global lists and nobody can read is told', async (t) => {
  const { said } = await importFiles(
    t,
    {
      'd.ldf': ldif([
        {
          dn: 'CN=1,CN=SMTP,CN=Protocols,CN=MAIL,CN=Servers,DC=example,DC=com',
          objectClass: 'protocolCfgSMTPServer',
          msExchServerBindings: ':25:',
        },
        {
          dn: 'CN=Internet,CN=Connections,DC=example,DC=com',
          objectClass: 'msExchRoutingSMTPConnector',
          routingList: 'SMTP:*;1',
        },
        {
          dn: 'CN=Turf,DC=example,DC=com',
          objectClass: 'msExchSmtpConnectionTurfList',
          msExchSMTPGlobalIPDenyList: Buffer.from('x'),
        },
      ]),
    },
    ...ACCEPTED,
  );
  assert.match(
    said,
    /cannot be said: SMTP connector Internet: address space SMTP:\*;1: whether .* is ticked is not known/,
  );
  assert.match(said, /LOOK HERE: cannot be said: msExchSMTPGlobalIPDenyList/);
});

test('what the scripts of old print is read', async (t) => {
  const printed = [
    '====',
    'CURRENT SETTINGS',
    '====',
    'Computer(s) that may relay through this virtual server.',
    ' ',
    'Only the list below :',
    '10.20.30.17, 255.255.255.255',
    '10.20.31.0, 255.255.255.0',
    '====',
  ];
  const script = await importFiles(t, { 'a.txt': `${printed.join('\r\n')}\r\n` }, ...ACCEPTED);
  const properties = await importFiles(
    t,
    {
      'a.txt':
        '[relay: only the list below]\nGrantByDefault = 0\nIPGrant = "10.20.30.17, 255.255.255.255"|"10.20.31.0, 255.255.255.0"\nIPDeny = "10.0.0.1, 255.0.0.0"\n',
    },
    ...ACCEPTED,
  );
  const plain = await importFiles(t, { 'a.txt': '10.20.30.17\n10.20.31.0/24\n' }, ...ACCEPTED, '--as', 'relay-list');
  for (const { yaml, said } of [script, properties, plain])
    assert.deepEqual(
      parse(yaml).connectors[0].rules,
      [{ name: 'list', allow: { sources: ['10.20.30.17', '10.20.31.0/24'] } }],
      said,
    );
});

test('what stands in a file leaves the terminal alone', async (t) => {
  const { said, yaml } = await service(t, {
    RelayFlags: 'dword:00000002',
    RelayAllowList: multi(['\x1b]0;x\x07 \x9b1m', '10.1.1.1']),
  });
  assert.match(said, /RelayAllowList entry/);
  assert.doesNotMatch(said + yaml, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  const fault = await importFiles(t, { 'l.txt': '[relay: only the list below]\n\x1b[2J' });
  assert.equal(fault.code, 65);
  assert.doesNotMatch(fault.said, /\x1b/);
});

test('no accepted domain: told, and check --strict does not let it pass', async (t) => {
  const { said } = await importFiles(t, { 'imc.reg': registryExport({ RelayFlags: 'dword:00000008' }) });
  assert.match(said, /LOOK HERE: cannot be said: the routing table: .*--accepted-domain/);
  assert.match(said, /does not let this pass, since it finds this:\n.*no domain is accepted/);
});

test('--report, --cases and --json say where it was asked for', async (t) => {
  const { folder } = await service(t, { RelayFlags: 'dword:00000008' });
  const out = output();
  const report = join(folder, 'report.txt');
  assert.equal(await importSettings([join(folder, 'imc.reg'), '--report', report, '--json', ...ACCEPTED], out), 0);
  const { system, policy, check, report: told } = JSON.parse(out.text);
  assert.deepEqual(
    [system, policy.connectors[0].rules, check.failed],
    ['Exchange 5.5', [{ name: 'logged-in', allow: { authenticated: true } }], []],
  );
  assert.ok(
    told.every(({ verdict }: { verdict: string }) => ['exact', 'stricter', 'cannot be said'].includes(verdict)),
  );
  assert.match(readFileSync(report, 'utf8'), /rule 'logged-in'/);
  assert.match(
    readFileSync(join(folder, 'office.cases'), 'utf8'),
    /^proceed {2}203\.0\.113\.7 login=CORP\\alice -> x@foreign\.example$/m,
  );
  assert.equal(out.errors, '');
});

for (const [args, said] of [
  [[], /name the files/],
  [['x', '--as', 'rge'], /"rge" is no kind of file: did you mean reg\?/],
  [['x', '--inside', 'any'], /--inside: name the network/],
  [['x', '--insde', '10.0.0.0/8'], /did you mean --inside\?/],
] as const) {
  test(`postern import ${args.join(' ')}: 64`, async () => {
    const out = output();
    assert.equal(await importSettings([...args], out), 64);
    assert.match(out.errors, said);
  });
}
