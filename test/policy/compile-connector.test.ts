// What becomes of a connector's settings: what its sessions may do on the wire, and what is said of a faulty one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectorDocument, PolicyDocument } from '../../src/policy/document.ts';
import type { PolicyOptions } from '../../src/policy/options.ts';
import { formatPath } from '../../src/policy/problem.ts';
import { CONNECTOR_FULL } from '../../src/smtp/replies.ts';
import { answer, compile, connector, login, mail, sound } from './build.ts';

function only(
  given: Partial<ConnectorDocument>,
  more: Partial<PolicyDocument> = {},
  options: Partial<PolicyOptions> = {},
) {
  const made = { remote_ip_ranges: ['10.0.0.0/8'], ...given };
  const [first] = sound({ groups: { staff: ['bob'] }, ...more, connectors: [connector(made)] }, options).connectors;
  assert.ok(first !== undefined);
  return first;
}

function told(given: Partial<ConnectorDocument>): string[] {
  return compile({
    groups: { staff: ['bob'] },
    connectors: [connector({ remote_ip_ranges: ['10.0.0.0/8'], ...given })],
  })
    .problems.filter(({ message }) => !message.includes('without STARTTLS'))
    .map(({ severity, path, message }) => `${severity} ${formatPath(path.slice(2))}: ${message}`);
}

test('a connector relays anywhere only where its first rule allows all and nobody is stopped at MAIL', () => {
  const anywhere = (given: Partial<ConnectorDocument>, more: Partial<PolicyDocument> = {}): boolean =>
    only({ rules: [{ allow: {} }], ...given }, more).profile.relaysAnywhere;
  const senders = connector({}).senders;
  assert.ok(anywhere({}));
  for (const given of [
    { rules: [{ deny: {} }] },
    { submit: 'authenticated' },
    { submit: { users: ['alice'] } },
    { require_tls: true },
    { senders: { ...senders, own_domains: 'deny' } },
    { senders: { ...senders, own_domains: 'authenticated' } },
    { senders: { ...senders, others: 'deny' } },
    { senders: { ...senders, own_address: 'required' } },
    { senders: { ...senders, login_must_match: { alice: ['alice@local.example'] } } },
  ] satisfies Partial<ConnectorDocument>[])
    assert.ok(!anywhere(given), JSON.stringify(given));
});

test('names and ranges of who may connect are told apart', async () => {
  const resolve = async () => ['1and1.example', 'pc.example2'];
  const refused = async (allow: string[], address: string): Promise<number | null> =>
    (await only({ connect: { allow, deny: [] } }, {}, { resolve }).refusal(address))?.code ?? null;
  for (const name of ['1and1.example', 'pc.example2', '*.example2'])
    assert.equal(await refused([name], '192.0.2.1'), null, name);
  for (const range of ['10.0.0.0-10.0.0.9', '::ffff:10.0.0.1', '10.0.0.1']) {
    assert.equal(await refused([range], '10.0.0.1'), null, range);
    assert.equal(await refused([range], '192.0.2.1'), 554, range);
  }
});

test('what is faulty in who may connect or hand in is told where it stands', () => {
  assert.deepEqual(told({ connect: { allow: [], deny: ['a*.example'] } }), [
    "warning connect.allow: an empty list: nobody may connect to 'internet'",
    "error connect.deny[0]: 'a*.example': a star stands only at the start, as '*.example.com'",
  ]);
  assert.match(told({ connect: { allow: ['10.0.0.0/33'], deny: [] } }).join(), /^error connect\.allow\[0\]: /);
  assert.deepEqual(told({ submit: {} }), [
    'error submit: nobody could send: users or groups are wanted, or anyone, or authenticated',
  ]);
  assert.deepEqual(told({ submit: { users: [], groups: ['none'] } }), [
    'warning submit.users: an empty list never holds',
    "error submit.groups[0]: no group 'none': staff are defined under groups",
  ]);
  assert.deepEqual(told({ submit: { users: ['staff'] } }), [
    "warning submit.users[0]: 'staff' is a group, and here it would be a login of that name: groups is meant?",
  ]);
});

test('where groups may hand in, nobody else may', async () => {
  const policy = sound({ groups: { staff: ['bob'] }, connectors: [connector({ submit: { groups: ['staff'] } })] });
  const may = (name: string): Promise<string> =>
    answer(policy, '192.0.2.1', mail('a@b.example', { login: login(name) }));
  assert.equal(await may('bob'), 'proceed');
  assert.equal(await may('Stryker was here'), '530 submit');
});

test('keywords are hidden in whatever case they are written, and one that would not pass anyway is told', () => {
  assert.deepEqual([...only({ hide_keywords: ['Chunking', 'AUTH='] }).profile.hideKeywords], ['CHUNKING', 'AUTH=']);
  assert.deepEqual(told({ hide_keywords: ['chunking', 'auth='] }), []);
  assert.match(
    told({ hide_keywords: ['XNOTHING'] }).join(),
    /^warning hide_keywords\[0\]: 'XNOTHING' is no keyword that/,
  );
});

test('nobody waits in a tarpit where the mode is observe', () => {
  const tarpit = (given: Partial<ConnectorDocument>, options: Partial<PolicyOptions> = {}): number =>
    only({ limits: { tarpit: 5_000 }, ...given }, {}, options).profile.tarpit;
  assert.equal(tarpit({}), 5_000);
  assert.equal(tarpit({ mode: 'observe' }), 0);
  assert.equal(tarpit({}, { mode: 'observe' }), 0);
  assert.equal(only({}, {}, { mode: 'observe' }).mode, 'observe');
  assert.equal(only({ mode: 'observe' }).mode, 'observe');
  assert.equal(only({}).mode, 'enforce');
});

test('each limit of a session is the one that is written', () => {
  const session = {
    errors: 1,
    junk_commands: 2,
    recipients_per_message: 3,
    messages: 4,
    auth_failures: 5,
    command_line: 1024,
  };
  assert.deepEqual(only({ limits: { session } }).profile.limits, {
    errors: 1,
    junkCommands: 2,
    recipientsPerMessage: 3,
    messages: 4,
    authFailures: 5,
    commandLine: 1024,
  });
});

test('who finds no place hears that others have taken it, or what the connector was told to say', () => {
  assert.equal(only({ replies: { relay: undefined } }).replies.full, CONNECTOR_FULL);
  const replies = { connections: '421 4.7.0 Come back later' };
  assert.equal(only({ replies }).replies.full.text, 'Come back later');
  assert.equal(only({ replies }).replies.connections.text, 'Come back later');
  assert.notEqual(only({}).replies.full.text, only({}).replies.connections.text);
});
