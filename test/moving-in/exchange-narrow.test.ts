// Exports of Exchange 2007 to 2019 that are easily read wider than they are: entries that are missing, denials for whom nobody
// knows, switches that are not said, rights without a name. None of them may let somebody relay who did not.

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
  mailbox,
  type PlainObject,
  receiveConnector,
} from './exchange-export.ts';
import { imported, tried } from './importing.ts';

const ANONYMOUS = 'NT AUTHORITY\\ANONYMOUS LOGON';
const RELAY = ['ms-Exch-SMTP-Accept-Any-Recipient'];
const DOMAINS = asClixml([acceptedDomain('example.com', 'Authoritative')]);
const INSIDE = { RemoteIPRanges: ['10.1.0.0/16'] };
const PRINTERS = receiveConnector('Printers', 'Tls', 'AnonymousUsers', INSIDE);
const LOGINS = receiveConnector('Logins', 'Tls, Integrated', 'ExchangeUsers', { RemoteIPRanges: ['10.2.0.0/16'] });
const SECURED = receiveConnector('Secured', 'ExternalAuthoritative', 'ExchangeServers', {
  RemoteIPRanges: ['10.3.0.0/16'],
});

const PRINTER = '10.1.1.1 -> x@foreign.example';
const LOGIN = '10.2.1.1 login=CORP\\alice -> x@foreign.example';
const SERVER = '10.3.1.1 -> x@foreign.example';

/** For each of the three an entry that says nothing of relaying. */
const NOTHING = ['Printers', 'Logins', 'Secured'].map((name) =>
  entry(name, 'CORP\\Organization Management', ['Send-As'], { Deny: true, IsInherited: true }),
);
const SOUND = [...NOTHING, entry('Printers', ANONYMOUS, RELAY)];

async function answers(
  connectors: readonly PlainObject[],
  rights: readonly PlainObject[],
  lines: readonly string[],
  ...more: readonly string[]
): Promise<void> {
  const made = imported(EXCHANGE, [DOMAINS, asClixml(connectors), asClixml(rights), ...more]);
  const { wrong } = await tried(made, lines);
  assert.deepEqual(wrong, []);
}

const ALL = [PRINTERS, LOGINS, SECURED];

test('with all of it they relay, so that what follows shows something', () =>
  answers(ALL, SOUND, [`proceed ${PRINTER}`, `proceed ${LOGIN}`, `proceed ${SERVER}`]));

test('of a connector without entries nothing is known, whatever others have', () =>
  answers(ALL, [entry('Printers', ANONYMOUS, RELAY)], [`proceed ${PRINTER}`, `reject ${LOGIN}`, `reject ${SERVER}`]));

test('a list without inherited entries and denials is told to be picked over', () => {
  const said = (rights: readonly PlainObject[]): boolean =>
    imported(EXCHANGE, [DOMAINS, asClixml(ALL), asClixml(rights)]).report.some(
      ({ loud, why }) => loud === true && why.includes('was the list filtered?'),
    );
  assert.equal(said([entry('Printers', ANONYMOUS, RELAY)]), true);
  assert.equal(said(SOUND), false);
});

for (const who of ['Tutti', 'Todos', 'S-1-5-2', 'NT-AUTORITÄT\\NETZWERK'])
  test(`a denial for ${who} may be one for everybody`, () =>
    answers(
      ALL,
      [...SOUND, ...['Printers', 'Logins', 'Secured'].map((name) => entry(name, who, RELAY, { Deny: true }))],
      [`reject ${PRINTER}`, `reject ${LOGIN}`, `reject ${SERVER}`],
    ));

test('a denial for a name that may be a group is one for every login; for an account with a mailbox only for that', async () => {
  const rights = [...SOUND, entry('Logins', 'CORP\\Contractors', RELAY, { Deny: true })];
  await answers(ALL, rights, [`reject ${LOGIN}`, `proceed ${PRINTER}`]);
  const mailboxes = asClixml([
    mailbox('contractors', ['c@example.com'], 'example.com'),
    mailbox('alice', ['alice@example.com'], 'example.com'),
  ]);
  const from = 'sender=alice@example.com -> x@foreign.example';
  await answers(
    ALL,
    rights,
    [
      `proceed 10.2.1.1 login=CORP\\alice ${from}`,
      'reject 10.2.1.1 login=CORP\\contractors sender=c@example.com -> x@foreign.example',
    ],
    mailboxes,
  );
});

const SUBMIT = ['ms-Exch-SMTP-Submit'];
const MIXED = receiveConnector('Mixed', 'Tls, Integrated', 'AnonymousUsers', { RemoteIPRanges: ['10.4.0.0/16'] });

test('who may not hand in mail once logged in does not relay, whatever else the account is given', async () => {
  const mailboxes = asClixml([mailbox('bad', ['bad@example.com'], 'example.com')]);
  const bad = 'login=CORP\\bad sender=bad@example.com -> x@foreign.example';
  const denial = entry('Logins', 'CORP\\bad', SUBMIT, { Deny: true });
  await answers(ALL, [...SOUND, denial], [`reject ${LOGIN}`]); // it may be a group
  await answers(ALL, SOUND, [`proceed 10.2.1.1 ${bad}`], mailboxes);
  await answers(ALL, [...SOUND, denial], [`reject 10.2.1.1 ${bad}`], mailboxes);
  const service = '10.4.1.1 login=CORP\\service -> x@foreign.example';
  const relays = entry('Mixed', 'CORP\\service', RELAY);
  await answers([MIXED], [relays], [`reject ${service}`, 'proceed 10.4.1.1 -> user@example.com']);
  await answers([MIXED], [relays, entry('Mixed', 'CORP\\service', SUBMIT)], [`proceed ${service}`]);
});

test('where nobody needs a login to relay, a denial is for the account alone', () =>
  answers(
    ALL,
    [
      ...SOUND,
      entry('Printers', 'CORP\\service', RELAY, { Deny: true }),
      entry('Printers', 'CORP\\Domain Guests', RELAY, { Deny: true }),
    ],
    [`proceed ${PRINTER}`, 'reject 10.1.1.1 login=CORP\\service -> x@foreign.example'],
  ));

test('a denial of all extended rights counts, whatever stands beside it', () =>
  answers(
    ALL,
    [
      ...SOUND,
      entry('Printers', ANONYMOUS, [], { Deny: true, AccessRights: ['ReadProperty, ExtendedRight'] }),
      entry('Secured', 'MS Exchange\\Externally Secured Servers', [], { Deny: true, AccessRights: ['GenericAll'] }),
    ],
    [`refuse-connection ${PRINTER}`, `refuse-connection ${SERVER}`],
  ));

test('an extended right without a name, and one that is for what stands below, are no right to relay', () =>
  answers(
    ALL,
    [
      ...NOTHING,
      entry('Printers', ANONYMOUS, [], { AccessRights: ['ExtendedRight'] }),
      entry('Printers', ANONYMOUS, RELAY, { InheritanceType: 'Descendents' }),
    ],
    [`reject ${PRINTER}`],
  ));

test('whether a connector is switched on must be said', async () => {
  const { Enabled: _, ...unsaid } = PRINTERS;
  await answers([unsaid, LOGINS, SECURED], SOUND, [`reject ${PRINTER}`, `proceed ${LOGIN}`]);
  await answers([{ ...PRINTERS, Enabled: false }, LOGINS, SECURED], SOUND, [`refuse-connection ${PRINTER}`]);
});

/** The one sentence with its place. */
function fault(...texts: readonly string[]): string {
  const { faults } = imported(EXCHANGE, [DOMAINS, ...texts]);
  assert.equal(faults.length, 1, JSON.stringify(faults));
  const { file, line, column, message } = faults[0] as (typeof faults)[number];
  return `${file}:${line}:${column}: ${message}`;
}

test('what cannot be read where a right hangs on it is a fault', () => {
  const good = asClixml(ALL);
  for (const key of ['Enabled', 'RequireTLS'])
    assert.match(
      fault(asJson([{ ...PRINTERS, [key]: 'Wahr' }])),
      new RegExp(`^b\\.txt:\\d+:9: ${key} of 'Printers' is "Wahr": True or False is wanted$`),
    );
  assert.match(
    fault(asJson([{ ...PRINTERS, RemoteIPRanges: [] }])),
    /^b\.txt:2:5: a receive connector without RemoteIPRanges/,
  );
  assert.match(fault(asJson([{ ...PRINTERS, Bindings: [] }])), /^b\.txt:2:5: a receive connector without Bindings/);
  assert.match(
    fault(good, asClixml(SOUND).replace('<B N="Deny">false</B>', '<B N="Deny">falsch</B>')),
    /^c\.txt:\d+:\d+: <B> holds "falsch": true or false is wanted$/,
  );
  assert.match(
    fault(good, asClixml([entry('Printers', ANONYMOUS, [''], { Deny: true })])),
    /^c\.txt:\d+:\d+: one of its ExtendedRights has no name/,
  );
});

test('a connector that has entries and is missing may have been a narrower one', () => {
  assert.match(
    fault(asClixml([PRINTERS, LOGINS]), asClixml(SOUND)),
    /^c\.txt:\d+:\d+: 'EX01\\Secured' is not among the connectors: is the file with those cut off\?$/,
  );
  const elsewhere = { ...entry('Other', ANONYMOUS, RELAY), Identity: 'EX02\\Other' };
  assert.deepEqual(imported(EXCHANGE, [DOMAINS, asClixml(ALL), asClixml([...SOUND, elsewhere])]).faults, []);
});

test('1 is a denial as true is', async () => {
  const rights = asClixml([...SOUND, entry('Printers', ANONYMOUS, RELAY, { Deny: true })]);
  const made = imported(EXCHANGE, [DOMAINS, asClixml(ALL), rights.replaceAll('>true</B>', '>1</B>')]);
  assert.deepEqual((await tried(made, [`reject ${PRINTER}`])).wrong, []);
});

test('CSV and Format-List whose last line has no end are taken for cut off', () => {
  for (const text of [asCsv([PRINTERS]).trimEnd(), asFormatList([PRINTERS]).trimEnd()])
    assert.match(fault(text), /^b\.txt:\d+:\d+: the last line has no end: is the file cut off\?/);
});
