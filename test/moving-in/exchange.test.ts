// Settings of Exchange that state what policies/exchange-2007.yaml and exchange-2010.yaml state, imported: the policy answers
// every case of theirs that Exchange itself can state. In each form that PowerShell writes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXCHANGE } from '../../src/moving-in/exchange.ts';
import {
  acceptedDomain,
  asClixml,
  asCsv,
  asFormatList,
  asJson,
  entry,
  fromAbove,
  type PlainObject,
  receiveConnector,
} from './exchange-export.ts';
import { imported, presetCases, tried } from './importing.ts';
import { EXCHANGE_2007, EXCHANGE_2010 } from './preset-settings.ts';

const ANONYMOUS = 'NT AUTHORITY\\ANONYMOUS LOGON';
const RELAY = ['ms-Exch-SMTP-Accept-Any-Recipient'];
const OWN = ['ms-Exch-SMTP-Accept-Authoritative-Domain-Sender'];
const CLIENT = 'Tls, Integrated, BasicAuth, BasicAuthRequireTLS';
const PORT_587 = { Bindings: ['0.0.0.0:587', '[::]:587'], MessageRateLimit: 5 };

/** What no setting of Exchange says: named destinations for some clients alone. */
const NOT_SAYABLE = new Set([
  'proceed 10.20.45.0 -> orders@supplier-a.example',
  'proceed 10.20.45.15 -> orders@edi.supplier-a.example',
  'proceed 10.20.45.1 -> orders@supplier-b.example',
]);

const FORMS: Readonly<Record<string, (objects: readonly PlainObject[]) => string>> = {
  'Export-Clixml': asClixml,
  'ConvertTo-Json': asJson,
  'Export-Csv': asCsv,
  'Export-Csv -UseCulture': (objects) => asCsv(objects, ';'),
  'Format-List': asFormatList,
};

for (const [preset, settings] of Object.entries({ 'exchange-2007': EXCHANGE_2007, 'exchange-2010': EXCHANGE_2010 })) {
  for (const [form, write] of Object.entries(FORMS)) {
    test(`${preset} out of ${form} answers every case of its preset`, async () => {
      const rights = [...settings.rights, ...fromAbove(settings.connectors)];
      const files = Object.values({ ...settings, rights }).map((objects) => write(objects));
      const asked = presetCases(preset).filter((line) => !NOT_SAYABLE.has(line));
      assert.ok(asked.length > 20);
      const { wrong, findings } = await tried(imported(EXCHANGE, files), asked);
      assert.deepEqual(wrong, []);
      assert.deepEqual(
        findings.filter((one) => !one.startsWith('note')),
        [],
      );
    });
  }
}

/** One connector that relays for the anonymous from two addresses, if its entries say so. */
function relayConnector(changes: PlainObject = {}): PlainObject {
  return receiveConnector('Relay', CLIENT, 'AnonymousUsers', {
    RemoteIPRanges: ['192.168.1.100-192.168.1.101'],
    ...changes,
  });
}

const WORLD = receiveConnector('Internet', CLIENT, 'AnonymousUsers');
const DOMAINS = asClixml([acceptedDomain('example.com', 'Authoritative')]);

test('without Get-ADPermission nobody relays, and the report says which command tells who may', async () => {
  const logins = receiveConnector('Client', CLIENT, 'ExchangeUsers', PORT_587);
  const made = imported(EXCHANGE, [DOMAINS, asClixml([WORLD, relayConnector(), logins])]);
  const { wrong } = await tried(made, [
    'reject 192.168.1.100 -> x@foreign.example',
    'reject 203.0.113.7 local=192.0.2.25:587 login=CORP\\alice -> x@foreign.example',
    'proceed 192.168.1.100 -> user@example.com',
  ]);
  assert.deepEqual(wrong, []);
  const said = made.report.filter(({ why }) => why.includes('Get-ReceiveConnector | Get-ADPermission | Export-Clixml'));
  assert.equal(said.length, 3);
  assert.ok(said.every(({ verdict, loud, where }) => verdict === 'cannot be said' && loud === true && where.line > 1));
});

for (const [who, changes] of [
  ['NT-AUTORITÄT\\ANONYMOUS-ANMELDUNG', {}],
  ['S-1-5-7', {}],
  ['НТ\\Анонимный вход', { Sid: 'S-1-5-7' }],
] as const) {
  test(`the anonymous logon is known as ${who} ${JSON.stringify(changes)}`, async () => {
    const made = imported(EXCHANGE, [
      DOMAINS,
      asClixml([WORLD, relayConnector()]),
      asClixml([entry('Relay', who, RELAY, changes)]),
    ]);
    const { wrong } = await tried(made, [
      'proceed 192.168.1.101 -> x@foreign.example',
      'reject 192.168.1.102 -> x@foreign.example',
    ]);
    assert.deepEqual(wrong, []);
  });
}

const ANONYMOUS_RIGHTS = [
  'ms-Exch-SMTP-Submit',
  'ms-Exch-SMTP-Accept-Any-Sender',
  'ms-Exch-Accept-Headers-Routing',
  ...OWN,
];

test('a name that nobody knows is the anonymous logon where it stands in its place, and an account elsewhere', async () => {
  const files = [DOMAINS, asClixml([WORLD, relayConnector()])];
  const placed = asClixml([entry('Relay', 'ТЕСТ\\Имя', [...ANONYMOUS_RIGHTS, ...RELAY])]);
  const bare = asClixml([entry('Relay', 'ТЕСТ\\Имя', RELAY)]);
  assert.deepEqual(
    (await tried(imported(EXCHANGE, [...files, placed]), ['proceed 192.168.1.100 -> x@foreign.example'])).wrong,
    [],
  );
  assert.deepEqual(
    (await tried(imported(EXCHANGE, [...files, bare]), ['reject 192.168.1.100 -> x@foreign.example'])).wrong,
    [],
  );
});

test('what is denied here beats what is allowed; what is denied above does not', async () => {
  const files = [DOMAINS, asClixml([WORLD, relayConnector()])];
  const ask = async (deny: PlainObject, answer: string): Promise<void> => {
    const rights = asClixml([entry('Relay', ANONYMOUS, RELAY), deny]);
    assert.deepEqual(
      (await tried(imported(EXCHANGE, [...files, rights]), [`${answer} 192.168.1.100 -> x@foreign.example`])).wrong,
      [],
    );
  };
  await ask(entry('Relay', ANONYMOUS, RELAY, { Deny: true }), 'reject');
  await ask(entry('Relay', 'Everyone', RELAY, { Deny: true }), 'reject');
  await ask(entry('Relay', ANONYMOUS, RELAY, { Deny: true, IsInherited: true }), 'proceed');
  await ask(entry('Relay', ANONYMOUS, RELAY, { Deny: true, IsInherited: null }), 'reject');
});

test('a right that is taken from the group of the anonymous is gone, where its entries are listed', async () => {
  const rights = asClixml([
    entry(
      'Internet',
      ANONYMOUS,
      ANONYMOUS_RIGHTS.filter((right) => !OWN.includes(right)),
    ),
  ]);
  const made = imported(EXCHANGE, [DOMAINS, asClixml([WORLD]), rights]);
  const { wrong } = await tried(made, [
    'refuse-sender 203.0.113.7 sender=boss@example.com -> user@example.com',
    'proceed 203.0.113.7 sender=a@elsewhere.example -> user@example.com',
  ]);
  assert.deepEqual(wrong, []);
});

test('where a group may be denied, nobody relays by login', async () => {
  const logins = receiveConnector('Client', CLIENT, 'ExchangeUsers');
  const rights = asClixml([entry('Client', 'CORP\\Domain Guests', RELAY, { Deny: true })]);
  const { wrong } = await tried(imported(EXCHANGE, [DOMAINS, asClixml([logins]), rights]), [
    'reject 203.0.113.7 login=CORP\\alice -> x@foreign.example',
  ]);
  assert.deepEqual(wrong, []);
});

for (const [what, connector, rights] of [
  ['the right of the anonymous on every address', WORLD, [entry('Internet', ANONYMOUS, RELAY)]],
  [
    'externally secured on every address',
    receiveConnector('Internet', 'ExternalAuthoritative', 'ExchangeServers'),
    [entry('Internet', ANONYMOUS, OWN)],
  ],
] as const) {
  test(`an open relay is not carried over unless it is asked for: ${what}`, async () => {
    const files = [DOMAINS, asClixml([connector]), asClixml(rights)];
    const made = imported(EXCHANGE, files);
    assert.deepEqual((await tried(made, ['reject 203.0.113.7 -> x@foreign.example'])).wrong, []);
    assert.ok(made.report.some(({ loud, why }) => loud === true && why.includes('open relay')));
    const open = await tried(imported(EXCHANGE, files, { keepOpen: true }), [
      'proceed 203.0.113.7 -> x@foreign.example',
    ]);
    assert.deepEqual(open.wrong, []);
  });
}

test('a star for all domains is left out', async () => {
  const made = imported(EXCHANGE, [
    asClixml([WORLD]),
    asClixml(['*', '*.com'].map((name) => acceptedDomain(name, 'InternalRelay'))),
  ]);
  assert.deepEqual((await tried(made, ['reject 203.0.113.7 -> x@foreign.com'])).wrong, []);
  assert.equal(
    made.report.filter(({ setting, loud }) => setting.startsWith('AcceptedDomain') && loud === true).length,
    2,
  );
});

/** The one sentence with its place. */
function fault(texts: readonly (string | Buffer)[]): string {
  const { faults } = imported(EXCHANGE, texts);
  assert.equal(faults.length, 1, JSON.stringify(faults));
  const { file, line, column, message } = faults[0] as (typeof faults)[number];
  return `${file}:${line}:${column}: ${message}`;
}

test('faults are a sentence with file, line and column, and nothing is written', () => {
  const good = asClixml([WORLD]);
  assert.match(fault(['']), /^a\.txt:1:1: the file is empty/);
  assert.match(
    fault([
      '#TYPE X\r\n"Name","Bindings","RemoteIPRanges"\r\n"a","0.0.0.0:25","Microsoft.Exchange.Data.MultiValuedProperty`1[Microsoft.Exchange.Data.IPRange]"\r\n',
    ]),
    /^a\.txt:3:18: Export-Csv has written the name of a type in the place of RemoteIPRanges.*Get-ReceiveConnector \| Export-Clixml/,
  );
  assert.match(
    fault([asFormatList([WORLD]).replace(/\{::-ffff[^}]*\}/, '{::1, 10.0.0.1...}')]),
    /^a\.txt:\d+:\d+: RemoteIPRanges was cut short by PowerShell/,
  );
  assert.match(fault(['Identity  User\r\n--------  ----\r\nEX01\\a    NT AU...\r\n']), /table of PowerShell/);
  assert.match(
    fault([asClixml([acceptedDomain('example.com', 'Authoritative')])]),
    /^a\.txt:1:1: no receive connector/,
  );
  assert.match(
    fault([asClixml([WORLD, { ...WORLD, Server: 'EX02', Identity: 'EX02\\Internet' }])]),
    /connectors of 2 servers \(ex01, ex02\)/,
  );
  assert.match(fault([good, good]), /^b\.txt:2:\d+: 'EX01\\Internet' stands in a\.txt:2 already/);
  assert.match(
    fault([good.replace('0.0.0.0-255.255.255.255', '10.0.0.300')]),
    /^a\.txt:\d+:\d+: RemoteIPRanges: '10\.0\.0\.300'/,
  );
  assert.match(fault([`<!DOCTYPE x [<!ENTITY y "z">]>${good}`, good]), /nobody knows what this is|document type/);
  assert.match(fault([Buffer.concat([Buffer.from(good), Buffer.from(good, 'utf16le')])]), /two encodings/);
});

test('whatever is cut off in the middle is told, wherever it is cut', () => {
  const settings = [relayConnector({ Name: 'A', Identity: 'EX01\\A' }), relayConnector()];
  for (const [form, write] of Object.entries(FORMS)) {
    const text = write(settings);
    const from = text.indexOf('Relay', text.indexOf('EX01\\A') + 10);
    // What stands last in the text of Format-List may be a short name as well.
    const last = form === 'Format-List' ? text.lastIndexOf('Identity') : text.trimEnd().length - 1;
    for (let end = from - 30; end < last; end += 7) {
      const { faults } = imported(EXCHANGE, [text.slice(0, end)]);
      assert.notDeepEqual(faults, [], `${form}: ${JSON.stringify(text.slice(end - 60, end))}`);
    }
  }
});

test('UTF-16 with its mark, UTF-8 with its mark and neither are the same', async () => {
  const text = asClixml([WORLD, relayConnector()]);
  const rights = asClixml([entry('Relay', 'NT-AUTORITÄT\\ANONYMOUS-ANMELDUNG', RELAY)]);
  const encodings = [
    (one: string) => Buffer.from(`\ufeff${one}`),
    (one: string) => Buffer.from(`\ufeff${one}`, 'utf16le'),
    (one: string) => Buffer.from(`\ufeff${one}`, 'utf16le').swap16(),
    (one: string) => Buffer.from(one),
  ];
  for (const encode of encodings) {
    const { wrong } = await tried(imported(EXCHANGE, [encode(text), encode(rights)]), [
      'proceed 192.168.1.100 -> x@foreign.example',
    ]);
    assert.deepEqual(wrong, []);
  }
});

test('a connector that completes recipients is told to be stricter here', () => {
  const told = (DefaultDomain: string): string[] =>
    imported(EXCHANGE, [
      asClixml([acceptedDomain('example.com', 'Authoritative')]),
      asClixml([relayConnector({ DefaultDomain })]),
    ])
      .report.filter(({ setting }) => setting === 'DefaultDomain')
      .map(({ value, verdict, became }) => `${value}: ${verdict}: ${became}`);
  assert.deepEqual(told('example.com'), ['example.com: stricter: unqualified_recipients: reject']);
  assert.deepEqual(told(''), []);
});
