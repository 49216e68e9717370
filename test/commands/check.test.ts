import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { check } from '../../src/commands/check.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-check-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' };
  const code = await check(args, {
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

const sound = write(
  'sound.yaml',
  'version: 1\naccepted_domains: [example.com]\nconnectors: [{ name: lan, remote_ip_ranges: [192.0.2.128/25] }]\n',
);
const warned = write(
  'warned.yaml',
  'version: 1\naccepted_domains: [example.com]\nconnectors: [{ name: a, remote_ip_ranges: [any] }]\n',
);
const faulty = write(
  'faulty.yaml',
  'version: 1\nacepted_domains: [example.com]\nconnectors: [{ name: a, remote_ip_ranges: [any] }]\n',
);

test('a sound file is good', async () => {
  assert.deepEqual(await run(sound), { code: 0, stdout: `${sound}: nothing found\n`, stderr: '' });
});

test('an error is printed with its place and what would be right, and the exit code is that of a bad configuration', async () => {
  const { code, stdout } = await run(faulty);
  assert.equal(code, 78);
  assert.equal(
    stdout,
    `${faulty}:2:1: error: acepted_domains: unknown key: did you mean accepted_domains?\n${faulty}: 1 error, 0 warnings, 0 notes\n`,
  );
});

test('a warning is good, unless it is asked to be strict', async () => {
  const lenient = await run(warned);
  assert.equal(lenient.code, 0);
  assert.match(lenient.stdout, /warned\.yaml:3:\d+: warning: connectors\[0\]\.starttls: .* without STARTTLS/);
  const strict = await run('--strict', warned);
  assert.equal(strict.code, 78);
  assert.match(strict.stdout, /: error: connectors\[0\]\.starttls: /);
});

test('for machines there is one JSON object', async () => {
  const { code, stdout } = await run('--json', faulty);
  assert.equal(code, 78);
  assert.deepEqual(JSON.parse(stdout), {
    file: faulty,
    errors: 1,
    warnings: 0,
    notes: 0,
    findings: [
      {
        file: faulty,
        line: 2,
        column: 1,
        severity: 'error',
        key: 'acepted_domains',
        message: 'unknown key: did you mean accepted_domains?',
      },
    ],
  });
});

test('the JSON Schema of both kinds of file is printed for editors', async () => {
  for (const kind of ['config', 'policy']) {
    const { code, stdout } = await run('--json-schema', kind);
    assert.equal(code, 0);
    const schema = JSON.parse(stdout);
    assert.equal(schema.additionalProperties, false);
    assert.ok(schema.properties[kind === 'config' ? 'upstream' : 'connectors']);
  }
});

test('wrong usage is said in one sentence', async () => {
  for (const args of [[], ['a', 'b'], ['--frobnicate', 'a'], ['--json-schema', 'x']]) {
    const { code, stdout, stderr } = await run(...args);
    assert.equal(code, 64);
    assert.equal(stdout, '');
    assert.match(stderr, /^postern check: .+\nTry: postern check --help\n$/);
  }
});

test('a file that is not there is a bad configuration', async () => {
  const { code, stdout } = await run(join(folder, 'missing.yaml'));
  assert.equal(code, 78);
  assert.match(stdout, /there is no such file/);
});

test('help says how it is used', async () => {
  const { code, stdout } = await run('--help');
  assert.equal(code, 0);
  assert.match(stdout, /^Usage: postern check FILE/);
});

test('control characters from a file do not reach the terminal', async () => {
  const { stdout } = await run(write('escape.yaml', 'version: 1\n"\\e[31mred": x\nconnectors: []\n'));
  assert.ok(!stdout.includes('\x1b'));
  assert.match(stdout, /\\x1b\[31mred/);
});

test('what stands in policies/ has no error, and no warning but one that is about a mask', async () => {
  const policies = fileURLToPath(new URL('../../policies/', import.meta.url));
  for (const name of readdirSync(policies).filter((file) => file.endsWith('.yaml'))) {
    const { code, stdout } = await run(join(policies, name));
    assert.equal(code, 0, stdout);
    const warnings = stdout.split('\n').filter((line) => line.includes(': warning: '));
    assert.ok(
      warnings.every((line) => line.includes('has a mask with holes')),
      warnings.join('\n'),
    );
  }
});
