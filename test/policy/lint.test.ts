// What check says of a policy that is spelled well, and what it does not say of one beside it that differs in one word.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectorDocument, PartialLimits, PolicyDocument, RuleDocument } from '../../src/policy/document.ts';
import { lintBlock } from '../../src/policy/lint-limits.ts';
import type { PolicyOptions } from '../../src/policy/options.ts';
import { compile, complaints, connector, sound } from './build.ts';

const CLIENT = ['192.0.2.7']; // one address, about which nothing is said

function saidOf(
  given: Partial<ConnectorDocument>,
  more: Partial<PolicyDocument> = {},
  options: Partial<PolicyOptions> = {},
): string[] {
  return complaints({ connectors: [connector(given)], ...more }, options);
}

/** Of these rules, with what every relaying address is told for left out. */
function saidOfRules(rules: RuleDocument[], given: Partial<ConnectorDocument> = {}): string[] {
  return saidOf({ rules, ...given }).filter((text) => !text.includes('public addresses may relay'));
}

const OPEN = /^error: .*everyone in any may relay to every domain without a login/;
const openOnes = (...rules: RuleDocument[]): number => saidOf({ rules }).filter((text) => OPEN.test(text)).length;

test('rules without a name are not called by one', () => {
  const rule = (source: string): RuleDocument => ({ allow: { sources: [source], authenticated: true } });
  assert.deepEqual(saidOfRules([rule('192.0.2.7'), rule('192.0.2.8')]), []);
});

test('an accepted or relayed domain is said never to pass where all of it is blocked, and only there', () => {
  const said = (accepted: string, blocked: string): string[] =>
    saidOf({ remote_ip_ranges: CLIENT }, { accepted_domains: [accepted], blocked_domains: [blocked] });
  const never = (accepted: string, blocked: string): string[] => [
    `warning: '${accepted}' never passes: blocked_domains has '${blocked}', and that is looked at first`,
  ];
  for (const [accepted, blocked] of [
    ['a.example', 'a.example'],
    ['A.example.', '*.example'],
    ['*.a.example', '*.a.example'],
    ['*.b.a.example', '*.a.example'],
    ['bücher.example', 'bücher.example'],
    ['*.bücher.example', '*.xn--bcher-kva.example'],
  ] as const)
    assert.deepEqual(said(accepted, blocked), never(accepted, blocked));
  assert.deepEqual(said('*.a.example', 'a.example'), [], 'what is below it passes');
  assert.deepEqual(said('a.example', '*.b.a.example'), []);
  assert.deepEqual(said('*.a.example', 'x.a.example'), []);
});

test('a denial of recipients is said to deny nobody where all of them pass before it, and only there', () => {
  const said = (deny: RuleDocument['deny'], accepted: string[]): string[] =>
    saidOf({ remote_ip_ranges: CLIENT, rules: [{ deny }] }, { accepted_domains: accepted }).map(
      (text) => /mail for '.*' passes before any rule/.exec(text)?.[0] ?? text,
    );
  const passes = (what: string): string[] => [`mail for '${what}' passes before any rule`];
  assert.deepEqual(said({ recipient_domains: ['*.a.example.'] }, ['*.a.example']), passes('*.a.example.'));
  assert.deepEqual(said({ recipient_domains: ['*.x.a.example'] }, ['*.a.example']), passes('*.x.a.example'));
  assert.deepEqual(said({ recipient_domains: ['*.a.example'] }, ['a.example', 'x.a.example']), []);
  assert.deepEqual(said({ recipients: ['u@bücher.example'] }, ['bücher.example']), passes('u@bücher.example'));
  assert.deepEqual(said({ recipients: ['u@x.a.example'] }, ['a.example']), []);
});

test('a denial of senders with nothing behind it is told what would help, by whose senders they are', () => {
  const hint = (deny: RuleDocument['deny']): boolean => {
    const [text = ''] = saidOf(
      { remote_ip_ranges: CLIENT, rules: [{ deny }] },
      { accepted_domains: ['a.example', '*.b.example'] },
    );
    assert.match(text, /rule 'rule 1' changes nothing/);
    assert.notEqual(text.includes('own_domains: authenticated'), text.includes('anybody can write'));
    return text.includes('own_domains: authenticated');
  };
  assert.equal(hint({ senders: ['x@foreign.example', 'boss@A.example'] }), true);
  assert.equal(hint({ sender_domains: ['*.a.example'] }), true);
  assert.equal(hint({ sender_domains: ['a.example.'] }), true);
  assert.equal(hint({ senders: ['boss@x.b.example'] }), true);
  assert.equal(hint({ senders: ['boss@x.a.example'] }), false);
  assert.deepEqual(saidOf({ remote_ip_ranges: CLIENT, rules: [{ deny: { senders: [] } }] }), [
    'warning: an empty list never holds',
  ]);
});

test('an open relay is told behind what does not close it', () => {
  assert.equal(openOnes({ allow: {} }), 1);
  assert.equal(openOnes({ deny: {} }, { allow: {} }), 0);
  assert.equal(openOnes({ deny: { sources: ['any'] } }, { allow: {} }), 0);
  assert.equal(openOnes({ deny: { sources: ['any'], tls: true } }, { allow: {} }), 1);
  assert.equal(openOnes({ deny: { tls: true } }, { allow: {} }), 1);
  assert.equal(openOnes({ deny: {}, expires: '2027-06-30' }, { allow: {} }), 1, 'one day it is');
  assert.equal(openOnes({ allow: {} }, { allow: { tls: true } }), 2);
  assert.equal(openOnes({ allow: { sources: ['any'] } }, { allow: { tls: true } }), 2);
  assert.equal(openOnes({ deny: {} }, { allow: {} }, { allow: {} }), 0);
});

test('who may relay to named domains, or from few addresses, is told as that', () => {
  const said = (...sources: string[]): string[] => saidOf({ rules: [{ allow: { sources } }] });
  assert.deepEqual(saidOf({ rules: [{ allow: { sources: CLIENT, recipient_domains: ['p.example'] } }] }), []);
  assert.deepEqual(said('192.0.2.1', '192.0.2.3', '192.0.2.5'), [
    'note: public addresses may relay to every domain: 192.0.2.1, 192.0.2.3, 192.0.2.5',
  ]);
  assert.deepEqual(said('192.0.2.1', '192.0.2.3', '192.0.2.5', '192.0.2.7'), [
    'note: public addresses may relay to every domain: 192.0.2.1, 192.0.2.3, 192.0.2.5, …',
  ]);
});

const HOST = { ownAddresses: ['10.0.0.7', 'not read'], gateways: ['10.0.0.1'] };
const gives = (text: string, what: string): string =>
  `error: '${text}' gives ${what} a right to relay: clients whose address a NAT or a proxy has hidden seem to come from there; leave it out of the range, or list it by itself`;

test('a range that gives a lost address a right to relay is told, for as long as that one does not stand by itself', () => {
  const own = '10.0.0.7 (an address of this host)';
  const gateway = '10.0.0.1 (a default gateway of this host)';
  const said = (...sources: string[]): string[] => saidOf({ rules: [{ allow: { sources } }] }, {}, HOST);
  assert.deepEqual(said('10.0.0.0/24', '10.0.1.9'), [gives('10.0.0.0/24', own)]);
  assert.deepEqual(said('10.0.0.0/24', '10.0.0.7'), [gives('10.0.0.0/24', gateway)]);
  assert.deepEqual(said('10.0.0.0/24', '10.0.0.7', '10.0.0.1'), []);
  assert.deepEqual(said('::/120').slice(1), [gives('::/120', 'loopback')]);
  assert.equal(said('::/120', '::1').join().includes('right to relay'), false);
  assert.deepEqual(said('0.0.0.0/8'), [], 'what cannot be read as an address is none');
});

test('a range of a connector gives that right where a rule lets everybody in it relay', () => {
  const said = (rules: RuleDocument[], given: Partial<ConnectorDocument> = {}): string[] =>
    saidOf({ remote_ip_ranges: ['10.0.0.0/24'], rules, ...given }, {}, HOST);
  const told = [gives('10.0.0.0/24', '10.0.0.7 (an address of this host)')];
  assert.deepEqual(said([{ allow: {} }]), told);
  assert.deepEqual(said([{ deny: { tls: true } }, { allow: {} }]), told);
  assert.deepEqual(said([{ allow: { recipient_domains: ['p.example'] } }]), told);
  assert.deepEqual(said([{ deny: { tls: true } }]), []);
  assert.deepEqual(said([{ allow: { sources: ['10.0.0.9'] } }]), []);
  assert.deepEqual(said([{ allow: { authenticated: true } }]), []);
  assert.deepEqual(said([{ allow: {} }], { submit: 'authenticated' }), []);
  assert.deepEqual(said([{ allow: { sources: ['10.0.0.0/25'] } }], { submit: 'authenticated' }), []);
});

test('who comes from a lost address is not answered where its range would let it relay', () => {
  const isAnswered = (given: Partial<ConnectorDocument>): boolean => {
    const open = connector({ i_know_this_is_open: true, ...given });
    const ends = { clientAddress: '10.0.0.7', localAddress: '192.0.2.25', localPort: 25 };
    return sound({ connectors: [open] }, HOST).connectorFor(ends) !== null;
  };
  const everybody = [{ allow: {} }];
  const partner = [{ allow: { recipient_domains: ['p.example'] } }];
  assert.equal(isAnswered({ rules: everybody }), false);
  assert.equal(isAnswered({ rules: everybody, submit: 'authenticated' }), true);
  assert.equal(isAnswered({ rules: [], submit: 'authenticated' }), true);
  assert.equal(isAnswered({ rules: partner }), true, 'as everybody in the world');
});

test('a rule that ends is told a month before, and at its end', () => {
  const said = (now: number): string[] =>
    saidOf(
      {
        remote_ip_ranges: ['192.0.2.0/25'],
        rules: [
          { deny: { senders: ['x@foreign.example'] } },
          { name: 'x', allow: { sources: ['10.9.9.9'], tls: true }, expires: '2026-11-22' },
        ],
        starttls: 'terminate',
      },
      {},
      { now: () => now },
    ).map((text) => text.replace(/: no allow stands behind it,.*/, ''));
  const end = Date.UTC(2026, 10, 23);
  const day = 86_400_000;
  const elsewhere = ["warning: rule 'x' can never match: none of its sources lies in the connector's remote_ip_ranges"];
  assert.deepEqual(said(end - 30 * day - 1), elsewhere);
  assert.deepEqual(said(end - 30 * day), ["warning: rule 'x' expires in 30 days", ...elsewhere]);
  assert.deepEqual(said(end - day - 1), ["warning: rule 'x' expires in 2 days", ...elsewhere]);
  assert.deepEqual(said(end - day), ["warning: rule 'x' expires in a day", ...elsewhere]);
  assert.deepEqual(said(end), [
    "warning: rule 'rule 1' changes nothing",
    "warning: rule 'x' has expired and never matches",
  ]);
  const open = (now: number): string[] =>
    saidOf({ rules: [{ allow: {}, expires: '2026-11-22' }] }, {}, { now: () => now }).map((text) => text.slice(0, 5));
  assert.deepEqual([open(end - 1), open(end)], [['error', 'warni'], ['warni']]);
});

test('sources are said to lie elsewhere where no address is in both, masks with holes as well', () => {
  const ELSEWHERE = ["warning: rule 'x' can never match: none of its sources lies in the connector's remote_ip_ranges"];
  const said = (clients: string, source: string): string[] =>
    saidOfRules([{ name: 'x', allow: { sources: [source], authenticated: true } }], {
      remote_ip_ranges: [clients],
    }).filter((text) => !text.includes('has a mask with holes'));
  const holes = '10.0.1.0;255.0.255.0'; // 10.*.1.*
  assert.deepEqual(said('10.7.0.0/16', holes), []);
  assert.deepEqual(said('10.7.2.0/24', holes), ELSEWHERE);
  assert.deepEqual(said(holes, '10.7.1.9'), []);
  assert.deepEqual(said(holes, '10.7.2.9'), ELSEWHERE);
});

test('a rule for sessions in clear text asks for no TLS', () => {
  assert.deepEqual(saidOfRules([{ allow: { tls: false, authenticated: true } }]), []);
});

const limitsOf = (limits: PartialLimits, given: Partial<ConnectorDocument> = {}): string[] =>
  saidOf({ remote_ip_ranges: CLIENT, limits, ...given });
const INFINITE = Number.POSITIVE_INFINITY;
const RATE = { limit: 5, window: 60_000 };

test('a connector has no limit at all only where neither connections nor any rate have one', () => {
  const none = { source: { connections: INFINITE }, connector: { connections: INFINITE } };
  const told = ["warning: connector 'internet' has no limit at all: one client can take every connection"];
  assert.deepEqual(limitsOf(none), told);
  assert.deepEqual(limitsOf({ source: none.source }), []);
  assert.deepEqual(limitsOf({ connector: none.connector }), []);
  for (const rate of ['connection_rate', 'message_rate', 'recipient_rate', 'byte_rate', 'rejected_recipient_rate'])
    assert.deepEqual(limitsOf({ ...none, source: { ...none.source, [rate]: RATE } }), [], rate);
  for (const rate of ['message_rate', 'recipient_rate'])
    assert.deepEqual(limitsOf({ ...none, login: { [rate]: RATE } }), [], rate);
  assert.deepEqual(limitsOf({ ...none, sender: { message_rate: RATE } }), []);
  assert.deepEqual(limitsOf({ ...none, connector: { ...none.connector, message_rate: RATE } }), []);
  assert.deepEqual(limitsOf({ ...none, source: { ...none.source, message_rate: null } }), told);
});

test('limits that mean something are left alone', () => {
  assert.deepEqual(limitsOf({ login: { message_rate: RATE } }), []);
  assert.deepEqual(limitsOf({ ban: { after: RATE, for: 3_600_000 } }), []);
  assert.deepEqual(limitsOf({ source: { connections_percent: 2 } }), []);
  assert.deepEqual(limitsOf({ source: { ipv4_prefix: 0 } }), [], 'all of IPv4 is one source');
  assert.deepEqual(limitsOf({ tarpit: 299_999 }), []);
  assert.deepEqual(limitsOf({ tarpit: 300_000 }).length, 1);
  const told: string[] = [];
  const note = (_path: unknown, message: string): number => told.push(message);
  lintBlock({ tarpit: 5_000 }, {} as never, [], { error: note, warn: note });
  assert.deepEqual(told, []);
});

const REQUIRED = { own_domains: 'allow', login_must_match: {}, own_address: 'required', others: 'deny' } as const;

test('whose address nobody knows is looked for wherever users are named', () => {
  const said = (given: Partial<ConnectorDocument>, more: Partial<PolicyDocument> = {}): string[] =>
    saidOf(
      { remote_ip_ranges: CLIENT, senders: REQUIRED, ...given },
      { user_domains: { CORP: 'local.example' }, ...more },
    );
  const free = { ...REQUIRED, others: 'allow' } as const;
  const untold = [
    "warning: required, and user_domains does not tell the address of 'LAB\\bob': such a login sends as what login_must_match lists for it, or not at all",
  ];
  assert.deepEqual(said({}), []);
  assert.deepEqual(said({ submit: { users: ['CORP\\a', 'LAB\\bob'] } }), untold);
  assert.deepEqual(said({ submit: { groups: ['staff'] } }, { groups: { staff: ['CORP\\a'] } }), []);
  assert.deepEqual(said({ submit: { groups: ['staff'] } }, { groups: { staff: ['LAB\\bob'] } }), untold);
  assert.deepEqual(said({ rules: [{ deny: { users: ['LAB\\eve'] } }, { allow: { users: ['LAB\\bob'] } }] }), untold);
  const listed = { ...REQUIRED, login_must_match: { 'lab\\BOB': ['b@foreign.example'] } };
  assert.deepEqual(said({ senders: listed, submit: { users: ['LAB\\bob'] } }), []);
  assert.deepEqual(said({ senders: free }), [
    'note: a login whose address user_domains does not tell sends as it likes, since others is allow: others: deny refuses it',
  ]);
  assert.deepEqual(said({ senders: REQUIRED, auth: 'hide' }), [
    'warning: required, and nobody logs in here (auth: hide)',
  ]);
  assert.deepEqual(said({}, { user_domains: {} }), [
    'warning: required, and without user_domains no address is known: every login sends as what login_must_match lists for it, or not at all; user_domains: { CORP: example.com } says that CORP\\steven is steven@example.com, and { example.com: example.com } that steven@example.com is',
  ]);
});

test('what is said of own_address stands at its key', () => {
  const { problems } = compile({ connectors: [connector({ remote_ip_ranges: CLIENT, senders: REQUIRED })] });
  const places = problems.map(({ path }) => path.join('.'));
  assert.deepEqual(places.slice(-1), ['connectors.0.senders.own_address']);
});

test('an address that is required on one connector of several is asked about', () => {
  const connectors = [connector({ remote_ip_ranges: CLIENT }), connector({ name: 'two', senders: REQUIRED })];
  assert.deepEqual(complaints({ user_domains: { CORP: 'corp.example' }, connectors }), [
    'warning: logins of CORP have to send as …@corp.example (own_address: required), and no such domain is accepted',
  ]);
  assert.deepEqual(
    complaints({ user_domains: { CORP: 'corp.example' }, connectors: [connector({ remote_ip_ranges: CLIENT })] }),
    [],
  );
});
