// The decision, its order and its replies, as a client would hear them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConditionsDocument, RuleDocument } from '../../src/policy/document.ts';
import { parseReversePath } from '../../src/smtp/path.ts';
import { formatReply } from '../../src/smtp/replies.ts';
import { answer, complaints, connector, decide, login, mail, noon, rcpt, sound } from './build.ts';

const foreign = 'x@foreign.example';

function withRules(...rules: RuleDocument[]) {
  return sound({ connectors: [connector({ rules, i_know_this_is_open: true })] });
}

test('mail for an accepted domain passes, all else is refused', async () => {
  const policy = sound({ accepted_domains: ['local.example', '*.wide.example'] });
  assert.equal(await answer(policy, '192.0.2.1', rcpt('a@local.example')), 'proceed');
  assert.equal(await answer(policy, '192.0.2.1', rcpt('a@b.c.wide.example')), 'proceed');
  assert.equal(await answer(policy, '192.0.2.1', rcpt('a@sub.local.example')), '554 no_rule');
  assert.equal(await answer(policy, '192.0.2.1', rcpt(foreign)), '554 no_rule');
});

test('a balancer that names no client has no right to relay by its own address', async () => {
  const policy = withRules({ allow: { sources: ['192.0.2.0/24'] } });
  const ends = { address: '192.0.2.2', localAddress: '10.0.0.1', localPort: 25 };
  const connection = { clientAddress: '192.0.2.2', localAddress: '10.0.0.1', localPort: 25 };
  const decide = (lost: boolean) =>
    policy.connectorFor({ ...connection, lost })?.judge({ ...ends, lost }, rcpt(foreign)) as { action: string };
  assert.equal(decide(false).action, 'proceed');
  assert.equal(decide(true).action, 'reject');
});

test('a login alone is no right to relay', async () => {
  const policy = sound({});
  assert.equal(await answer(policy, '192.0.2.1', rcpt(foreign, { login: login('alice') })), '554 no_rule');
});

test('a blocked domain is refused though it is accepted, relayed and allowed by a rule', async () => {
  const policy = sound({
    accepted_domains: ['*.example'],
    relay_domains: ['bad.test'],
    blocked_domains: ['bad.example', 'bad.test', 'bad.other'],
    connectors: [connector({ remote_ip_ranges: ['10.0.0.0/8'], rules: [{ allow: {} }] })],
  });
  for (const domain of ['bad.example', 'bad.test', 'bad.other'])
    assert.equal(await answer(policy, '10.1.1.1', rcpt(`x@${domain}`)), '554 blocked_domain');
  assert.equal(await answer(policy, '10.1.1.1', rcpt('x@good.other')), 'proceed');
});

test('a relay domain is relayed for everyone, though a rule denies them all', async () => {
  const policy = sound({
    relay_domains: ['partner.test'],
    connectors: [connector({ rules: [{ name: 'never', deny: {} }] })],
  });
  assert.equal(await answer(policy, '192.0.2.1', rcpt('x@partner.test')), 'proceed');
  assert.equal(await answer(policy, '192.0.2.1', rcpt(foreign)), '554 rule');
});

test('among accepted and relay domains the most specific entry says whether recipients are looked up', async () => {
  const policy = sound(
    {
      accepted_domains: ['*.local.example'],
      relay_domains: ['branch.local.example'],
      valid_recipients: { file: 'recipients.txt' },
    },
    {
      // biome-ignore lint/correctness/useYield: it is short
      readList: function* (file) {
        return { file, lines: [{ text: 'Bob@local.example', place: { file, line: 1, column: 1 }, fault: null }] };
      },
    },
  );
  assert.equal(await answer(policy, '192.0.2.1', rcpt('bob@local.example')), 'proceed');
  assert.equal(await answer(policy, '192.0.2.1', rcpt('BOB@local.example')), 'proceed');
  assert.equal(await answer(policy, '192.0.2.1', rcpt('eve@local.example')), '550 unknown_recipient');
  assert.equal(await answer(policy, '192.0.2.1', rcpt('eve@branch.local.example')), 'proceed');
  assert.equal(await answer(policy, '192.0.2.1', rcpt('postmaster@local.example')), 'proceed', 'RFC 5321 §4.5.1');
  for (const [local, says] of [
    ['IMCEAEX-_O=ORG_CN=RECIPIENTS_CN=BOB', 'proceed'], // a reply to an old message
    ['imceaex-x', 'proceed'],
    ['IMCEAEX', '550 unknown_recipient'],
    ['x-IMCEAEX-x', '550 unknown_recipient'],
    ['postmasters', '550 unknown_recipient'],
  ] as const)
    assert.equal(await answer(policy, '192.0.2.1', rcpt(`${local}@local.example`)), says, local);
});

test('the first rule that matches decides, and none is a refusal', async () => {
  const policy = withRules(
    { name: 'never', deny: { sources: ['10.9.0.0/16'] } },
    { name: 'lan', allow: { sources: ['10.0.0.0/8'] } },
    { name: 'late', deny: { sources: ['10.0.0.0/8'] } },
  );
  assert.equal(await answer(policy, '10.9.1.1', rcpt(foreign)), '554 rule');
  assert.equal(await answer(policy, '10.1.1.1', rcpt(foreign)), 'proceed');
  assert.equal(await answer(policy, '11.0.0.1', rcpt(foreign)), '554 no_rule');
});

test('a decision names its rule, or the place of one without a name', async () => {
  const policy = withRules({ name: 'lan', allow: { sources: ['10.0.0.0/8'] } }, { deny: { sources: ['192.0.2.1'] } });
  assert.equal((await decide(policy, '10.1.1.1', rcpt(foreign)))?.rule, 'lan');
  assert.equal((await decide(policy, '192.0.2.1', rcpt(foreign)))?.rule, 'rule 2');
  assert.equal((await decide(policy, '192.0.2.2', rcpt(foreign)))?.rule, null);
});

test('a refusal tells, to whom asks, each rule that was tried and the condition that failed first', async () => {
  const policy = withRules(
    { name: 'old', allow: {}, expires: '2026-11-21' },
    { name: 'roaming', allow: { tls: true, authenticated: true } },
    { name: 'near', allow: { sources: ['10.0.0.0/8'], tls: true } },
    { name: 'not here', allow: { not: { sources: ['192.0.2.0/24'] } } },
    { name: 'never', deny: { sources: ['192.0.2.0/24'] } },
    { allow: { tls: true } },
  );
  const inClear = await decide(policy, '192.0.2.1', rcpt(foreign));
  const encrypted = await decide(policy, '192.0.2.1', rcpt(foreign, { tls: true }));
  assert.equal(
    encrypted?.trace?.(),
    'old no(expired), roaming no(authenticated), near no(sources), not here no(not), never yes',
  );
  // Asked after another decision was made: each has its own account.
  assert.equal(inClear?.trace?.(), 'old no(expired), roaming no(tls), near no(tls), not here no(not), never yes');
});

test('a refusal tells what could not be told, where it was refused all the same', async () => {
  const rules: RuleDocument[] = [
    { name: 'staff', deny: { users: ['alice'] } },
    { name: 'named', allow: { authenticated: true } },
  ];
  const decision = await decide(withRules(...rules), '192.0.2.1', rcpt(foreign, { login: login(null) }));
  assert.equal(decision?.trace?.(), 'staff ?(users), named no(authenticated)');
});

test('a long account is cut, and who is let through or meets no rule has none', async () => {
  const rules = Array.from({ length: 17 }, (_, i): RuleDocument => ({ name: `r${i}`, allow: { tls: true } }));
  const shown = rules.map(({ name }) => `${name} no(tls)`);
  const trace = async (given: RuleDocument[], tls = false) =>
    (await decide(withRules(...given), '192.0.2.1', rcpt(foreign, { tls })))?.trace?.();
  assert.equal(await trace(rules.slice(0, 16)), shown.slice(0, 16).join(', '));
  assert.equal(await trace(rules), `${shown.slice(0, 16).join(', ')}, 1 more`);
  assert.equal(await trace(rules, true), undefined);
  assert.equal(await trace([]), undefined);
});

test('every address that a path names must be allowed', async () => {
  const policy = withRules({ allow: { sources: ['10.0.0.0/8'] } });
  assert.equal(await answer(policy, '192.0.2.1', rcpt(['x%foreign.example@local.example', foreign])), '554 no_rule');
  assert.equal(
    await answer(policy, '192.0.2.1', rcpt(['x%local.example@local.example', 'x@local.example'])),
    'proceed',
  );
  assert.equal(await answer(policy, '10.1.1.1', rcpt(['x%foreign.example@local.example', foreign])), 'proceed');
});

test('a path without any address is refused', async () => {
  assert.equal(await answer(withRules({ allow: {} }), '192.0.2.1', rcpt([])), '554 syntax');
});

test('an address literal passes only when it is one of ours, even where everyone may relay', async () => {
  const policy = sound({
    accepted_literals: ['192.0.2.25', '[2001:db8::25]'],
    connectors: [connector({ rules: [{ allow: {} }], i_know_this_is_open: true })],
  });
  for (const ours of ['192.0.2.25', 'IPv6:2001:db8::25', 'ipv6:2001:DB8:0::25'])
    assert.equal(await answer(policy, '192.0.2.1', rcpt(`x@[${ours}]`)), 'proceed', ours);
  for (const other of [
    '192.0.2.26',
    '192.0.2.025',
    '3221226009',
    '2001:db8::25',
    'IPv6:192.0.2.25',
    'IPv6:::ffff:192.0.2.25',
    'x',
  ])
    assert.equal(await answer(policy, '192.0.2.1', rcpt(`x@[${other}]`)), '554 relay_trick', other);
});

test('without a domain only postmaster passes, unless the connector allows it', async () => {
  assert.equal(await answer(sound({}), '192.0.2.1', rcpt('PostMaster')), 'proceed');
  assert.equal(await answer(sound({}), '192.0.2.1', rcpt('bob')), '553 unqualified');
  const lenient = sound({ connectors: [connector({ unqualified_recipients: 'allow' })] });
  assert.equal(await answer(lenient, '192.0.2.1', rcpt('bob')), 'proceed');
});

test('observe lets through what the policy would refuse, and says so; grammar stays enforced', async () => {
  for (const policy of [
    sound({ connectors: [connector({ mode: 'observe', submit: 'authenticated', require_tls: true })] }),
    sound({ connectors: [connector({ submit: 'authenticated' })] }, { mode: 'observe' }),
  ]) {
    assert.equal(await answer(policy, '192.0.2.1', rcpt(foreign)), 'would reject');
    assert.equal(await answer(policy, '192.0.2.1', mail('a@b.example')), 'would reject');
    assert.equal(await answer(policy, '192.0.2.1', rcpt('a@local.example')), 'proceed');
    assert.equal(await answer(policy, '192.0.2.1', rcpt('x@[192.0.2.99]')), '554 relay_trick');
    assert.equal(await answer(policy, '192.0.2.1', rcpt('bob')), '553 unqualified');
    // A second address that is hidden is a trick, whichever of the two the policy would refuse.
    assert.equal(await answer(policy, '192.0.2.1', rcpt(['a%foreign.example@local.example', foreign])), '554 no_rule');
    assert.equal(await answer(policy, '192.0.2.1', rcpt([foreign, 'a@local.example'])), '554 no_rule');
    assert.equal(
      await answer(policy, '192.0.2.1', rcpt(['b%local.example@local.example', 'b@local.example'])),
      'proceed',
    );
  }
});

test('the refusal is the sentence of the contract, with the enhanced code where it was offered', async () => {
  const decision = await decide(sound({}), '192.0.2.1', rcpt(foreign));
  assert.ok(decision?.action === 'reject');
  const said = (offered: boolean): string =>
    formatReply(decision.reply, offered, { recipient: foreign }).toString('latin1');
  assert.equal(said(true), `554 5.7.1 <${foreign}>: Recipient address rejected: Relay access denied\r\n`);
  assert.equal(said(false), `554 <${foreign}>: Recipient address rejected: Relay access denied\r\n`);
});

test('a connector says what it was told to say', async () => {
  const policy = sound({
    connectors: [
      connector({
        replies: { relay: '550 Relaying is prohibited', submit: '530 5.7.1 Log in first' },
        submit: 'authenticated',
      }),
    ],
  });
  const relay = await decide(policy, '192.0.2.1', rcpt(foreign));
  assert.deepEqual(relay?.action === 'reject' && relay.reply, {
    code: 550,
    enhanced: null,
    text: 'Relaying is prohibited',
  });
  const submit = await decide(policy, '192.0.2.1', mail('a@b.example'));
  assert.deepEqual(submit?.action === 'reject' && submit.reply, { code: 530, enhanced: '5.7.1', text: 'Log in first' });
  assert.equal(policy.connectors[0]?.profile.relayReply.text, 'Relaying is prohibited');
});

test('conditions: a rule matches when all of them hold, a list when one entry does', async () => {
  const cases: [RuleDocument['allow'], Parameters<typeof rcpt>[1], boolean][] = [
    [{}, {}, true],
    [{ sources: [] }, {}, false],
    [{ authenticated: true }, {}, false],
    [{ authenticated: true }, { login: login('alice') }, true],
    [{ authenticated: true }, { login: login(null) }, false],
    [{ authenticated: true, allow_unnamed: true }, { login: login(null) }, true],
    [{ authenticated: false }, {}, true],
    [{ authenticated: false }, { login: login(null) }, false],
    [{ users: ['bob', 'alice'] }, { login: login('ALICE') }, true],
    [{ users: ['CORP\\alice'] }, { login: login('alice@corp.example') }, true],
    [{ users: ['alice@corp.example'] }, { login: login('corp\\Alice') }, true],
    [{ users: ['OTHER\\alice'] }, { login: login('alice@corp.example') }, false],
    [{ groups: ['staff'] }, { login: login('bob') }, true],
    [{ groups: ['staff'] }, { login: login('eve') }, false],
    [{ users: [] }, { login: login(null) }, false],
    [{ tls: true }, { tls: false }, false],
    [{ tls: true }, { tls: true }, true],
    [{ tls: false }, { tls: true }, false],
    [{ tls_subject: ['*.partner.example'] }, { tlsSubject: ['a.example', 'MX.Partner.example'] }, true],
    [{ tls_subject: ['mx.partner.example'] }, { tlsSubject: ['*.partner.example'] }, false],
    [{ tls_subject: ['*.partner.example'] }, { tlsSubject: ['*.partner.example'] }, true],
    [{ tls_subject: ['*.partner.example'] }, { tlsSubject: [], tls: true }, false],
    [{ tls_subject: ['*.partner.example'] }, { tlsSubject: ['CN=mx.partner.example'] }, false],
    [{ tls_subject: ['CN=Boss'] }, { tlsSubject: ['cn=boss'] }, true],
    [{ tls_subject: ['CN=Boss'] }, { tlsSubject: ['boss', 'O=x,CN=Boss'] }, false],
    [{ tls_subject: ['C = DE, CN = M\u00fcller'] }, { tlsSubject: ['C=DE,CN=M\xc3\xbcller'] }, true],
    [{ tls_subject: ['CN=M\u00dcller'] }, { tlsSubject: ['CN=M\xc3\xbcller'] }, false],
    [{ tls_subject: [] }, { tlsSubject: ['a.example'] }, false],
    [{ not: { tls_subject: ['a.example'] } }, { tlsSubject: [] }, true],
    [{ senders: ['Boss@Sender.example'] }, { sender: 'boss@sender.example' }, true],
    [{ senders: ['<>'] }, { sender: '' }, true],
    [{ senders: ['<>'] }, { sender: 'x@y.example' }, false],
    [{ sender_domains: ['*.sender.example'] }, { sender: 'a@sub.sender.example' }, true],
    [{ sender_domains: ['*.sender.example'] }, { sender: '' }, false],
    [{ recipients: ['X@foreign.example'] }, {}, true],
    [{ recipients: ['y@foreign.example'] }, {}, false],
    [{ recipient_domains: ['*.foreign.example'] }, {}, true],
    [{ recipient_domains: ['other.example'] }, {}, false],
    [{ helo: ['*.corp.example'] }, { helo: 'PC.Corp.Example.' }, true],
    [{ helo: ['corp.example'] }, { helo: 'pc.corp.example' }, false],
    [{ local: ['192.0.2.25'] }, {}, true],
    [{ local: ['192.0.2.25:25'] }, {}, true],
    [{ local: ['192.0.2.25:587', '*:25'] }, {}, true],
    [{ local: ['192.0.2.0;255.255.255.0'] }, {}, true],
    [{ local: ['192.0.2.26', '192.0.2.25:587'] }, {}, false],
    [{ not: { tls: true } }, { tls: false }, true],
    [{ not: { tls: true } }, { tls: true }, false],
    [{ not: {} }, {}, false],
    [{ sources: ['192.0.2.1'], tls: true }, { tls: false }, false],
    [{ sources: ['192.0.2.1'], tls: true }, { tls: true }, true],
  ];
  for (const [allow, question, holds] of cases) {
    const policy = sound({
      groups: { staff: ['CORP\\alice', 'bob'] },
      user_domains: { CORP: 'corp.example' },
      connectors: [connector({ rules: [{ allow }], i_know_this_is_open: true })],
    });
    const expected = holds ? 'proceed' : '554 no_rule';
    assert.equal(
      await answer(policy, '192.0.2.1', rcpt(foreign, question)),
      expected,
      JSON.stringify([allow, question]),
    );
  }
});

test('a rule matches through the last day that it names and not a moment longer', async () => {
  const connectors = [connector({ rules: [{ allow: { authenticated: true }, expires: '2026-11-22' }] })];
  const at = (now: number) => sound({ connectors }, { now: () => now });
  const end = Date.UTC(2026, 10, 23);
  const question = rcpt(foreign, { login: login('alice') });
  assert.equal(await answer(at(end - 1), '192.0.2.1', question), 'proceed');
  assert.equal(await answer(at(end), '192.0.2.1', question), '554 no_rule');
  let now = noon;
  const aging = sound({ connectors }, { now: () => now });
  assert.equal(await answer(aging, '192.0.2.1', question), 'proceed');
  now = end;
  assert.equal(await answer(aging, '192.0.2.1', question), '554 no_rule', 'it expires without a reload');
});

test('a login without a name: the same decision both ways stands, else nobody can tell', async () => {
  const unnamed = rcpt(foreign, { login: login(null) });
  const ask = (...rules: RuleDocument[]): Promise<string> => answer(withRules(...rules), '192.0.2.1', unnamed);
  assert.equal(await ask({ allow: { users: ['alice'] } }), '451 cannot_tell');
  assert.equal(await ask({ deny: { users: ['alice'] } }), '554 rule', 'denied or not matched: refused both ways');
  assert.equal(await ask({ deny: { users: ['alice'] } }, { allow: {} }), '451 cannot_tell');
  assert.equal(await ask({ allow: { users: ['alice'] } }, { allow: {} }), 'proceed');
  assert.equal(await ask({ allow: { not: { users: ['alice'] } } }), '451 cannot_tell', 'not keeps it');
  assert.equal(await ask({ allow: { users: ['alice'] } }, { allow: { not: { users: ['Alice'] } } }), 'proceed');
  assert.equal(await ask({ allow: { users: ['alice'], tls: true } }), '554 no_rule', 'another condition has failed');
});

test('reverse DNS is asked only when a rule needs it, and no answer is never a pass', async () => {
  let asked = 0;
  let names: string[] | null = null;
  const policy = (...rules: RuleDocument[]) =>
    sound(
      { connectors: [connector({ rules, i_know_this_is_open: true })] },
      {
        resolve: async () => {
          asked++;
          return names;
        },
      },
    );
  const laptops = policy({ allow: { ptr: ['*.corp.example'] } });
  assert.equal(await answer(laptops, '192.0.2.1', rcpt('a@local.example')), 'proceed');
  assert.equal(asked, 0);
  assert.equal(await answer(laptops, '192.0.2.1', rcpt(foreign)), '451 cannot_tell');
  assert.equal(asked, 1);
  names = ['PC7.Corp.example.'];
  assert.equal(await answer(laptops, '192.0.2.1', rcpt(foreign)), 'proceed');
  names = ['pc7.corp.example.evil.test'];
  assert.equal(await answer(laptops, '192.0.2.1', rcpt(foreign)), '554 no_rule');
  names = [];
  assert.equal(await answer(laptops, '192.0.2.1', rcpt(foreign)), '554 no_rule');
  asked = 0;
  const both = policy({ allow: { ptr: ['*.corp.example'] } }, { allow: { sources: ['192.0.2.0/24'] } });
  assert.equal(await answer(both, '192.0.2.1', rcpt(foreign)), 'proceed');
  assert.equal(asked, 0, 'the answer would have been the same either way');
  names = null;
  assert.equal(
    await answer(policy({ allow: { not: { ptr: ['*.bad.example'] } } }), '192.0.2.1', rcpt(foreign)),
    '451 cannot_tell',
  );
});

test('MAIL needs TLS first where the connector requires it', async () => {
  const policy = sound({ connectors: [connector({ require_tls: true })] });
  assert.equal(await answer(policy, '192.0.2.1', mail('a@b.example')), '530 tls_required');
  assert.equal(await answer(policy, '192.0.2.1', mail('a@b.example', { tls: true })), 'proceed');
});

test('MAIL is refused to those who may not submit', async () => {
  const may = (
    submit: Parameters<typeof connector>[0]['submit'],
    who: ReturnType<typeof login> | null,
  ): Promise<string> =>
    answer(
      sound({ groups: { staff: ['bob'] }, connectors: [connector(submit === undefined ? {} : { submit })] }),
      '192.0.2.1',
      mail('a@b.example', { login: who }),
    );
  assert.equal(await may('anyone', null), 'proceed');
  assert.equal(await may('authenticated', null), '530 submit');
  assert.equal(await may('authenticated', login('eve')), 'proceed');
  assert.equal(await may({ users: ['alice'], groups: ['staff'] }, login('ALICE')), 'proceed');
  assert.equal(await may({ users: ['alice'], groups: ['staff'] }, login('bob')), 'proceed');
  assert.equal(await may({ users: ['alice'] }, login('eve')), '530 submit');
  assert.equal(await may({ users: ['alice'] }, null), '530 submit');
  assert.equal(await may({ users: ['alice'] }, login(null)), '451 cannot_tell');
});

test('our own domains as sender address are for whom the connector says', async () => {
  const may = (own_domains: 'allow' | 'authenticated' | 'deny', sender: string, who: string | null): Promise<string> =>
    answer(
      sound({
        accepted_literals: ['192.0.2.25'],
        connectors: [
          connector({ senders: { own_domains, login_must_match: {}, own_address: 'free', others: 'allow' } }),
        ],
      }),
      '192.0.2.1',
      mail(sender, { login: who === null ? null : login(who) }),
    );
  assert.equal(await may('allow', 'boss@local.example', null), 'proceed');
  assert.equal(await may('authenticated', 'boss@local.example', null), '550 sender');
  assert.equal(await may('authenticated', 'boss@local.example', 'boss'), 'proceed');
  assert.equal(await may('deny', 'boss@local.example', 'boss'), '550 sender');
  assert.equal(await may('deny', 'boss@[192.0.2.25]', null), '550 sender');
  assert.equal(await may('deny', 'boss', null), '550 sender', 'the server behind completes a bare name');
  assert.equal(await may('deny', 'x@elsewhere.example', null), 'proceed');
  assert.equal(await may('deny', '', null), 'proceed', 'the null reverse-path always passes');
});

test('a sender that is no plain address is not believed to be foreign', async () => {
  const policy = sound({
    connectors: [
      connector({ senders: { own_domains: 'deny', login_must_match: {}, own_address: 'free', others: 'allow' } }),
    ],
  });
  const routed = mail('@x.example:boss@local.example', { senderAddress: null });
  assert.equal(await answer(policy, '192.0.2.1', routed), '550 sender');
});

test('a deny by sender is not passed by in writing the sender in another way', async () => {
  const routed = (recipient: string) => rcpt(recipient, { sender: '@r.example:s@spam.example', senderAddress: null });
  for (const deny of [{ sender_domains: ['spam.example'] }, { senders: ['s@spam.example'] }]) {
    const policy = withRules({ deny }, { allow: {} });
    assert.equal(await answer(policy, '192.0.2.1', routed(foreign)), '451 cannot_tell');
    assert.equal(await answer(policy, '192.0.2.1', routed('a@local.example')), 'proceed');
  }
});

test('nor in writing it without its domain, with which the server behind completes it', async () => {
  const asked = (conditions: ConditionsDocument, sender: string): Promise<string> => {
    const rules = [{ deny: conditions }, { allow: {} }];
    const policy = sound({
      accepted_domains: ['local.example', '*.corp.example'],
      connectors: [connector({ rules, i_know_this_is_open: true })],
    });
    const path = parseReversePath(`<${sender}>`, 0, false);
    return answer(policy, '192.0.2.1', rcpt(foreign, { sender, senderAddress: path?.address ?? null }));
  };
  const boss = { senders: ['boss@local.example', 'root@spam.example', 'eve@pc.corp.example'] };
  for (const sender of ['boss', 'BOSS', '"boss"', 'eve']) assert.equal(await asked(boss, sender), '554 rule', sender);
  for (const sender of ['root', 'alice', '']) assert.equal(await asked(boss, sender), 'proceed', sender);
  assert.equal(await asked(boss, 'boss@[192.0.2.9]'), 'proceed', 'somebody at another host');
  // Postfix finds a whole address in these: it appends its domain to none of them.
  for (const sender of ['"boss@local.example"', 'boss%local.example', 'local.example!boss'])
    assert.equal(await asked(boss, sender), '451 cannot_tell', sender);
  for (const domain of ['local.example', '*.example', 'corp.example', 'pc.corp.example', '*.corp.example'])
    assert.equal(await asked({ sender_domains: [domain] }, 'root'), '554 rule', domain);
  for (const domain of ['spam.example', 'x.local.example', '*.spam.example'])
    assert.equal(await asked({ sender_domains: [domain] }, 'root'), 'proceed', domain);
  assert.equal(await asked({ sender_domains: ['local.example'] }, ''), 'proceed', 'nobody has no domain');
});

test('an allow by sender wants the whole address', async () => {
  const policy = withRules(
    { allow: { senders: ['boss@local.example'] } },
    { allow: { sender_domains: ['local.example'] } },
  );
  assert.equal(await answer(policy, '192.0.2.1', rcpt(foreign, { sender: 'boss@local.example' })), 'proceed');
  assert.equal(await answer(policy, '192.0.2.1', rcpt(foreign, { sender: 'boss' })), '554 no_rule');
});

test('user names outside ASCII are those that the login showed', async () => {
  const policy = withRules({ allow: { users: ['CORP\\müller', 'привет@local.example'] } });
  for (const name of ['corp\\müller', 'привет@LOCAL.example'])
    assert.equal(await answer(policy, '192.0.2.1', rcpt(foreign, { login: login(name) })), 'proceed');
  assert.equal(await answer(policy, '192.0.2.1', rcpt(foreign, { login: login('corp\\muller') })), '554 no_rule');
});

test('a login must match the sender where the connector says so', async () => {
  const may = (sender: string, who: string | null | undefined, others: 'allow' | 'deny' = 'allow'): Promise<string> =>
    answer(
      sound({
        user_domains: { CORP: 'local.example' },
        connectors: [
          connector({
            senders: {
              own_domains: 'allow',
              own_address: 'free',
              login_must_match: { 'CORP\\steven': ['steven@local.example', 'sales@local.example'] },
              others,
            },
          }),
        ],
      }),
      '192.0.2.1',
      mail(sender, { login: who === undefined ? null : login(who) }),
    );
  assert.equal(await may('steven@local.example', 'steven@local.example'), 'proceed');
  assert.equal(await may('Sales@Local.example', 'CORP\\Steven'), 'proceed');
  assert.equal(await may('boss@local.example', 'CORP\\steven'), '550 sender');
  assert.equal(await may('', 'CORP\\steven'), 'proceed');
  assert.equal(await may('boss@local.example', 'bob'), 'proceed', 'users who are not named are free');
  assert.equal(await may('boss@local.example', 'bob', 'deny'), '550 sender');
  assert.equal(await may('', 'bob', 'deny'), 'proceed');
  assert.equal(await may('boss@local.example', undefined, 'deny'), 'proceed', 'who has not logged in is no user');
  assert.equal(await may('boss@local.example', null), '451 cannot_tell', 'it may be steven, or not');
  assert.equal(await may('steven@local.example', null), 'proceed', 'steven or not, it is allowed');
  assert.equal(await may('boss@local.example', null, 'deny'), '550 sender', 'steven or not, it is refused');
});

test('lost addresses relay only where they are listed by themselves', async () => {
  const relay = (rules: RuleDocument[], client: string, guard: 'refuse' | 'warn' = 'refuse'): Promise<string> =>
    answer(
      sound({ connectors: [connector({ rules, i_know_this_is_open: true })] }, { lostAddressGuard: guard }),
      client,
      rcpt(foreign),
    );
  const any: RuleDocument[] = [{ allow: { sources: ['any'] } }];
  assert.equal(await relay(any, '127.0.0.1'), '554 no_rule');
  assert.equal(await relay(any, '::1'), '554 no_rule');
  assert.equal(await relay(any, '192.0.2.25'), '554 no_rule', 'the address that it has connected to');
  assert.equal(await relay(any, '192.0.2.1'), 'proceed');
  assert.equal(await relay(any, '127.0.0.1', 'warn'), 'proceed');
  assert.equal(await relay([{ allow: { sources: ['any', '127.0.0.1'] } }], '127.0.0.1'), 'proceed');
  assert.equal(await relay([{ allow: { sources: ['127.0.0.1/32'] } }], '127.0.0.1'), 'proceed');
  assert.equal(
    await relay([{ deny: { sources: ['any'] } }, { allow: { sources: ['127.0.0.1'] } }], '127.0.0.1'),
    '554 rule',
    'a denial holds for it as for all',
  );
  assert.equal(
    await relay([{ allow: { not: { sources: ['127.0.0.0/8'] } } }], '127.0.0.1'),
    'no connector',
    'an unconditional right by range',
  );
});

test('a lost address gains nothing by what a rule excludes', async () => {
  const rules: RuleDocument[] = [{ allow: { authenticated: true, not: { sources: ['192.0.2.0/24'] } } }];
  const question = rcpt(foreign, { login: login('alice') });
  assert.equal(await answer(withRules(...rules), '192.0.2.25', question), '554 no_rule', 'its own address');
  assert.equal(await answer(withRules(...rules), '198.51.100.1', question), 'proceed');
});

test('more open questions than can be gone through are no pass and no endless search', async () => {
  const rules = Array.from(
    { length: 16 },
    (_, i): RuleDocument => ({ deny: { users: [`a${i}`], not: { users: [`b${i}`] } } }),
  );
  assert.equal(
    await answer(withRules(...rules), '192.0.2.1', rcpt(foreign, { login: login(null) })),
    '451 cannot_tell',
  );
});

test('the operator is told once that a client comes from a lost address, and not of a question about one', () => {
  const told: string[] = [];
  const policy = sound({}, { gateways: ['172.17.0.1'], onLostAddress: (address) => told.push(address) });
  policy.choiceFor({ clientAddress: '127.0.0.1', localAddress: '192.0.2.25', localPort: 25 });
  for (const clientAddress of ['192.0.2.1', '172.17.0.1', '172.17.0.1', '127.0.0.1'])
    policy.connectorFor({ clientAddress, localAddress: '192.0.2.25', localPort: 25 });
  assert.deepEqual(told, ['172.17.0.1']);
});

test('a connector that may relay anywhere is known by its first rule and an empty block list', () => {
  const anywhere = (rules: RuleDocument[], blocked: string[] = []): boolean | undefined =>
    sound({ blocked_domains: blocked, connectors: [connector({ remote_ip_ranges: ['10.0.0.0/8'], rules })] })
      .connectors[0]?.profile.relaysAnywhere;
  assert.equal(anywhere([{ allow: {} }]), true);
  assert.equal(anywhere([{ allow: {} }], ['bad.example']), false);
  assert.equal(anywhere([{ allow: { sources: ['10.0.0.0/8'] } }]), false);
  assert.equal(anywhere([{ deny: { tls: false } }, { allow: {} }]), false);
  assert.equal(anywhere([{ allow: {}, expires: '2030-01-01' }]), false);
  assert.equal(anywhere([]), false);
});

test('a refused connection hears the connector say so', async () => {
  const policy = sound({
    connectors: [
      connector({
        connect: { allow: ['10.0.0.0/8'], deny: ['10.9.0.0-10.9.255.255'] },
        replies: { connect: '421 4.3.2 Not you' },
      }),
    ],
  });
  const [only] = policy.connectors;
  assert.equal(only?.refusal('10.1.1.1'), null);
  assert.deepEqual(only?.refusal('10.9.1.1'), { code: 421, enhanced: '4.3.2', text: 'Not you' });
  assert.equal((await only?.refusal('192.0.2.1'))?.code, 421);
});

test('a policy with an error decides nothing', () => {
  assert.deepEqual(complaints({ connectors: [connector({ rules: [{ allow: { groups: ['nobody'] } }] })] }), [
    "error: no group 'nobody': none is defined under groups",
  ]);
});

test('who may connect may be said by name, and DNS is asked only where a name could change the answer', async () => {
  const asked: string[] = [];
  const zone: Record<string, string[] | null> = {
    '192.0.2.1': ['pc.corp.example'],
    '192.0.2.2': ['x.dial.example'],
    '192.0.2.3': null,
  };
  const resolve = async (address: string) => {
    asked.push(address);
    return zone[address] ?? (address in zone ? null : []);
  };
  const refusal = async (connect: { allow: string[]; deny: string[] }, address: string): Promise<number | null> => {
    const [only] = sound({ connectors: [connector({ connect })] }, { resolve }).connectors;
    return (await only?.refusal(address))?.code ?? null;
  };
  const named = { allow: ['10.0.0.0/8', '*.corp.example'], deny: [] };
  assert.equal(await refusal(named, '10.1.1.1'), null);
  assert.deepEqual(asked, []);
  assert.equal(await refusal(named, '192.0.2.1'), null);
  assert.equal(await refusal(named, '192.0.2.9'), 554);
  assert.equal(await refusal(named, '192.0.2.3'), 421, 'who it is cannot be told');
  const denied = { allow: ['any'], deny: ['*.dial.example'] };
  zone['192.0.2.4'] = ['Y.DIAL.example.'];
  assert.equal(await refusal(denied, '192.0.2.4'), 554, 'DNS has no capitals and no dot at the end');
  assert.equal(await refusal(denied, '192.0.2.1'), null);
  assert.equal(await refusal(denied, '192.0.2.2'), 554);
  assert.equal(await refusal(denied, '192.0.2.3'), 421);
});
