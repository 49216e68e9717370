// One account in many spellings: a no holds for each that may be it, a yes for the one that is written, and two people who
// have a name in common stay two.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mayBeOne, type Realm, UserNames } from '../../src/policy/accounts.ts';
import type { ConditionsDocument, ConnectorDocument, PolicyDocument } from '../../src/policy/document.ts';
import type { Policy } from '../../src/policy/policy.ts';
import { Suspects } from '../../src/policy/suspects.ts';
import { answer, connector, decide, login, mail, rcpt, sound } from './build.ts';

const foreign = 'x@foreign.example';
const client = '192.0.2.1';
const domains = { CORP: 'corp.example.com', SALES: 'sales.example.com' };

/** The same as CORP\steven to a Windows that has these domains, or perhaps the same. */
const MAY_BE_STEVEN = [
  'corp.example.com\\steven',
  'CORP.Example.COM.\\STEVEN',
  'steven@CORP',
  'steven@corp.example.com.',
  'steven',
  'Steven ',
  ' CORP\\steven',
  'CORP \\ steven',
  '\\steven',
  '.\\steven',
  '\u00ad\\steven',
  'SALES\\\\steven',
  'steven\\',
  'steven@',
  'steven@another-suffix.example',
  'another-name.local\\steven',
  'CORP/steven',
  'steven%corp.example.com',
  'CORP\\steven@corp.example.com',
  'CORP/steven/mailbox',
  'ｓｔｅｖｅｎ',
  'CORP\\ste\u00adven',
  'a\\b\\c\\d\\e\\f\\g\\h\\i\\j',
];
const SURELY_STEVEN = ['CORP\\steven', 'corp\\STEVEN', 'steven@corp.example.com'];
const OTHERS = [
  'SALES\\steven',
  'steven@sales.example.com',
  'sales.example.com\\steven',
  'OTHER\\steven',
  'steven@OTHER',
  'CORP\\stephen',
  'stevens',
  'corp',
  'CORP\\',
  'a\\b\\c\\d\\e\\f\\g\\h',
];

function policy(rules: ConnectorDocument['rules'], given: Partial<PolicyDocument> = {}): Policy {
  return sound({ user_domains: domains, ...given, connectors: [connector({ rules, i_know_this_is_open: true })] });
}

const asks = (asked: Policy, name: string): Promise<string> =>
  answer(asked, client, rcpt(foreign, { login: login(name) }));

for (const [what, rules] of [
  ['a deny of a user', [{ deny: { users: ['CORP\\steven'] } }, { allow: { authenticated: true } }]],
  ['a deny by his address', [{ deny: { users: ['steven@corp.example.com'] } }, { allow: { authenticated: true } }]],
  ['a deny of a group', [{ deny: { groups: ['out'] } }, { allow: { authenticated: true } }]],
  ['an allow that excludes him', [{ allow: { authenticated: true, not: { users: ['CORP\\steven'] } } }]],
  ['an allow that excludes his group', [{ allow: { not: { not: { not: { groups: ['out'] } } } } }]],
] satisfies [string, ConnectorDocument['rules']][])
  test(`${what} holds in every spelling, and for nobody else`, async () => {
    const asked = policy(rules, { groups: { out: ['CORP\\steven', 'CORP\\carol'] } });
    for (const name of [...SURELY_STEVEN, ...MAY_BE_STEVEN]) assert.match(await asks(asked, name), /^554/, name);
    for (const name of OTHERS) assert.equal(await asks(asked, name), 'proceed', name);
  });

test('a yes holds for the one spelling, and where it is excluded from a deny too', async () => {
  const rules: ConditionsDocument[][] = [[{ users: ['CORP\\steven'] }], [{ groups: ['in'] }]];
  for (const [conditions = {}] of rules) {
    const allows = policy([{ allow: conditions }], { groups: { in: ['CORP\\steven'] } });
    const spares = policy([{ deny: { not: conditions } }, { allow: {} }], { groups: { in: ['CORP\\steven'] } });
    for (const name of SURELY_STEVEN) {
      assert.equal(await asks(allows, name), 'proceed', name);
      assert.equal(await asks(spares, name), 'proceed', name);
    }
    for (const name of [...MAY_BE_STEVEN, ...OTHERS]) {
      assert.equal(await asks(allows, name), '554 no_rule', name);
      assert.equal(await asks(spares, name), '554 rule', name);
    }
  }
});

test('a right to submit is a yes', async () => {
  const submits = sound({
    user_domains: domains,
    connectors: [connector({ submit: { users: ['CORP\\steven'] } })],
  });
  const may = (name: string): Promise<string> => answer(submits, client, mail('a@b.example', { login: login(name) }));
  for (const name of SURELY_STEVEN) assert.equal(await may(name), 'proceed');
  for (const name of MAY_BE_STEVEN) assert.equal(await may(name), '530 submit', name);
});

test('who may be one whose senders are listed sends as that one or not at all', async () => {
  const ask = (others: 'allow' | 'deny', name: string, sender: string): Promise<string> => {
    const senders = {
      own_domains: 'allow' as const,
      own_address: 'free' as const,
      others,
      login_must_match: { 'CORP\\steven': ['steven@local.example'], 'SALES\\steven': ['sales@local.example'] },
    };
    const asked = sound({ user_domains: domains, connectors: [connector({ senders })] });
    return answer(asked, client, mail(sender, { login: login(name) }));
  };
  for (const name of SURELY_STEVEN) {
    assert.equal(await ask('allow', name, 'steven@local.example'), 'proceed', name);
    assert.equal(await ask('deny', name, 'steven@local.example'), 'proceed', name);
    assert.equal(await ask('allow', name, 'boss@local.example'), '550 sender', name);
  }
  assert.equal(await ask('allow', 'corp.example.com\\steven', 'steven@local.example'), 'proceed');
  for (const name of MAY_BE_STEVEN) {
    assert.equal(await ask('allow', name, 'boss@local.example'), '550 sender', name);
    assert.equal(await ask('deny', name, 'steven@local.example'), '550 sender', `${name} has no yes`);
  }
  assert.equal(await ask('allow', 'steven', 'steven@local.example'), '550 sender', 'he may be the other one');
  assert.equal(await ask('allow', 'SALES\\steven', 'sales@local.example'), 'proceed');
  assert.equal(await ask('allow', 'OTHER\\steven', 'boss@local.example'), 'proceed');
});

test('without user_domains Windows may still have any name with dots; addresses of two domains are two people', async () => {
  const asked = (listed: string): Policy =>
    policy([{ deny: { users: [listed] } }, { allow: { authenticated: true } }], { user_domains: {} });
  const may = async (listed: string, name: string): Promise<boolean> => (await asks(asked(listed), name)) === 'proceed';
  assert.equal(await may('CORP\\steven', 'steven@corp.example.com'), false);
  assert.equal(await may('steven@corp.example.com', 'CORP\\steven'), false);
  assert.equal(await may('info@one.example', 'info@two.example'), true);
  assert.equal(await may('CORP\\bob', 'OTHER\\bob'), true);
  assert.equal(await may('bob', 'CORP\\bob'), false);
  assert.equal(await may('bob', 'bob@one.example'), false);
});

test('names are the same as Windows folds them: case, accents, width, kana; and in a code page that nobody names', async () => {
  const may = (listed: string, name: string): boolean =>
    Suspects.of(new UserNames(), [listed]).find(login(name)) !== null;
  for (const [listed, name] of [
    ['CORP\\müller', 'CORP\\MÜLLER'],
    ['CORP\\müller', 'CORP\\mu\u0308ller'],
    ['CORP\\müller', 'CORP\\muller'],
    ['CORP\\muller', 'müller@corp'],
    ['CORP\\straße', 'CORP\\STRASSE'],
    ['CORP\\søren', 'CORP\\SOREN'],
    ['CORP\\đðłħþæœ', 'CORP\\ddlhthaeoe'],
    ['CORP\\ΣΊΣΥΦΟΣ', 'CORP\\σίσυφος'],
    ['CORP\\カナ', 'CORP\\かな'],
    ['CORP\\müller', 'CORP\\m\x81ller'], // CP850
    ['CORP\\müller', 'CORP\\m\xc3\xbcller'], // UTF-8, octet by octet
    ['CORP\\привет', 'CORP\\\xef\xf0\xe8\xe2\xe5\xf2'], // CP1251
    ['CORP\\привет', 'CORP\\\xaf\xe0\xa8\xa2\xa5\xe2'], // CP866
    ['CORP\\öü', 'CORP\\\x94\x81'], // CP850, no letter of ASCII
    ['BÜRO\\bob', 'büro\\bob'],
    ['bob@bücher.example', 'bob@xn--bcher-kva.example'],
  ] as const)
    assert.ok(may(listed, name), `${listed} ${name}`);
  for (const [listed, name] of [
    ['CORP\\müller', 'CORP\\möller'],
    ['CORP\\müller', 'CORP\\miller'],
    ['CORP\\привет', 'CORP\\пока'],
    ['CORP\\привет', 'CORP\\éпока'],
    ['CORP\\приветa', 'CORP\\\xef\xf0b'],
    ['CORP\\привет1', 'CORP\\1\xef'],
  ] as const)
    assert.ok(!may(listed, name), `${listed} ${name}`);
});

test('the log and explain say whom a login may be', async () => {
  const rules = [{ name: 'never', deny: { users: ['CORP\\steven'] } }, { allow: { authenticated: true } }];
  const trace = async (given: ConnectorDocument['rules'], name: string): Promise<string | undefined> =>
    (await decide(policy(given), client, rcpt(foreign, { login: login(name) })))?.trace?.();
  assert.equal(await trace(rules, 'steven'), 'never yes(steven may be CORP\\steven)');
  assert.equal(await trace(rules, 'CORP\\steven'), 'never yes');
  assert.equal(
    await trace([{ name: 'all', allow: { not: { users: ['CORP\\steven'] } } }], 'steven@CORP'),
    'all no(not: steven@CORP may be CORP\\steven)',
  );
});

test('a login has the same limit in every spelling; two people of known domains have one each', () => {
  const users = new UserNames();
  for (const [windows, mailDomain] of Object.entries(domains)) users.add(windows, mailDomain);
  const keys = (name: string): string[] => users.limitKeys(login(name));
  const shared = (a: string, b: string): boolean => keys(a).some((key) => keys(b).includes(key));
  for (const name of [...SURELY_STEVEN, ...MAY_BE_STEVEN.slice(0, -1)]) assert.ok(shared(name, 'CORP\\steven'), name);
  for (const [a, b] of [
    ['CORP\\steven', 'SALES\\steven'],
    ['corp.example.com\\steven', 'steven@sales.example.com'],
    ['CORP\\steven', 'OTHER\\steven'],
    ['CORP\\steven', 'CORP\\stephen'],
  ] as const)
    assert.ok(!shared(a, b), `${a} ${b}`);
  assert.ok(shared('FIRST\\steven', 'SECOND\\steven'), 'nobody told these domains apart');
  assert.ok(shared('FIRST\\steven', 'steven'));
  assert.deepEqual(
    keys('a\\b\\c\\d\\e\\f\\g\\h\\i'),
    ['a\\b\\c\\d\\e\\f\\g\\h\\i'],
    'as it is, where it may be anybody',
  );
  assert.deepEqual(users.limitKeys(login(null)), [''], 'all without a name together');
  const hosting = new UserNames();
  assert.deepEqual(hosting.limitKeys(login('Info@one.example')), ['info@one.example']);
  assert.deepEqual(hosting.limitKeys(login('CORP\\Info')), ['corp\\info'], 'who tells of no domain is not mixed up');
});

test('names that are like a domain of ours are no names in it', async () => {
  const asked = (listed: string): Policy =>
    policy([{ allow: { users: [listed] } }], { user_domains: { CORP: 'corp.example.com', X: 'x.example.com' } });
  assert.equal(await asks(asked('CORP\\corpx'), 'corpx'), '554 no_rule');
  assert.equal(await asks(asked('X\\bob'), 'bob@x.example.com'), 'proceed');
});

test('two domains may be one where one is not told, or one has dots and the other none', () => {
  const corp: Realm = { kind: 'flat', name: 'corp' };
  const known: Realm = { kind: 'known', name: 'corp.example.com' };
  const dotted: Realm = { kind: 'dotted', name: 'corp.local' };
  const none: Realm = { kind: 'none', name: '' };
  for (const [a, b, may] of [
    [corp, { kind: 'flat', name: 'corp' }, true],
    [corp, { kind: 'flat', name: 'lab' }, false],
    [corp, known, false],
    [corp, dotted, true],
    [known, dotted, true],
    [dotted, { kind: 'dotted', name: 'lab.local' }, false],
    [known, { kind: 'known', name: 'lab.example.com' }, false],
    [none, known, true],
  ] as const) {
    assert.equal(mayBeOne(a, b), may, `${a.name} ${b.name}`);
    assert.equal(mayBeOne(b, a), may, `${b.name} ${a.name}`);
  }
});

test('no name is too odd to be read', () => {
  const users = new UserNames();
  users.add('CORP', 'corp.example.com');
  const suspects = Suspects.of(users, ['CORP\\steven', 'müller', 'a@b']);
  const part = fc.oneof(fc.constantFrom('\\', '@', '/', '%', '.', ' ', 'steven', 'CORP', '\ud800'), fc.string());
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const name = login(parts.join(''));
      assert.ok([...suspects.whoMayBe(name)].length <= 24);
      assert.ok(users.limitKeys(name).length > 0);
    }),
  );
});
