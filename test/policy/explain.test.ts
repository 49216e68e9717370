// What explain says, word by word: of each condition why it does not hold, and of each setting why it refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  ConditionsDocument,
  ConnectorDocument,
  PolicyDocument,
  SendersDocument,
} from '../../src/policy/document.ts';
import { explain, formatExplanation } from '../../src/policy/explain.ts';
import type { PolicyOptions } from '../../src/policy/options.ts';
import { ANY_LOCAL, type PolicyQuestion } from '../../src/policy/policy-question.ts';
import { connector, sound } from './build.ts';

interface Given {
  readonly connector?: Partial<ConnectorDocument>;
  readonly policy?: Partial<PolicyDocument>;
  readonly options?: Partial<PolicyOptions>;
  /** In DNS. */
  readonly names?: readonly string[] | null;
  readonly line?: number;
}

async function account(asked: Partial<PolicyQuestion>, given: Given = {}): Promise<string> {
  const names = given.names === undefined ? [] : given.names;
  const connectors = [connector({ i_know_this_is_open: true, starttls: 'terminate', ...given.connector })];
  const options = { ownAddresses: ['192.0.2.25'], resolve: async () => names, ...given.options };
  const question: PolicyQuestion = {
    source: '192.0.2.1',
    local: { address: '192.0.2.25', port: 587 },
    helo: '',
    login: null,
    tls: false,
    tlsSubject: [],
    sender: '',
    recipient: 'x@foreign.example',
    ...asked,
  };
  const place = () => ({ file: 'p', line: given.line ?? 7, column: 1 });
  const policy = sound({ connectors, groups: { staff: ['eve'] }, ...given.policy }, options);
  return formatExplanation(await explain(policy, question, () => names, place));
}

const CONNECTOR = "connector  internet (p:7): 'any' (p:7) is the most specific range that holds 192.0.2.1";

/** Of the only rule of a policy. */
async function ruleOf(
  rule: { allow: ConditionsDocument } | { deny: ConditionsDocument },
  asked: Partial<PolicyQuestion>,
  given: Given = {},
): Promise<string> {
  const text = await account(asked, { ...given, connector: { rules: [{ name: 'r', ...rule }], ...given.connector } });
  return /^ {2}(.*?) +(?:allow|deny) r \(p:7\): (.*)$/m.exec(text)?.slice(1).join(', ') ?? text;
}

const GUARDED = { connector: { remote_ip_ranges: ['any', '192.0.2.25'] } };

for (const [conditions, asked, why, given] of [
  [{ sources: ['10.0.0.9'] }, {}, 'no, sources: 192.0.2.1 is in none of them'],
  [
    { sources: ['10.0.0.9'] },
    { source: '192.0.2.25' },
    'no, sources: 192.0.2.25 is ours, loopback or the gateway, and is not listed by itself',
    GUARDED,
  ],
  [{ ptr: ['x.example'] }, {}, 'no, ptr: the client has no confirmed name'],
  [{ ptr: ['x.example'] }, {}, 'no, ptr: a.example, b.example: none of them', { names: ['a.example', 'b.example'] }],
  [{ ptr: ['x.example'] }, {}, 'cannot tell, ptr: no answer from DNS', { names: null }],
  [
    { ptr: ['x.example'] },
    { source: '192.0.2.25' },
    "no, ptr: 192.0.2.25 is ours, loopback or the gateway: its name is not the client's",
    GUARDED,
  ],
  [{ local: ['192.0.2.26'] }, {}, 'no, local: the client has connected to 192.0.2.25, port 587'],
  [
    { local: ['192.0.2.26'] },
    { local: { address: 'nowhere', port: 25 } },
    'no, local: the client has connected to an unknown address, port 25',
  ],
  [
    { local: ['192.0.2.26'] },
    { local: ANY_LOCAL },
    'no, local: the client has connected to an unknown address, port 25',
  ],
  [{ authenticated: true }, {}, 'no, authenticated: nobody has logged in'],
  [{ authenticated: true }, { login: '?' }, 'no, authenticated: the login has no name'],
  [{ authenticated: false }, { login: 'bob' }, 'no, authenticated: bob has logged in'],
  [{ users: ['eve'] }, {}, 'no, users: nobody has logged in'],
  [{ users: ['eve'] }, { login: '?' }, 'cannot tell, users: the name of the login is not known'],
  [{ users: ['eve'] }, { login: 'bob' }, 'no, users: bob is none of them'],
  [{ groups: ['staff'] }, {}, 'no, groups: nobody has logged in'],
  [{ groups: ['staff'] }, { login: 'bob' }, 'no, groups: bob is none of them'],
  [{ tls: true }, {}, 'no, tls: the session is in clear text'],
  [{ tls: false }, { tls: true }, 'no, tls: the session is encrypted'],
  [{ tls_subject: ['a.example'] }, {}, 'no, tls_subject: the client has shown no certificate that could be verified'],
  [
    { tls_subject: ['a.example'] },
    { tls: true, tlsSubject: ['b.example', 'c.example'] },
    'no, tls_subject: b.example, c.example: none of them',
  ],
  [{ senders: ['b@x.example'] }, { sender: 'é@y.example' }, 'no, senders: <é@y.example> is none of them'],
  [{ sender_domains: ['x.example'] }, {}, 'no, sender_domains: <> is none of them'],
  [{ recipients: ['b@x.example'] }, {}, 'no, recipients: x@foreign.example is none of them'],
  [
    { recipient_domains: ['x.example'] },
    { recipient: 'x@bücher.example' },
    'no, recipient_domains: bücher.example is in none of them',
  ],
  [{ helo: ['x.example'] }, {}, 'no, helo: no name was given'],
  [{ helo: ['x.example'] }, { helo: 'PC-é' }, 'no, helo: PC-é is none of them'],
  [{ not: { recipients: ['x@foreign.example'] } }, {}, 'no, not: what it excludes holds'],
  [{ not: { users: ['CORP\\bob'] } }, { login: 'bob' }, 'no, not: what it excludes holds: bob may be CORP\\bob'],
  [{ tls: false }, {}, 'yes, all its conditions hold'],
] as const satisfies [ConditionsDocument, Partial<PolicyQuestion>, string, Given?][])
  test(`${JSON.stringify(conditions)} asked ${JSON.stringify(asked)}: ${why}`, async () => {
    assert.equal(await ruleOf({ allow: conditions }, asked, given), why);
  });

test('a denial by another spelling says whose', async () => {
  assert.equal(
    await ruleOf({ deny: { users: ['CORP\\bob'] } }, { login: 'bob' }),
    'yes, all its conditions hold: bob may be CORP\\bob',
  );
});

test('the account of who is answered by no connector, or kept out, ends there', async () => {
  const inside = { connector: { remote_ip_ranges: ['10.0.0.0/8'] } };
  const kept = { connector: { connect: { allow: ['any'], deny: ['192.0.2.1'] } } };
  const none = (where: string): string => `refuse-connection  554 5.7.1 Access denied

connector  none: no connector of this local address holds the client
setting    connectors (p:7): none of their remote_ip_ranges holds 192.0.2.1, of those that answer at ${where}
`;
  assert.equal(await account({}, inside), none('192.0.2.25, port 587'));
  assert.equal(await account({ local: ANY_LOCAL }, inside), none('that address, port 25'));
  assert.equal(
    await account({}, kept),
    `refuse-connection  554 5.7.1 Access denied

${CONNECTOR}
connection its connect list keeps the client out
setting    connectors[0].connect.deny[0] (p:7): '192.0.2.1' holds 192.0.2.1
`,
  );
});

test('a connector is told with its binding and its servers, and a place without a line as the file alone', async () => {
  const given = { connector: { bindings: ['192.0.2.25:587'], upstream: 'printers' } };
  assert.equal(
    await account({ recipient: 'u@local.example' }, given),
    `proceed

connector  internet (p:7): bound to the local address, and 'any' (p:7) is the most specific range that holds 192.0.2.1
upstream   printers
recipient  u@local.example: accepted_domains has 'local.example'
`,
  );
  assert.equal(
    await account({ recipient: 'u@local.example' }, { line: 0 }),
    `proceed

connector  internet (p): 'any' (p) is the most specific range that holds 192.0.2.1
recipient  u@local.example: accepted_domains has 'local.example'
`,
  );
});

test('recipients without a domain, and literals, are told as that', async () => {
  assert.equal(
    await account({ recipient: 'bob' }),
    `reject  553 5.1.3 <bob>: Recipient address rejected: Domain name required

${CONNECTOR}
recipient  no domain, and only Postmaster needs none
setting    connectors[0].unqualified_recipients (p:7): reject: the address has no domain
`,
  );
  assert.equal(
    await account({ recipient: 'bob' }, { connector: { unqualified_recipients: 'allow' } }),
    `proceed

${CONNECTOR}
recipient  bob: no domain: Postmaster always passes, others where unqualified_recipients allows it
`,
  );
  assert.equal(
    await account({ recipient: 'x@[192.0.2.9]' }),
    `reject  554 5.7.1 <x@[192.0.2.9]>: Recipient address rejected: Relay access denied

${CONNECTOR}
setting    accepted_literals (p:7): the address literal is none of them
recipient  x@[192.0.2.9]: an address literal: it passes when it is one of accepted_literals
`,
  );
});

test('what the grammar refuses for this connector alone is told without a setting', async () => {
  assert.equal(
    await account({ recipient: 'IMCEAFAX-x@local.example' }),
    `reject  554 5.7.1 <IMCEAFAX-x@local.example>: Recipient address rejected: Relay access denied

${CONNECTOR}
recipient  a gateway address that nobody can judge
`,
  );
});

test('who is not in the list of recipients is not said to be of the domain that hides in the address', async () => {
  const options: Partial<PolicyOptions> = {
    // biome-ignore lint/correctness/useYield: there is nothing to wait for
    readList: function* () {
      return { file: 'v', lines: [] };
    },
  };
  const text = await account(
    { recipient: 'v%foreign.example@local.example' },
    { policy: { valid_recipients: { file: 'v' } }, options },
  );
  assert.match(
    text,
    /^setting {4}valid_recipients \(p:7\): the address is not in the list, and its domain receives for those alone$/m,
  );
});

/** What is said of a sender: two lines. */
async function senderOf(
  asked: Partial<PolicyQuestion>,
  senders: Partial<SendersDocument>,
  more: Partial<ConnectorDocument> = {},
): Promise<string[]> {
  const all = { own_domains: 'allow', login_must_match: {}, own_address: 'free', others: 'allow', ...senders } as const;
  const policy = { user_domains: { CORP: 'local.example' } };
  const text = await account(asked, { connector: { senders: all, ...more }, policy });
  const [, ...lines] = text.split(`${CONNECTOR}\n`)[1]?.trimEnd().split('\n') ?? [];
  assert.match(text, /^sender {5}/m);
  return lines.map((line) => line.replace(/^setting {4}connectors\[0\]\.(.*?) \(p:7\): /, '$1: '));
}

test('a sender that is no path is told as that', async () => {
  assert.equal(
    await account({ sender: 'a b' }),
    `refuse-sender  501 5.1.7 Bad sender address syntax

${CONNECTOR}
sender     the sender is no reverse-path
`,
  );
  assert.match(await account({}, { connector: { submit: 'authenticated' } }), /^sender {5}refused: submit$/m);
  assert.match(
    await account({ login: 'bob' }, { connector: { require_tls: true } }),
    /^sender {5}refused: tls required\nsetting {4}connectors\[0\]\.require_tls \(p:7\): true, and the session is in clear text$/m,
  );
});

test('of own_domains it is said whose address it is, or may be', async () => {
  const deny = { own_domains: 'deny', login_must_match: { bob: ['b@b.example'] } } as const;
  const is = 'senders.own_domains: deny: <x@local.example> is an address of an accepted domain';
  assert.deepEqual(await senderOf({ sender: 'x@local.example' }, deny), [is]);
  assert.deepEqual(await senderOf({ sender: 'x@local.example', login: 'bob' }, deny), [is]);
  for (const sender of ['@a.example:x@local.example', 'x'])
    assert.deepEqual(await senderOf({ sender }, deny), [
      `senders.own_domains: deny: <${sender}> may be an address of an accepted domain`,
    ]);
  assert.deepEqual(
    await senderOf({ sender: 'x@local.example' }, { own_domains: 'authenticated', own_address: 'required' }),
    [
      'senders.own_domains: authenticated: <x@local.example> is an address of an accepted domain, and nobody has logged in',
    ],
  );
});

test('of submit it is said who may, and who asks', async () => {
  const submit = (login: string | null, given: ConnectorDocument['submit']): Promise<string[]> =>
    senderOf({ login }, {}, { submit: given });
  const users = { users: ['CORP\\bob'] };
  assert.deepEqual(await submit(null, 'authenticated'), ['submit: authenticated, and nobody has logged in']);
  assert.deepEqual(await submit(null, users), ['submit: only these users and groups, and nobody has logged in']);
  assert.deepEqual(await submit('eve', users), ['submit: only these users and groups, and eve is none of them']);
});

test('of the senders of a login it is said which are its own', async () => {
  const listed = { login_must_match: { 'CORP\\bob': ['b@b.example'] }, others: 'deny' } as const;
  const required = { ...listed, own_address: 'required' } as const;
  const sender = 'x@foreign.example';
  const said = (login: string | null, senders: Partial<SendersDocument>) => senderOf({ login, sender }, senders);
  assert.deepEqual(await said('CORP\\bob', listed), [
    'senders.login_must_match.CORP\\bob: <x@foreign.example> is none of the senders of CORP\\bob',
  ]);
  assert.deepEqual(await said('corp\\bob', required), [
    'senders.login_must_match.CORP\\bob: <x@foreign.example> is none of the senders of corp\\bob, nor is it bob@local.example',
  ]);
  assert.deepEqual(await said('corp\\eve', required), [
    'senders.own_address: required: corp\\eve is eve@local.example, not <x@foreign.example>',
  ]);
  assert.deepEqual(await said('eve', { own_address: 'required' }), [
    'senders.own_address: required, and <x@foreign.example> is not known to be the address of eve; eve may be whose address is eve@local.example',
  ]);
  assert.deepEqual(await said('eve', listed), ['senders.others: deny, and eve is not named in login_must_match']);
  assert.deepEqual(await said('?', listed), ['senders.others: deny, and the login has no name']);
  assert.deepEqual(await said('OTHER\\eve', required), [
    'senders.others: deny, and OTHER\\eve is not named in login_must_match, and no address of its own is known',
  ]);
  assert.deepEqual(await said('?', required), [
    'senders.others: deny, and the login has no name, and no address of its own is known',
  ]);
});
