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
    await ask('other.example', 'CN=x'),
    /^reject .*no {10}allow partner .*: tls_subject: other\.example, CN=x: none of them\n/s,
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
