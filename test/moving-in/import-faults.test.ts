// Faulty files of old settings: each is a sentence with its place, and nothing is printed as a policy.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { prove } from '../../src/moving-in/prove.ts';
import { asCsv, asFormatList, receiveConnector } from './exchange-export.ts';
import { importFiles, ldif, metabase, multi, type Net, registryExport, securityOctets } from './settings.ts';
import { zip } from './zip.ts';

const list = multi(['10.20.30.17', '10.20.30.64;255.255.255.192', '10.20.40.0;255.255.255.0']);
const sound = registryExport({ RelayFlags: 'dword:00000003', RelayDenyList: list, RelayAllowList: list });
const text = sound.toString('utf16le').slice(1);
const single = (address: string): Net => [address, '255.255.255.255'];
const octets = securityOctets({ granted: [single('10.20.30.17'), ['10.20.31.0', '255.255.255.0']] });
const xml = metabase({ 1: { ServerBindings: ':25:', RelayForAuth: '-1', RelayIpList: octets.toString('hex') } });
const dn = 'CN=1,CN=SMTP,CN=Protocols,CN=SERVER01,CN=Servers,DC=example,DC=com';
const directory = ldif([{ dn, objectClass: 'protocolCfgSMTPServer', msExchSmtpRelayIpList: octets }]);
const numbers = [...octets].join(', ');

for (const [what, file, content, said] of [
  ['an empty file', 'a.reg', '', /^a\.reg:1:1: error: the file is empty$/m],
  ['nothing but blanks', 'a.reg', '\r\n \r\n', /^a\.reg:1:1: error: the file is empty$/m],
  [
    'a letter',
    'a.txt',
    'Dear Sir, your mail relays.',
    /^a\.txt:1:1: error: nobody knows what this is: it begins with "Dear Sir/m,
  ],
  [
    'an archive that is cut off',
    'a.zip',
    Buffer.from('PK\x03\x04\x14\0\0\0'),
    /^a\.zip:1:1: error: cannot be read: .*is this \.zip cut off\?/m,
  ],
  [
    'UTF-16 with half a character',
    'a.reg',
    sound.subarray(0, -1),
    /^a\.reg:\d+:\d+: error: the file ends in half a character/m,
  ],
  [
    'UTF-16 behind UTF-8',
    'a.reg',
    Buffer.concat([Buffer.from(text), Buffer.from('x', 'utf16le')]),
    /^a\.reg:\d+:\d+: error: a NUL octet/m,
  ],
  [
    'UTF-8 behind UTF-16',
    'a.txt',
    Buffer.concat([Buffer.from('\uFEFFName : a\r\n', 'utf16le'), Buffer.from('Bindings : {0.0.0.0:587}\r\n')]),
    /^a\.txt:2:\d+: error: UTF-16 up to here, and another encoding from here on/m,
  ],
  [
    'a letter of code page 850',
    'a.cf',
    Buffer.from('mydestination = example.com\n# B\x81ro\n', 'latin1'),
    /^a\.cf:2:4: error: an octet that is no letter in UTF-8 or Windows-1252: is it of another code page/m,
  ],
  [
    'more lines than any settings have',
    'a.cf',
    'mynetworks = 10.0.0.1\n'.repeat(2_000_001),
    /^a\.cf:1:1: error: more than 2000000 lines/m,
  ],
  [
    "a folder's own settings",
    'desktop.ini',
    '[.ShellClassInfo]\r\n',
    /^desktop\.ini:1:1: error: nobody knows what this is/m,
  ],
  [
    'an archive in an archive',
    'a.zip',
    zip([['in.zip', zip([['a.txt', '']])]]),
    /^a\.zip:in\.zip:1:1: error: cannot be read: a \.zip is looked into where it is a file by itself/m,
  ],
  [
    'another key',
    'a.reg',
    text.replaceAll('MSExchangeIMC', 'W32Time'),
    /^a\.reg:1:1: error: no key …\\Services\\MSExchangeIMC\\Parameters is in it/m,
  ],
  [
    'two control sets',
    'a.reg',
    (text + text.slice(text.indexOf('['))).replaceAll('CurrentControlSet', 'ControlSet001'),
    /^a\.reg:\d+:1: error: .*the same settings stand in line 3 already/m,
  ],
  [
    'cut off behind a backslash',
    'a.reg',
    text.slice(0, text.indexOf('\\\r\n') + 1),
    /^a\.reg:5:1: error: RelayDenyList ends in the middle: line 5 says that it goes on/m,
  ],
  [
    'cut off in an octet',
    'a.reg',
    text.slice(0, text.indexOf('hex(7)') + 11),
    /^a\.reg:5:\d+: error: RelayDenyList: '\d' is no octet of two digits/m,
  ],
  [
    'cut off behind a comma',
    'a.reg',
    text.slice(0, text.indexOf('hex(7)') + 10),
    /^a\.reg:5:1: error: RelayDenyList ends with a comma/m,
  ],
  [
    'cut off in a text',
    'a.reg',
    text.slice(0, text.indexOf('hex(7)') + 12).replace(/,\d$/, ''),
    /^a\.reg:5:1: error: RelayDenyList: its last text has no end/m,
  ],
  [
    'cut off in a number',
    'a.reg',
    text.slice(0, text.indexOf('dword:') + 10),
    /^a\.reg:4:1: error: RelayFlags: dword:0000 has not eight digits/m,
  ],
  [
    'cut off before the denials',
    'a.reg',
    text.slice(0, text.indexOf('"RelayDeny')),
    /^a\.reg:4:1: error: RelayFlags says that there is a RelayDenyList, and there is none: is the file cut off/m,
  ],
  [
    'a denial that is none',
    'a.reg',
    registryExport({ RelayFlags: 'dword:00000003', RelayDenyList: multi(['alle']), RelayAllowList: list }),
    /^a\.reg:5:24: error: RelayDenyList: 'alle' is neither an address.*a denial cannot be left out$/m,
  ],
  [
    'a list that is a text',
    'a.reg',
    registryExport({ RelayFlags: 'dword:00000001', RelayDenyList: '"10.0.0.1"' }),
    /^a\.reg:5:1: error: RelayDenyList is no list of texts/m,
  ],
  [
    'a value twice',
    'a.reg',
    text.replace('"RelayAllowList"', '"RelayDenyList"'),
    /^a\.reg:\d+:1: error: RelayDenyList stands in line 5 already/m,
  ],
  ['XML cut off', 'm.xml', xml.slice(0, xml.indexOf('RelayForAuth') + 6), /^m\.xml:\d+:\d+: error: /m],
  [
    'XML cut off between two elements',
    'm.xml',
    xml.slice(0, xml.indexOf('</MBProperty>')),
    /^m\.xml:\d+:\d+: error: it ends in the middle: <MBProperty> of line 3 is not closed/m,
  ],
  [
    'XML without SMTP',
    'm.xml',
    xml.replaceAll('IIsSmtpServer', 'IIsFtpServer').replaceAll('/SmtpSvc/', '/MSFTPSVC/'),
    /^m\.xml:1:1: error: no SMTP virtual server is in it/m,
  ],
  [
    'octets that are cut off',
    'm.xml',
    xml.replace(octets.toString('hex'), octets.toString('hex').slice(0, -8)),
    /^m\.xml:\d+:\d+: error: RelayIpList: a group of \d+ addresses goes beyond the last octet/m,
  ],
  [
    'octets of which one is half',
    'm.xml',
    xml.replace(octets.toString('hex'), octets.toString('hex').slice(0, -1)),
    /^m\.xml:\d+:\d+: error: RelayIpList is neither hexadecimal digits nor base64/m,
  ],
  [
    'octets with more behind them',
    'm.xml',
    xml.replace(octets.toString('hex'), `${octets.toString('hex')}0a000001`),
    /^m\.xml:\d+:\d+: error: RelayIpList: 4 octets are left over/m,
  ],
  [
    'an entity that unfolds',
    'm.xml',
    `<!DOCTYPE configuration [<!ENTITY a "10.0.0.1">]>\n${xml.slice(xml.indexOf('<configuration'))}`.replace(
      /^/,
      '<?xml version="1.0"?>\n',
    ),
    /^m\.xml:\d+:\d+: error: .*document type/m,
  ],
  [
    'a directory that is cut off',
    'd.ldf',
    directory.slice(0, directory.indexOf('RelayIpList::') + 60),
    /^d\.ldf:3:1: error: msExchSmtpRelayIpList: (this is no base64|its lists|only|a group|.*cut off)/m,
  ],
  [
    'a directory without servers',
    'd.ldf',
    ldif([{ dn: 'CN=x,DC=example,DC=com', objectClass: 'user' }]),
    /^d\.ldf:1:1: error: neither a virtual server/m,
  ],
  [
    'a line that is none',
    'd.ldf',
    directory.replace('objectClass: ', 'objectClass '),
    /^d\.ldf:2:1: error: this is no line of an LDIF file/m,
  ],
  [
    'octets that were shortened',
    'o.txt',
    'RelayIpList : {24, 0, 0, 128...}',
    /^o\.txt:1:1: error: RelayIpList was shortened where it was printed: print it whole with/m,
  ],
  [
    'a number that is no octet',
    'o.txt',
    numbers.replace(/32/, '320'),
    /^o\.txt:1:1: error: RelayIpList: '320' is no octet/m,
  ],
  ['numbers that are cut off', 'o.txt', numbers.slice(0, -12), /^o\.txt:1:1: error: RelayIpList: /m],
  [
    'a list without a heading',
    'l.txt',
    '10.20.30.17\n',
    /^l\.txt:1:1: error: '10\.20\.30\.17' stands under no heading/m,
  ],
  [
    'a heading in German',
    'l.txt',
    'GrantByDefault: 0\nNur die folgende Liste\n10.20.30.17',
    /^l\.txt:1:1: error: is this the relay list or the list of connection control/m,
  ],
  [
    'a mistyped heading',
    'l.txt',
    '[relay usres]\nCORP\\alice',
    /^l\.txt:1:1: error: \[relay usres\] is no heading: did you mean \[relay users\]\?/m,
  ],
  [
    'a mistyped address',
    'l.txt',
    '[relay: only the list below]\n10.20.30.1O7',
    /^l\.txt:2:1: error: '10\.20\.30\.1O7'/m,
  ],
  [
    'a range that is reversed',
    'l.txt',
    '[relay: only the list below]\n10.0.0.9-10.0.0.1',
    /^l\.txt:2:1: error: '10\.0\.0\.9-10\.0\.0\.1' is neither/m,
  ],
  [
    'a list whose last address is cut off',
    'l.txt',
    '[relay: only the list below]\n10.20.30.17\n10.20.30.1',
    /^l\.txt:3:11: error: the last line has no end/m,
  ],
  ['a log', 'a.log', '#Log-type: SMTP Receive Protocol Log\r\n', /^a\.log:1:1: error: this is a log: .*inventory/m],
  [
    'nothing but remarks',
    'a.txt',
    '# nobody\n',
    /^a\.txt:1:1: error: nobody knows what this is: it begins with "# no/m,
  ],
  [
    'a letter of code page 850',
    'l.txt',
    Buffer.from('[relay users]\nCORP\\M\x81ller\n', 'latin1'),
    /^l\.txt:2:7: error: an octet that is no letter in UTF-8 or Windows-1252/m,
  ],
  [
    'a warning before the parameters',
    'main.txt',
    'postconf: warning: unused parameter: foo=bar\nmynetworks = 10.0.0.0/8\nmydestination = example.com\n',
    /^main\.txt:1:1: error: 'postconf: warning: unused parameter: foo=bar' is no parameter: name = value is wanted/m,
  ],
  [
    'a second column of the same name',
    'a.csv',
    '"Name","Bindings","name"\r\n"a","0.0.0.0:25","b"\r\n',
    /^a\.csv:1:19: error: a second column name: which of them counts/m,
  ],
  [
    'a second property of the same name',
    'a.json',
    '[{ "Enabled": false,\n "enabled": true }]',
    /^a\.json:2:11: error: a second "enabled" in one object/m,
  ],
  [
    'Format-List without its last empty line',
    'a.txt',
    'Name     : a\r\nBindings : {0.0.0.0:25}\r\n',
    /^a\.txt:3:1: error: Format-List ends with an empty line, and here is none: is the file cut off\?/m,
  ],
  [
    'an archive of 7-Zip',
    'a.7z',
    Buffer.from('377abcaf271c0004', 'hex'),
    /^a\.7z:1:1: .*compressed with 7-Zip: unpack it/m,
  ],
  [
    'an archive in an archive',
    'a.zip',
    zip([['b.zip', zip([['main.txt', 'mynetworks = 10.0.0.0/8\n']])]]),
    /^a\.zip:b\.zip:1:1: error: cannot be read: .*not in another archive/m,
  ],
] as const) {
  test(`${what}: a sentence, and no policy`, async (t) => {
    const { code, yaml, said: heard } = await importFiles(t, { [file]: content }, '--accepted-domain', 'example.com');
    assert.match(heard, said);
    assert.equal(yaml, '');
    assert.equal(code, 65);
  });
}

for (const [file, whole] of [
  ['a.reg', sound],
  ['m.xml', Buffer.from(xml)],
  ['d.ldf', Buffer.from(directory)],
  ['o.txt', Buffer.from(numbers)],
] as const) {
  test(`${file}, cut off anywhere: a fault, or a policy by which nobody relays who did not`, async (t) => {
    const { folder } = await importFiles(t, { [file]: whole }, '--accepted-domain', 'example.com');
    const cases = readFileSync(join(folder, 'office.cases'), 'utf8');
    let faults = 0;
    for (let length = 0; length < whole.length; length += 17) {
      const cut = await importFiles(t, { [file]: whole.subarray(0, length) }, '--accepted-domain', 'example.com');
      if (cut.code === 65) faults++;
      else {
        const { failed } = await prove('cut.yaml', cut.yaml, cases);
        assert.deepEqual(
          failed.filter((one) => /expected (reject|refuse-\S+), got proceed/.test(one)),
          [],
          `at ${length}`,
        );
      }
    }
    assert.notEqual(faults, 0);
  });
}

test('a CSV and a Format-List are read whatever ends their lines', async (t) => {
  const object = receiveConnector('Relay', 'Tls', 'AnonymousUsers');
  for (const written of [asCsv([object]), `${asFormatList([object])}\r\n`]) {
    const policies = new Set<string>();
    for (const end of ['\r\n', '\n', '\r']) {
      const text = written.replaceAll('\r\n', end);
      const { code, yaml, said } = await importFiles(t, { 'a.txt': text }, '--accepted-domain', 'example.com');
      assert.equal(code, 0, said);
      policies.add(yaml.replace(/^ *#.*$/gm, ''));
    }
    assert.equal(policies.size, 1);
  }
});

test('files of two systems are told apart', async (t) => {
  const { code, said } = await importFiles(t, { 'a.reg': sound, 'm.xml': xml });
  assert.match(
    said,
    /^a\.reg:1:1: error: this is a registry export .* \(Exchange 5\.5\): the files are of several systems/m,
  );
  assert.match(said, /^m\.xml:1:1: error: this is MetaBase\.xml of IIS/m);
  assert.equal(code, 65);
});

test('of the sound files each is imported, so that the faults above are what stops them', async (t) => {
  for (const files of [{ 'a.reg': sound }, { 'm.xml': xml }, { 'd.ldf': directory }, { 'o.txt': numbers }]) {
    const { code, said } = await importFiles(t, files, '--accepted-domain', 'example.com');
    assert.equal(code, 0, said);
  }
});

test('an export is read whatever way it is encoded', async (t) => {
  const narrow = registryExport({ RelayFlags: 'dword:00000002', RelayAllowList: multi(['10.20.30.17'], 'latin1') }, 4);
  const mixed = registryExport({ RelayFlags: 'dword:00000002', RelayAllowList: multi(['10.20.30.17']) }, 4);
  const wide = registryExport({ RelayFlags: 'dword:00000002', RelayAllowList: multi(['10.20.30.17']) });
  const plain = wide.toString('utf16le').slice(1);
  const encoded = [
    narrow,
    mixed,
    wide,
    Buffer.from(wide).swap16(),
    wide.subarray(2),
    `\ufeff${plain}`,
    plain.replaceAll('\r', ''),
  ];
  const policies = new Set<string>();
  for (const content of encoded) {
    const { code, yaml, said } = await importFiles(t, { 'a.reg': content }, '--accepted-domain', 'example.com');
    assert.equal(code, 0, said);
    policies.add(yaml.replace(/^#.*$/gm, ''));
  }
  assert.equal(policies.size, 1);
  assert.match([...policies].join(), /10\.20\.30\.17/);
});

test('the key is found in every spelling that Microsoft has for it', async (t) => {
  const other = Buffer.from(
    `\ufeff${text.replace('\\Services\\', '\\Service\\').replace('CurrentControlSet', 'ControlSet001')}`,
    'utf16le',
  );
  const { code, said } = await importFiles(t, { 'a.reg': other }, '--accepted-domain', 'example.com');
  assert.equal(code, 0, said);
});
