import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { check } from '../../src/commands/check.ts';
import { test as testCommand } from '../../src/commands/test.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-cases-'));
after(() => rmSync(folder, { recursive: true }));
const policies = fileURLToPath(new URL('../../policies/', import.meta.url));

const policy = `
version: 1
accepted_domains: [example.com]
connectors:
  - name: internet
    remote_ip_ranges: [any]
    rules:
      - { name: staff, allow: { users: ['CORP\\alice'] } }
`;

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' };
  const code = await testCommand(args, {
    stdout: (text) => {
      said.stdout += text;
    },
    stderr: (text) => {
      said.stderr += text;
    },
    isTTY: false,
  });
  return { code, ...said };
}

test('every policy that is shipped answers as its cases say, and has cases', async () => {
  const { code, stdout } = await run(policies);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^\d{3} cases, 0 failed\n$/);
  for (const file of readdirSync(policies)) {
    if (!file.endsWith('.yaml') || file === 'postern.yaml') continue;
    const cases = readFileSync(join(policies, file.replace(/yaml$/, 'cases')), 'utf8');
    assert.ok(/^reject/m.test(cases) && /^proceed/m.test(cases), file);
  }
});

test('every policy that is shipped is sound', async () => {
  for (const file of readdirSync(policies).filter((name) => name.endsWith('.yaml'))) {
    let said = '';
    const stdout = (text: string): void => {
      said += text;
    };
    assert.equal(await check([join(policies, file)], { stdout, stderr: stdout, isTTY: false }), 0, said);
  }
});

test('a shipped policy that is changed fails its cases', async () => {
  for (const [name, from, to] of [
    ['closed', 'connectors:', "relay_domains: ['*.foreign.example']\nconnectors:"],
    ['exchange-5.5', '10.20.30.66, ', ''],
    [
      'exchange-2000',
      '- { name: logged-in, allow: { authenticated: true } }\n      - { name: all-except',
      '- { name: all-except',
    ],
    ['exchange-2003', 'submit: { groups: [staff] }', 'submit: anyone'],
    ['exchange-2007', 'remote_ip_ranges: [10.20.90.0/24]', 'remote_ip_ranges: [10.21.90.0/24]'],
    ['exchange-2010', 'own_domains: authenticated', 'own_domains: allow'],
    ['postfix', 'others: deny', 'others: allow'],
    ['appliance', '192.168.1.100-192.168.1.101', '192.168.1.100-192.168.1.102'],
  ] as const) {
    for (const file of readdirSync(policies).filter((one) => one.endsWith('.txt')))
      writeFileSync(join(folder, file), readFileSync(join(policies, file)));
    const text = readFileSync(join(policies, `${name}.yaml`), 'utf8');
    assert.ok(text.includes(from), `${name}: ${from}`);
    write(`${name}.yaml`, text.replace(from, to));
    const cases = write(`${name}.cases`, readFileSync(join(policies, `${name}.cases`), 'utf8'));
    assert.equal((await run(cases)).code, 1, name);
  }
});

test('a case that fails is shown with its line, what was expected and why it was not', async () => {
  write('staff.yaml', policy);
  const cases = write(
    'staff.cases',
    'proceed  192.0.2.1 -> user@example.com\n\n# people\nproceed  192.0.2.1 login=CORP\\bob -> x@foreign.example   # not he\nreject 192.0.2.1 login=CORP\\alice -> x@foreign.example\n',
  );
  const { code, stdout } = await run(cases);
  assert.equal(code, 1);
  assert.equal(
    stdout,
    `${cases}:4: expected proceed, got reject (554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied): connector internet, no rule
${cases}:5: expected reject, got proceed: connector internet, rule staff
3 cases, 2 failed
`,
  );
});

test('for machines there is one JSON object', async () => {
  write('json.yaml', policy);
  const cases = write('json.cases', 'proceed 192.0.2.1 -> x@foreign.example\n');
  const { code, stdout } = await run('--json', cases);
  assert.equal(code, 1);
  assert.deepEqual(JSON.parse(stdout), {
    cases: 1,
    failed: 1,
    failures: [
      {
        file: cases,
        line: 1,
        expected: 'proceed',
        answer: 'reject',
        reply: '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied',
        connector: 'internet',
        rule: null,
      },
    ],
  });
});

test('a line that is no case is a failure, with what is wrong', async () => {
  write('bad.yaml', policy);
  const faults: [string, RegExp][] = [
    ['proceed 192.0.2.1 user@example.com', /no recipient/],
    ['proceed 192.0.2.1 ->', /no recipient/],
    ['accept 192.0.2.1 -> user@example.com', /'accept' is no answer/],
    ['proceed example.com -> user@example.com', /'example\.com' is no address/],
    ['proceed 192.0.2.1 tsl -> user@example.com', /'tsl' is not known/],
    ['proceed 192.0.2.1 tls=yes -> user@example.com', /'tls=' is not known/],
    ['proceed 192.0.2.1 user=bob -> user@example.com', /'user=' is not known/],
    ['proceed 192.0.2.1 tls_subject -> user@example.com', /'tls_subject' is not known/],
    ['proceed 192.0.2.1 login= -> user@example.com', /nothing behind its =/],
    ['proceed 192.0.2.1 local=here -> user@example.com', /no local address/],
  ];
  const cases = write('bad.cases', `${faults.map(([line]) => line).join('\n')}\n`);
  const { code, stdout } = await run(cases);
  assert.equal(code, 1);
  const lines = stdout.split('\n');
  for (const [i, [, said]] of faults.entries()) assert.match(lines[i] ?? '', said);
});

test('a faulty policy is a bad configuration, and wrong usage is said', async () => {
  write('faulty.yaml', `${policy}    frobnicate: 1\n`);
  const faulty = await run(write('faulty.cases', 'proceed 192.0.2.1 -> user@example.com\n'));
  assert.equal(faulty.code, 78);
  assert.match(faulty.stderr, /faulty\.yaml:\d+:\d+: error: .*frobnicate/);
  assert.equal((await run(write('orphan.cases', 'proceed 192.0.2.1 -> user@example.com\n'))).code, 78);
  for (const args of [
    [],
    ['--frobnicate'],
    [join(folder, 'missing.cases')],
    [join(folder, 'faulty.yaml')],
    [mkdtempSync(join(folder, 'empty-'))],
  ]) {
    const { code, stderr } = await run(...args);
    assert.equal(code, 64, args.join(' '));
    assert.match(stderr, /^postern test: .+\nTry: postern test --help\n$/);
  }
  assert.match((await run('--help')).stdout, /^Usage: postern test PATH/);
});

test('the answer does not depend on the addresses of this machine', async () => {
  write(
    'wide.yaml',
    policy.replace("{ users: ['CORP\\alice'] }", '{ sources: [10.0.0.0/8, 192.168.0.0/16, 172.16.0.0/12, fd00::/8] }'),
  );
  const cases = write('wide.cases', 'proceed 10.1.1.1 -> x@foreign.example\nproceed 172.17.0.1 -> x@foreign.example\n');
  assert.equal((await run(cases)).code, 0);
});
