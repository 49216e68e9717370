// What a decision says beside yes and no: its reason for the log, its reply, what was tried; and the corners of each condition.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Facts, Rule } from '../../src/policy/condition.ts';
import type { ConditionsDocument, ConnectorDocument, PolicyDocument, RuleDocument } from '../../src/policy/document.ts';
import type { PolicyOptions } from '../../src/policy/options.ts';
import { formatPath } from '../../src/policy/problem.ts';
import { settledMatch } from '../../src/policy/rules.ts';
import { guessed, type Unknown } from '../../src/policy/truth.ts';
import { formatReply } from '../../src/smtp/replies.ts';
import type { Question } from '../../src/smtp/types.ts';
import { answer, compile, complaints, connector, decide, login, mail, noon, rcpt, sound } from './build.ts';

const client = '192.0.2.1';
const foreign = 'x@foreign.example';
const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

function withRules(rules: RuleDocument[], more: Partial<PolicyDocument> = {}, options: Partial<PolicyOptions> = {}) {
  return sound({ ...more, connectors: [connector({ rules, i_know_this_is_open: true })] }, options);
}

function withSenders(senders: Partial<ConnectorDocument['senders']>, more: Partial<PolicyDocument> = {}) {
  const all = { ...connector({}).senders, ...senders };
  return sound({ ...more, connectors: [connector({ senders: all })] });
}

const trace = async (rules: RuleDocument[], question: Question): Promise<string | undefined> =>
  (await decide(withRules(rules), client, question))?.trace?.();

test('what lets a recipient pass is named', async () => {
  const policy = withRules([{ name: 'lan', allow: { sources: [client] } }], { relay_domains: ['partner.test'] });
  for (const [recipient, reason] of [
    ['a@local.example', 'accepted_domain'],
    ['a@partner.test', 'relay_domain'],
    [foreign, 'rule'],
  ] as const)
    assert.equal((await decide(policy, client, rcpt(recipient)))?.reason, reason);
});

test('what cannot be told is said of the sender at MAIL, and of the recipient at RCPT', async () => {
  const policy = sound({
    connectors: [connector({ submit: { users: ['alice'] }, rules: [{ allow: { users: ['alice'] } }] })],
  });
  const said = async (question: Question): Promise<string> => {
    const decision = await decide(policy, client, question);
    assert.ok(decision?.action === 'reject');
    return formatReply(decision.reply, true, { recipient: foreign }).toString('latin1');
  };
  const unnamed = { login: login(null) };
  assert.match(await said(mail('a@b.example', unnamed)), /^451 4\.7\.1 .*this sender/);
  assert.match(await said(rcpt(foreign, unnamed)), /^451 4\.7\.1 <x@foreign\.example>: .*relaying/);
});

test('a login may always be tried: whom it lets in is the word of the server behind', async () => {
  const policy = sound({ connectors: [connector({ require_tls: true, submit: 'authenticated' })] });
  assert.equal(await answer(policy, client, rcpt([], { protocolState: 'AUTH' })), 'proceed');
});

test('in observe a path that names nobody is refused all the same', async () => {
  assert.equal(await answer(sound({}, { mode: 'observe' }), client, rcpt([])), '554 syntax');
});

test('DNS is not asked for what it cannot answer, and where nobody may ask it nothing passes', async () => {
  let asked = 0;
  const resolve = async () => {
    asked++;
    return ['pc.corp.example'];
  };
  const unnamed = rcpt(foreign, { login: login(null) });
  assert.equal(
    await answer(withRules([{ allow: { users: ['alice'] } }], {}, { resolve }), client, unnamed),
    '451 cannot_tell',
  );
  assert.equal(asked, 0);
  const byName: RuleDocument[] = [{ allow: { ptr: ['pc.corp.example'] } }];
  assert.equal(await answer(withRules(byName, {}, { resolve }), client, rcpt(foreign)), 'proceed');
  assert.equal(await answer(withRules(byName), client, rcpt(foreign)), '451 cannot_tell');
});

test('an address literal is asked of no rule, in the account as well', () => {
  const ends = { address: client, localAddress: '192.0.2.25', localPort: 25 };
  const [only] = withRules([{ allow: {} }]).connectors;
  const question = rcpt('x@[192.0.2.99]');
  assert.deepEqual(
    only?.stepsFor(ends, question, question.addresses[0] as Question['addresses'][number], null)?.trials,
    [],
  );
});

test('only the tag itself makes an IPv6 address of a literal', async () => {
  const policy = sound({ accepted_literals: ['2001:db8::25'] });
  assert.equal(await answer(policy, client, rcpt('x@[IPv6:2001:db8::25]')), 'proceed');
  for (const literal of ['xIPv6:2001:db8::25', 'IPv6:IPv6:2001:db8::25', 'IPv6:2001:db8::25x'])
    assert.equal(await answer(policy, client, rcpt(`x@[${literal}]`)), '554 relay_trick', literal);
});

test('an address literal as sender is ours where it is one of ours, or cannot be read and we have some', async () => {
  const may = (sender: string, accepted_literals: string[]): Promise<string> =>
    answer(withSenders({ own_domains: 'deny' }, { accepted_literals }), client, mail(sender));
  const ours = ['192.0.2.25', '2001:db8::25'];
  assert.equal(await may('x@[IPv6:2001:db8::25]', ours), '550 sender');
  assert.equal(await may('x@[2001:db8::25]', ours), '550 sender');
  assert.equal(await may('x@[IPv6:2001:db8::99]', ours), 'proceed');
  assert.equal(await may('x@[what]', ours), '550 sender');
  assert.equal(await may('x@[20IPv6:01:db8::99]', ours), '550 sender');
  assert.equal(await may('x@[what]', []), 'proceed');
  assert.equal(await may('boss', []), '550 sender', 'the server behind completes a bare name');
});

test('a refusal says how a domain was read, and nothing where it was read as written', async () => {
  const blocked = sound({ blocked_domains: ['bücher.example'] });
  const blockedAs = async (domain: string) => (await decide(blocked, client, rcpt(`x@${octets(domain)}`)))?.trace;
  assert.equal((await blockedAs('bÜcher.example'))?.(), 'bÜcher.example may be read as bücher.example');
  assert.equal(await blockedAs('bücher.example'), undefined);
  const held = withSenders({ own_domains: 'deny' });
  const heldAs = async (domain: string) => (await decide(held, client, mail(`x@${octets(domain)}`)))?.trace;
  assert.equal((await heldAs('ｌocal.example'))?.(), 'ｌocal.example may be read as local.example');
  assert.equal(await heldAs('local.example'), undefined);
});

test('a refused sender says whom the login may be only where that is why', async () => {
  const listed = { login_must_match: { 'CORP\\carol': ['carol@local.example'] } };
  const why = async (given: Partial<ConnectorDocument>, name: string | null) => {
    const senders = { ...connector({}).senders, ...listed, ...given.senders };
    const policy = sound({ connectors: [connector({ ...given, senders })] });
    const decision = await decide(policy, client, mail('boss@local.example', { login: login(name) }));
    assert.equal(decision?.action, 'reject');
    return decision.trace?.();
  };
  assert.equal(await why({}, 'carol'), 'carol may be CORP\\carol');
  assert.equal(await why({}, 'CORP\\carol'), undefined);
  assert.equal(await why({ require_tls: true }, 'carol'), undefined);
  assert.equal(await why({ submit: { users: ['bob'] } }, 'carol'), undefined);
  assert.equal(await why({ senders: { ...connector({}).senders, ...listed, others: 'deny' } }, null), undefined);
});

test('an account says which spelling it was, of every kind of name, and of no other', async () => {
  const deny = (conditions: ConditionsDocument): RuleDocument[] => [{ name: 'never', deny: conditions }];
  const allow = (conditions: ConditionsDocument): RuleDocument[] => [{ name: 'some', allow: conditions }];
  const bad = `s@${octets('ｂad.example')}`;
  for (const [rules, question, told] of [
    [deny({ senders: ['s@bad.example'] }), rcpt(foreign, { sender: 's@bad.example' }), 'never yes'],
    [
      deny({ senders: ['s@bad.example'] }),
      rcpt(foreign, { sender: bad }),
      'never yes(s@ｂad.example may be read as one of them)',
    ],
    [deny({ senders: ['<>'] }), rcpt(foreign, { sender: '' }), 'never yes'],
    [deny({ senders: ['s@bad.example'] }), rcpt(foreign, { sender: 's@good.example' }), 'never no(senders)'],
    [allow({ senders: ['s@bad.example'] }), rcpt(foreign, { sender: bad }), 'some no(senders)'],
    [deny({ recipients: ['s@bad.example'] }), rcpt(bad), 'never yes(s@ｂad.example may be read as one of them)'],
    [allow({ recipients: ['s@bad.example'] }), rcpt(bad), 'some no(recipients)'],
    [
      deny({ sender_domains: ['bad.example'] }),
      rcpt(foreign, { sender: bad }),
      'never yes(ｂad.example may be read as bad.example)',
    ],
    [deny({ sender_domains: ['bad.example'] }), rcpt(foreign, { sender: '' }), 'never no(sender_domains)'],
    [deny({ sender_domains: ['bad.example'] }), rcpt(foreign), 'never no(sender_domains)'],
    [deny({ recipient_domains: ['bad.example'] }), rcpt(bad), 'never yes(ｂad.example may be read as bad.example)'],
    [
      deny({ tls: false, recipient_domains: ['bad.example'] }),
      rcpt(bad),
      'never yes(ｂad.example may be read as bad.example)',
    ],
    [
      deny({ helo: ['bad.example'] }),
      rcpt(foreign, { helo: octets('ｂad.example') }),
      'never yes(ｂad.example may be read as bad.example)',
    ],
    [deny({ users: ['CORP\\bob'] }), rcpt(foreign), 'never no(users)'],
    [deny({ not: { not: { users: ['bob'], tls: true } } }), rcpt(foreign, { login: login(null) }), 'never no(not)'],
    [allow({ local: ['192.0.2.26'] }), rcpt(foreign), 'some no(local)'],
    [allow({ recipient_domains: ['bad.example'] }), rcpt(foreign), 'some no(recipient_domains)'],
    [allow({ helo: ['bad.example'] }), rcpt(foreign), 'some no(helo)'],
    [allow({ users: ['CORP\\bob'] }), rcpt(foreign, { login: login('bob') }), 'some no(users)'],
  ] as const)
    assert.equal(await trace([...rules], question), told);
});

test('conditions that look at the local address take every way in which one is written', async () => {
  const holds = async (local: string[], at: string, more: ConditionsDocument = {}): Promise<boolean> =>
    (await answer(withRules([{ allow: { local, ...more } }]), client, rcpt(foreign), at)) === 'proceed';
  assert.ok(await holds(['2001:db8::25'], '2001:db8::25'));
  assert.ok(await holds(['[2001:db8::25]:25'], '2001:db8::25'));
  assert.ok(await holds(['2001:0db8::/32'], '2001:db8::25'));
  assert.ok(!(await holds(['192.0.2.26:25'], '192.0.2.25')));
  assert.ok(!(await holds(['192.0.2.25:26'], '192.0.2.25')));
  assert.ok(!(await holds(['any'], 'unknown')), 'an address that nobody can read is in no range');
  assert.deepEqual(
    complaints({ connectors: [connector({ remote_ip_ranges: ['10.0.0.0/8'], rules: [{ allow: { local: [] } }] })] }),
    ['warning: an empty list never holds'],
  );
});

test('a name in DNS: an empty list needs none, a lost address has none for a yes, and a no is for whom it names', async () => {
  const names = { value: ['pc.corp.example'] as string[] | null };
  const options = { resolve: async () => names.value };
  const ask = (rules: RuleDocument[], from = client, more: Partial<PolicyOptions> = {}): Promise<string> =>
    answer(withRules(rules, {}, { ...options, ...more }), from, rcpt(foreign));
  const corp = { ptr: ['*.corp.example'] };
  assert.equal(await ask([{ allow: corp }], '127.0.0.1'), '554 no_rule');
  assert.equal(await ask([{ allow: corp }], '127.0.0.1', { lostAddressGuard: 'warn' }), 'proceed');
  assert.equal(await ask([{ deny: corp }, { allow: { sources: ['127.0.0.1'] } }], '127.0.0.1'), '554 rule');
  assert.equal(await ask([{ deny: { ptr: ['*.bad.example'] } }, { allow: {} }]), 'proceed');
  names.value = null;
  assert.equal(await ask([{ allow: { ptr: [] } }]), '554 no_rule');
});

test('two questions are one where the lists are the same, and only there', async () => {
  const unnamed = rcpt(foreign, { login: login(null) });
  const ask = (
    first: ConditionsDocument,
    second: ConditionsDocument,
    more: Partial<PolicyOptions> = {},
  ): Promise<string> => answer(withRules([{ allow: first }, { allow: second }], {}, more), client, unnamed);
  assert.equal(await ask({ users: ['alice', 'bob'] }, { not: { users: ['Bob', 'ALICE'] } }), 'proceed');
  // As one question each of these would be a pass.
  for (const [first, second] of [
    [{ not: { users: ['alice', 'bob'] } }, { users: ['alice'] }],
    [{ users: ['alice'] }, { not: { users: ['alice', 'bob'] } }],
    [{ users: ['alice'] }, { not: { users: ['bob'] } }],
  ] satisfies [ConditionsDocument, ConditionsDocument][])
    assert.equal(await ask(first, second), '451 cannot_tell', JSON.stringify([first, second]));
  const resolve = async () => null;
  assert.equal(await ask({ ptr: ['a.example'] }, { not: { ptr: ['A.example'] } }, { resolve }), 'proceed');
  assert.equal(await ask({ ptr: ['a.example'] }, { not: { ptr: ['b.example'] } }, { resolve }), '451 cannot_tell');
  assert.equal(await ask({ users: ['a.example'] }, { not: { ptr: ['a.example'] } }, { resolve }), '451 cannot_tell');
});

test('where a name is not known, a sender is told the key that keeps it out whoever it is', () => {
  const senders = { ...connector({}).senders, own_domains: 'deny' as const };
  const [only] = sound({ connectors: [connector({ submit: { users: ['alice'] }, senders })] }).connectors;
  const ends = { address: client, localAddress: '192.0.2.25', localPort: 25 };
  const key = (sender: string) => only?.senderKey(ends, mail(sender, { login: login(null) }));
  assert.deepEqual(key('boss@local.example'), { key: 'own_domains', open: false, spelling: null });
  assert.deepEqual(key('x@elsewhere.example'), { key: 'submit', open: true, spelling: null });
});

test('each fault of a rule is told where it stands', () => {
  const rules: RuleDocument[] = [
    { allow: { sources: ['x;'] }, expires: '2027-02-30' },
    { allow: { sources: [] }, expires: '2027' },
    { deny: { local: ['192.0.2.1:99999', 'what'], ptr: ['*'], helo: ['?'], users: [], groups: ['nobody', 'also'] } },
    { allow: { allow_unnamed: true, users: ['staff', 'it', 'BOB'], groups: ['staff', 'none'] } },
    { allow: { not: { senders: ['what'], sender_domains: ['*'] }, tls_subject: [''] } },
    { allow: { not: {}, recipients: ['what'], recipient_domains: ['*'] } },
    { deny: { not: {}, recipients: [], sender_domains: [], local: [], senders: [] } },
  ];
  const groups = { staff: ['alice'], it: ['IT', 'carol'], bob: ['x'] };
  const { problems } = compile({ groups, connectors: [connector({ remote_ip_ranges: ['10.0.0.0/8'], rules })] });
  const told = problems
    .filter(({ path, message }) => path.includes('rules') && !message.startsWith('rule '))
    .map(({ severity, path, message }) => `${severity} ${formatPath(path.slice(3))}: ${message}`);
  const address =
    'is not an address: 192.0.2.1, 2001:db8::1, 10.0.0.0/8, 192.0.2.5-192.0.2.9, 10.0.0.0;255.0.0.0, any and file:PATH are known';
  assert.deepEqual(told, [
    `error [0].allow.sources[0]: 'x' ${address}`,
    "error [0].expires: '2027-02-30' is not a day: the last day of the rule is wanted, as 2027-01-31",
    'warning [1].allow.sources: an empty list never holds',
    "error [1].expires: '2027' is not a day: the last day of the rule is wanted, as 2027-01-31",
    "error [2].deny.local[0]: '192.0.2.1:99999': a port is a number from 1 to 65535",
    `error [2].deny.local[1]: 'what' ${address}`,
    'warning [2].deny.users: an empty list never holds',
    "error [2].deny.groups[0]: no group 'nobody': staff, it, bob are defined under groups",
    "error [2].deny.groups[1]: no group 'also': staff, it, bob are defined under groups",
    "error [2].deny.helo[0]: '?' is not a domain name: d and *.d are known, as '*.example.com'",
    "error [2].deny.ptr[0]: '*' would hold every domain",
    'error [3].allow.allow_unnamed: allow_unnamed says what authenticated: true takes; write both',
    "warning [3].allow.users[0]: 'staff' is a group, and here it would be a login of that name: groups is meant?",
    "error [3].allow.groups[1]: no group 'none': staff, it, bob are defined under groups",
    "error [4].allow.not.senders[0]: 'what' is not an address: user@example.com is wanted",
    "error [4].allow.not.sender_domains[0]: '*' would hold every domain",
    "error [4].allow.tls_subject[0]: '' is not a domain name",
    "error [5].allow.recipients[0]: 'what' is not an address: user@example.com is wanted",
    "error [5].allow.recipient_domains[0]: '*' would hold every domain",
    'warning [5].allow.not: without conditions in it not never holds',
    'warning [6].deny.local: an empty list never holds',
    'warning [6].deny.senders: an empty list never holds',
    'warning [6].deny.sender_domains: an empty list never holds',
    'warning [6].deny.recipients: an empty list never holds',
    'error [6].deny.not: without conditions in it not never holds, so nobody is denied',
  ]);
});

test('each way that something may turn out is followed on its own', async () => {
  const routed = rcpt(foreign, { sender: '@r.example:boss@local.example', senderAddress: null });
  const asked = (...rules: RuleDocument[]): Promise<string> =>
    answer(withRules(rules, {}, { resolve: async () => null }), client, routed);
  const [senders, ptr] = [['boss@local.example'], ['pc.example']];
  const both = { deny: { senders, ptr } };
  assert.equal(await asked(both, { allow: { ptr } }), '451 cannot_tell', 'another sender of that name may relay');
  assert.equal(await asked(both, { deny: { ptr } }), '554 rule');
  assert.equal(await asked({ deny: { not: { senders } } }, { allow: {} }), '451 cannot_tell');
});

test('many rules that cannot be told are looked at a few times each, and many ways are not all gone', async () => {
  const routed = rcpt(foreign, { sender: '@r.example:boss@local.example', senderAddress: null });
  const rules = (count: number, rule: (i: number) => Partial<RuleDocument>): RuleDocument[] =>
    Array.from({ length: count }, (_, i) => ({ expires: '2027-01-31', ...rule(i) }));
  const senders = (i: number): string[] => [`u${i}@local.example`];
  let looks = 0; // a rule that expires asks for the time at each
  const asked = async (...lists: RuleDocument[][]): Promise<string> => {
    const now = (): number => {
      looks++;
      return noon;
    };
    const policy = withRules(lists.flat(), {}, { now, resolve: async () => null });
    looks = 0;
    return answer(policy, client, routed);
  };
  const allow = rules(100, (i) => ({ allow: { senders: senders(i) } }));
  const deny = rules(100, (i) => ({ deny: { senders: senders(i) } }));
  assert.equal(await asked(allow), '451 cannot_tell');
  assert.ok(looks < 10 * 100, `${looks} looks`);
  assert.equal(
    await asked(
      deny,
      rules(1, () => ({ allow: { sources: ['192.0.2.9'] } })),
    ),
    '554 rule',
  );
  assert.ok(looks < 10 * 100, `${looks} looks`);
  assert.equal(await asked(deny, [{ allow: {} }]), '451 cannot_tell');
  assert.equal(await asked(allow, [{ allow: {} }]), 'proceed');
  const both = rules(200, (i) => ({ deny: { senders: senders(i), not: { ptr: [`h${i}.example`] } } }));
  assert.equal(await asked(both), '451 cannot_tell', 'two ways at each rule');
  assert.ok(looks < 20_000, `${looks} looks`);
});

test('of a list of thousands each rule may be looked at as often as of a short one', () => {
  const expiresAt = Number.POSITIVE_INFINITY;
  const rules = Array.from({ length: 5000 }, (): Pick<Rule, 'conditions' | 'expiresAt'> => {
    const unknown: Unknown = { fact: 'sender' };
    return { expiresAt, conditions: [{ key: 'senders', holds: (_, guess) => guessed(unknown, guess) }] };
  }) as Rule[];
  const facts = {} as Facts;
  assert.equal(
    settledMatch(
      rules,
      facts,
      () => noon,
      () => true,
    ),
    0,
  );
});
