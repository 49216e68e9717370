import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { explain } from '../../src/commands/explain.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-explain-'));
after(() => rmSync(folder, { recursive: true }));

const file = join(folder, 'office.yaml');
writeFileSync(
  file,
  `version: 1
accepted_domains: ['*.example.com']
blocked_domains: [bad.example]
groups: { approved: ['CORP\\alice'] }
connectors:
  - name: internet
    remote_ip_ranges: [any]
    connect: { deny: [198.51.100.0/24] }
  - name: inside
    remote_ip_ranges:
      - 203.0.113.0/24
    senders: { own_domains: authenticated }
    replies: { relay: '550 5.7.1 Unable to relay for {recipient}' }
    rules:
      - { name: never, deny: { sources: [203.0.113.66] } }
      - { name: old, allow: {}, expires: 2020-01-01 }
      - { name: approved, allow: { tls: true, groups: [approved] } }
      - { name: laptops, allow: { ptr: ['*.corp.example.com'] } }
`,
);

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' };
  const code = await explain(args, {
    stdout: (text) => {
      said.stdout += text;
    },
    stderr: (text) => {
      said.stderr += text;
    },
    isTTY: false,
  });
  return { code, ...said, stdout: said.stdout.replaceAll(`${folder}/`, '') };
}

async function account(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(file, ...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

test('an account names the connector and why it won, each rule with the condition that failed, and the reply', async () => {
  assert.equal(
    await account('--source', '203.0.113.7', '--rcpt', 'x@foreign.example', '--login', 'CORP\\alice'),
    `reject  550 5.7.1 Unable to relay for x@foreign.example

connector  inside (office.yaml:9): '203.0.113.0/24' (office.yaml:11) is the most specific range that holds 203.0.113.7
recipient  x@foreign.example: foreign.example is neither accepted nor relayed for everyone: the rules decide
  no          deny never (office.yaml:15): sources: 203.0.113.7 is in none of them
  no          allow old (office.yaml:16): it has expired
  no          allow approved (office.yaml:17): tls: the session is in clear text
  no          allow laptops (office.yaml:18): ptr: the client has no confirmed name
  no rule matches: to relay is forbidden
`,
  );
});

test('the rule that decides ends the account', async () => {
  const text = await account(
    '--source',
    '203.0.113.7',
    '--rcpt',
    '<x@foreign.example>',
    '--login',
    'CORP\\alice',
    '--tls',
  );
  assert.match(text, /^proceed\n/);
  assert.match(text, / {2}yes {9}allow approved \(office\.yaml:17\): all its conditions hold\ndecided by approved\n$/);
  assert.ok(!text.includes('laptops'));
});

test('a no in another spelling says whom and what it took it for', async () => {
  const policy = join(folder, 'spellings.yaml');
  writeFileSync(
    policy,
    `version: 1
accepted_domains: [example.com]
blocked_domains: [bücher.example]
user_domains: { CORP: corp.example.com }
connectors:
  - name: internet
    remote_ip_ranges: [any]
    senders: { own_domains: authenticated, login_must_match: { 'CORP\\carol': [carol@example.com] } }
    rules:
      - { name: never, deny: { users: ['CORP\\steven'] } }
      - { name: named, allow: { users: ['CORP\\müller'] } }
      - { name: all, allow: { authenticated: true, not: { recipients: [x@bad.example] } } }
`,
  );
  const ask = async (rcpt: string, ...words: string[]): Promise<string> =>
    (await run(policy, '--source', '203.0.113.7', '--rcpt', rcpt, ...words)).stdout;
  assert.match(
    await ask('x@foreign.example', '--login', 'corp.example.com\\steven'),
    /^reject .*deny never .*: corp\.example\.com\\steven may be CORP\\steven\n/s,
  );
  assert.match(
    await ask('x@ｂad.example', '--login', 'bob'),
    /^reject .*allow all .*: not: what it excludes holds: x@ｂad\.example may be read as one of them\n/s,
  );
  assert.match(await ask('x@BÜCHER.example'), /^reject .*blocked_domains has 'bücher\.example'/s);
  assert.match(
    await ask('a@example.com', '--sender', 'boss@ｅxample.com'),
    /^refuse-sender .*own_domains .*<boss@ｅxample\.com> is .*; ｅxample\.com may be read as example\.com\n/s,
  );
  assert.match(
    await ask('a@example.com', '--login', 'carol', '--sender', 'boss@partner.example'),
    /^refuse-sender .*login_must_match.*; carol may be CORP\\carol\n/s,
  );
  assert.match(await ask('x@foreign.example', '--login', 'CORP\\müller'), /^proceed\n.*decided by named/s);
});

test('a rule that asks for a certificate says which was shown', async () => {
  const policy = join(folder, 'certificates.yaml');
  writeFileSync(
    policy,
    `version: 1
accepted_domains: [example.com]
connectors:
  - name: internet
    remote_ip_ranges: [any]
    starttls: terminate
    rules:
      - { name: partner, allow: { tls: true, tls_subject: ['*.partner.example', 'C = DE, CN = Müller'] } }
`,
  );
  const ask = async (...names: string[]): Promise<string> => {
    const subjects = names.flatMap((name) => ['--tls-subject', name]);
    return (await run(policy, '--source', '203.0.113.7', '--rcpt', 'x@foreign.example', ...subjects)).stdout;
  };
  assert.match(await ask('other.example', 'mx.partner.example'), /^proceed\n/);
  assert.match(await ask('c=de,cn=Müller'), /^proceed\n/);
  assert.match(
    await ask('other.example', 'CN=Jürgen'),
    /^reject .*no {10}allow partner .*: tls_subject: other\.example, CN=Jürgen: none of them\n/s,
  );
  const { stdout } = await run(policy, '--source', '203.0.113.7', '--rcpt', 'x@foreign.example', '--tls');
  assert.match(stdout, /tls_subject: the client has shown no certificate that could be verified\n/);
});

test('what cannot be told is said to be so, and asked again', async () => {
  const text = await account('--source', '203.0.113.7', '--rcpt', 'x@foreign.example', '--ptr', '?');
  assert.match(text, /^defer {2}451 4\.7\.1 /);
  assert.match(text, / {2}cannot tell allow laptops .*: ptr: no answer from DNS\n/);
  const named = await account(
    '--source',
    '203.0.113.7',
    '--rcpt',
    'x@foreign.example',
    '--ptr',
    'PC7.corp.example.com.',
  );
  assert.match(named, /^proceed\n/);
});

test('where it comes to the same whatever cannot be told, no rule is said to have decided', async () => {
  const either = join(folder, 'either.yaml');
  const rules = (...blocks: string[]) =>
    writeFileSync(
      either,
      `version: 1
accepted_domains: [example.com]
blocked_domains: [bad.example]
connectors:
  - name: internet
    remote_ip_ranges: [203.0.113.0/24]
    rules: [${blocks.map((block) => `{ ${block} }`).join(', ')}]
`,
    );
  const office = 'name: office, allow: { sources: [203.0.113.0/24] }';
  for (const condition of ["ptr: ['*.corp.example.com']", "not: { ptr: ['*.corp.example.com'] }"]) {
    rules(`name: laptops, allow: { ${condition} }`, office);
    const { stdout } = await run(either, '--source', '203.0.113.7', '--rcpt', 'x@foreign.example', '--ptr', '?');
    assert.match(stdout, /^proceed\n/);
    assert.match(stdout, / {2}cannot tell allow laptops .*\n {2}yes {9}allow office /);
    assert.match(
      stdout,
      /\nwhat cannot be told changes nothing: it comes to proceed either way \(the log names \w+\)\n$/,
    );
  }
  const stranger = ['--source', '203.0.113.7', '--ptr', '?'];
  rules(`name: laptops, allow: { recipient_domains: [a.example], ptr: ['*.corp.example.com'] }`, office);
  const { stdout: hidden } = await run(either, ...stranger, '--rcpt', 'x%b.example@a.example');
  assert.match(hidden, / {2}cannot tell allow laptops /);
  assert.match(hidden, / {2}no {10}allow laptops /);
  assert.match(hidden, /\nwhat cannot be told changes nothing: /);
  const { stdout: blocked } = await run(either, ...stranger, '--rcpt', 'x%bad.example@a.example');
  assert.match(blocked, /\n {2}cannot tell allow laptops /);
  assert.match(blocked, / blocked_domains has 'bad\.example': never, for anyone\n$/);
});

test('a sender that is read in several ways, and one whose domain the server completes, are told for what they are', async () => {
  const policy = join(folder, 'senders.yaml');
  writeFileSync(
    policy,
    `version: 1
accepted_domains: [example.com]
connectors:
  - name: office
    remote_ip_ranges: [10.0.0.0/8]
    rules:
      - { name: boss, deny: { senders: [boss@example.com] } }
      - { name: ours, deny: { sender_domains: [example.com] } }
      - { name: lan, allow: { sources: [10.0.0.0/8] } }
`,
  );
  const ask = async (sender: string): Promise<string> =>
    (await run(policy, '--source', '10.1.1.1', '--rcpt', 'x@foreign.example', '--sender', sender)).stdout;
  assert.match(
    await ask('<@a.example:boss@example.com>'),
    /^defer .* {2}cannot tell deny boss .*: senders: <@a\.example:boss@example\.com> is read as one sender here and as another there\n/s,
  );
  assert.match(await ask('boss'), /^reject .* {2}yes {9}deny boss .*: boss may be read as one of them\n/s);
  assert.match(await ask('root'), /^reject .* {2}yes {9}deny ours .*: root may be of one of them\n/s);
  assert.match(await ask('jürgen'), /^reject .* {2}yes {9}deny ours .*: jürgen may be of one of them\n/s);
});

test('domains decide before rules', async () => {
  assert.match(
    await account('--source', '203.0.113.66', '--rcpt', 'u@a.example.com'),
    /recipient {2}u@a\.example\.com: accepted_domains has '\*\.example\.com'\n$/,
  );
  assert.match(
    await account('--source', '203.0.113.7', '--rcpt', 'u@bad.example'),
    /blocked_domains has 'bad\.example': never, for anyone\n$/,
  );
});

test('an address hidden in another is accounted for as well', async () => {
  const text = await account('--source', '203.0.113.7', '--rcpt', 'x%foreign.example@example.com');
  assert.match(text, /^reject/);
  assert.match(text, /recipient {2}x%foreign\.example@example\.com: accepted_domains has/);
  assert.match(text, /recipient {2}x@foreign\.example \(hidden in the local part, it must be allowed as well\): /);
});

test('what the grammar refuses needs no policy', async () => {
  assert.match(
    await account('--source', '203.0.113.7', '--rcpt', '@a.example:x@foreign.example'),
    /^reject .*\n\nconnector.*\nrecipient {2}a source route/,
  );
  assert.match(await account('--source', '203.0.113.7', '--rcpt', 'a b'), /^reject {2}501 5\.1\.3 /);
  assert.match(await account('--source', '203.0.113.7', '--rcpt', '<u@example.com> x'), /^reject {2}501 5\.1\.3 /);
  assert.match(await account('--source', '203.0.113.7', '--rcpt', 'bob'), /^reject {2}553 5\.1\.3 /);
});

test('refused connections and senders are told apart from refused recipients', async () => {
  const refused = await account('--source', '198.51.100.7', '--rcpt', 'u@example.com');
  assert.match(refused, /^refuse-connection {2}554 5\.7\.1 /);
  assert.match(refused, /its connect list keeps the client out/);
  const sender = await account('--source', '203.0.113.7', '--rcpt', 'u@example.com', '--sender', 'boss@example.com');
  assert.match(sender, /^refuse-sender {2}550 5\.7\.1 Client does not have permissions to send as this sender\n/);
});

test('for machines there is one JSON object of the documented shape', async () => {
  const { stdout } = await run(file, '--json', '--source', '203.0.113.66', '--rcpt', 'x@foreign.example');
  assert.deepEqual(JSON.parse(stdout), {
    answer: 'reject',
    observed: false,
    reply: '550 5.7.1 Unable to relay for x@foreign.example',
    reason: 'rule',
    rule: 'never',
    connector: {
      name: 'inside',
      place: 'office.yaml:9',
      why: "'203.0.113.0/24' (office.yaml:11) is the most specific range that holds 203.0.113.66",
    },
    grammar: null,
    recipients: [
      {
        address: 'x@foreign.example',
        hidden: false,
        why: 'foreign.example is neither accepted nor relayed for everyone: the rules decide',
        rules: [
          { name: 'never', place: 'office.yaml:15', action: 'deny', matched: 'yes', why: 'all its conditions hold' },
        ],
      },
    ],
  });
});

test('a configuration is asked as its policy would be, observe included', async () => {
  const config = join(folder, 'postern.yaml');
  writeFileSync(config, "upstream: { servers: ['10.0.0.10:25'] }\npolicy: office.yaml\nmode: observe\n");
  const { stdout, code } = await run(config, '--source', '203.0.113.66', '--rcpt', 'x@foreign.example');
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^proceed\n\(observe: it would be refused, and is only logged: 550 5\.7\.1 Unable to relay for x@foreign\.example\)\n/,
  );
});

test('wrong usage and faulty files have their own exit codes', async () => {
  const good = ['--source', '192.0.2.1', '--rcpt', 'u@example.com'];
  for (const args of [
    good,
    [file],
    [file, '--source', '192.0.2.1'],
    [file, '--rcpt', 'u@example.com'],
    [file, 'other.yaml', ...good],
    [file, '--source', 'example.com', '--rcpt', 'u@example.com'],
    [file, ...good, '--local', 'here'],
    [file, ...good, '--ptr', 'a.example', '--resolve'],
    [file, ...good, '--login', ''],
    [file, ...good, '--ptr', ''],
    [file, ...good, '--tls-subject', ''],
    [file, ...good, '--frobnicate'],
  ]) {
    const { code, stderr } = await run(...args);
    assert.equal(code, 64, args.join(' '));
    assert.match(stderr, /^postern explain: .+\nTry: postern explain --help\n$/);
  }
  const faulty = join(folder, 'faulty.yaml');
  writeFileSync(faulty, 'version: 1\nconnectors: 5\n');
  const { code, stderr } = await run(faulty, ...good);
  assert.equal(code, 78);
  assert.match(stderr, /faulty\.yaml:2:13: error: connectors: 5 stands where a list is wanted/);
  assert.match((await run('--help')).stdout, /^Usage: postern explain FILE/);
});

const settings = join(folder, 'settings.yaml');
const denied = join(folder, 'denied.txt');
writeFileSync(denied, '# thrown out\n198.51.100.9\n');
writeFileSync(
  settings,
  `version: 1
accepted_domains: [example.com]
blocked_domains:
  - bad.example
accepted_literals: [192.0.2.25]
valid_recipients: { file: valid.txt }
groups: { staff: ['CORP\\alice'] }
connectors:
  - name: office
    remote_ip_ranges: [203.0.113.0/24]
    senders:
      own_domains: authenticated
      login_must_match:
        'CORP\\steven': [steven@example.com]
      others: deny
    connect:
      allow: [203.0.113.0/25, '*.corp.example.com']
      deny: [203.0.113.9, 'dsl.corp.example.com']
  - name: phones
    remote_ip_ranges: [198.51.100.0/24]
    connect:
      deny: ['file:denied.txt']
    submit: { groups: [staff] }
  - name: partners
    remote_ip_ranges: [192.0.2.0/24]
    require_tls: true
    submit: authenticated
    replies: { submit: '450 4.7.0 Log in first' }
  - name: shown
    remote_ip_ranges: [192.0.3.0/24]
    submit: authenticated
    mode: observe
`,
);
writeFileSync(join(folder, 'valid.txt'), 'u@example.com\n');

const OFFICE = ['--source', '203.0.113.7', '--rcpt', 'u@example.com'];
const PHONE = ['--source', '198.51.100.7', '--rcpt', 'u@example.com'];
const PARTNER = ['--source', '192.0.2.7', '--rcpt', 'u@example.com'];
const STEVEN = ['--login', 'corp\\STEVEN'];
const SENDERS = 'connectors[0].senders';

for (const [what, args, answer, key, line, why] of [
  [
    'no connector',
    ['--source', '10.0.0.1', '--rcpt', 'u@example.com'],
    'refuse-connection',
    'connectors',
    'settings.yaml:9',
    /remote_ip_ranges holds 10\.0\.0\.1/,
  ],
  [
    'connect.deny by address',
    ['--source', '203.0.113.9', '--rcpt', 'u@example.com'],
    'refuse-connection',
    'connectors[0].connect.deny[0]',
    'settings.yaml:18',
    /'203\.0\.113\.9' holds/,
  ],
  [
    'connect.deny by name',
    [...OFFICE, '--ptr', 'dsl.corp.example.com'],
    'refuse-connection',
    'connectors[0].connect.deny',
    'settings.yaml:18',
    /'dsl\.corp\.example\.com' holds dsl/,
  ],
  [
    'connect by a DNS that does not answer',
    [...OFFICE, '--ptr', '?'],
    'refuse-connection',
    'connectors[0].connect.deny',
    'settings.yaml:18',
    /no answer from DNS/,
  ],
  [
    'connect.allow',
    ['--source', '203.0.113.200', '--rcpt', 'u@example.com', '--ptr', 'x.example'],
    'refuse-connection',
    'connectors[0].connect.allow',
    'settings.yaml:17',
    /203\.0\.113\.200 \(x\.example\) is none of them/,
  ],
  [
    'connect.deny in a list file',
    ['--source', '198.51.100.9', '--rcpt', 'u@example.com'],
    'refuse-connection',
    'connectors[1].connect.deny[0]',
    'denied.txt:2',
    /'198\.51\.100\.9' holds/,
  ],
  [
    'own_domains',
    [...OFFICE, '--sender', 'boss@example.com'],
    'refuse-sender',
    `${SENDERS}.own_domains`,
    'settings.yaml:12',
    /authenticated: <boss@example\.com> is an address of an accepted domain, and nobody has logged in/,
  ],
  [
    'own_domains, of a bare name',
    [...OFFICE, '--sender', 'boss'],
    'refuse-sender',
    `${SENDERS}.own_domains`,
    'settings.yaml:12',
    /may be an address/,
  ],
  [
    'login_must_match',
    [...OFFICE, ...STEVEN, '--sender', 'boss@example.com'],
    'refuse-sender',
    `${SENDERS}.login_must_match.CORP\\steven`,
    'settings.yaml:14',
    /<boss@example\.com> is none of the senders of/,
  ],
  [
    'others',
    [...OFFICE, '--login', 'CORP\\eve', '--sender', 'x@foreign.example'],
    'refuse-sender',
    `${SENDERS}.others`,
    'settings.yaml:15',
    /CORP\\eve is not named in login_must_match/,
  ],
  [
    'a login without a name',
    [...OFFICE, '--login', '?', '--sender', 'steven@example.com'],
    'defer',
    `${SENDERS}.login_must_match`,
    'settings.yaml:14',
    /name of the login is not known/,
  ],
  [
    'submit, nobody',
    PHONE,
    'refuse-sender',
    'connectors[1].submit',
    'settings.yaml:23',
    /only these users and groups, and nobody has logged in/,
  ],
  [
    'submit, another',
    [...PHONE, '--login', 'CORP\\eve'],
    'refuse-sender',
    'connectors[1].submit',
    'settings.yaml:23',
    /CORP\\eve is none of them/,
  ],
  [
    'submit, a login without a name',
    [...PHONE, '--login', '?'],
    'defer',
    'connectors[1].submit',
    'settings.yaml:23',
    /name of the login is not known/,
  ],
  [
    'require_tls',
    PARTNER,
    'refuse-sender',
    'connectors[2].require_tls',
    'settings.yaml:26',
    /true, and the session is in clear text/,
  ],
  [
    'submit: authenticated, in words of 4yz',
    [...PARTNER, '--tls'],
    'defer',
    'connectors[2].submit',
    'settings.yaml:27',
    /authenticated, and nobody has logged in/,
  ],
  [
    'what observe lets through',
    ['--source', '192.0.3.7', '--rcpt', 'u@example.com'],
    'proceed',
    'connectors[3].submit',
    'settings.yaml:31',
    /nobody has logged in/,
  ],
  [
    'blocked_domains',
    ['--source', '198.51.100.7', '--login', 'CORP\\alice', '--rcpt', 'u@bad.example'],
    'reject',
    'blocked_domains',
    'settings.yaml:4',
    /never passed/,
  ],
  [
    'valid_recipients',
    [...OFFICE.slice(0, 2), '--rcpt', 'v@example.com'],
    'reject',
    'valid_recipients',
    'settings.yaml:6',
    /not in the list/,
  ],
  [
    'unqualified_recipients',
    [...OFFICE.slice(0, 2), '--rcpt', 'bob'],
    'reject',
    'connectors[0].unqualified_recipients',
    'settings.yaml:9',
    /no domain/,
  ],
  [
    'accepted_literals',
    [...OFFICE.slice(0, 2), '--rcpt', 'u@[192.0.2.26]'],
    'reject',
    'accepted_literals',
    'settings.yaml:5',
    /none of them/,
  ],
] as const)
  test(`what refuses is named with its key, line and reason: ${what}`, async () => {
    const { stdout, stderr } = await run(settings, ...args, '--json');
    assert.equal(stderr, '');
    const { answer: got, setting } = JSON.parse(stdout);
    assert.deepEqual([got, setting?.key, setting?.place], [answer, key, line]);
    assert.match(setting.why, why);
    const { stdout: account } = await run(settings, ...args);
    assert.ok(account.includes(`\nsetting    ${key} (${line}): ${setting.why}\n`), account);
    assert.equal(account.includes('what cannot be told'), answer === 'defer' && !what.includes('4yz'));
  });

test('where nothing was refused, or a rule or the grammar did it, no setting is named', async () => {
  for (const args of [
    OFFICE,
    ['--source', '203.0.113.7', '--rcpt', 'x@foreign.example'],
    [...OFFICE.slice(0, 2), '--rcpt', 'a b'],
  ])
    assert.equal(JSON.parse((await run(settings, ...args, '--json')).stdout).setting, undefined);
});

test('--expect makes it a test', async () => {
  const ask = async (expected: string, ...more: string[]) =>
    await run(file, '--source', '203.0.113.66', '--rcpt', 'x@foreign.example', '--expect', expected, ...more);
  assert.equal((await ask('reject')).code, 0);
  const { code, stdout, stderr } = await ask('proceed');
  assert.equal(code, 1);
  assert.match(stdout, /^reject/);
  assert.equal(stderr, 'postern explain: expected proceed, got reject\n');
  const json = await ask('defer', '--json');
  assert.equal(json.code, 1);
  assert.deepEqual([JSON.parse(json.stdout).answer, JSON.parse(json.stdout).expected], ['reject', 'defer']);
  const wrong = await ask('refuse');
  assert.equal(wrong.code, 64);
  assert.match(
    wrong.stderr,
    /--expect: "refuse" is no answer: proceed, reject, defer, refuse-connection, refuse-sender are/,
  );
});

test('says which servers a session goes to where these are not those of all', async () => {
  const configuration = join(folder, 'postern.yaml');
  const connectors = [
    { name: 'internet', remote_ip_ranges: ['any'], starttls: 'hide' },
    { name: 'printers', remote_ip_ranges: ['10.1.0.0/24'], rules: [{ allow: {} }], upstream: 'relay' },
  ];
  const upstreams = { relay: { servers: ['10.0.0.10:2525', '10.0.0.11:2525'] } };
  const policy = { version: 1, accepted_domains: ['example.com'], connectors };
  writeFileSync(configuration, JSON.stringify({ upstream: { servers: ['10.0.0.10:25'] }, upstreams, policy }));
  const ask = (source: string, ...more: string[]) =>
    run(configuration, '--source', source, '--rcpt', 'x@foreign.example', ...more);
  assert.match(
    (await ask('10.1.0.9')).stdout,
    /^proceed\n\nconnector .*\nupstream {3}relay: 10\.0\.0\.10:2525, 10\.0\.0\.11:2525\n/,
  );
  assert.doesNotMatch((await ask('10.2.0.9')).stdout, /upstream/);
  assert.equal(JSON.parse((await ask('10.1.0.9', '--json')).stdout).connector.upstream, 'relay');
  assert.equal(JSON.parse((await ask('10.2.0.9', '--json')).stdout).connector.upstream, undefined);
});
