// postern reload, as an operator meets it: what became of it, and the exit code, against a running Postern.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { reload } from '../../src/commands/reload.ts';
import { freePort } from '../helpers/free-port.ts';
import { Running } from './running.ts';

const TOKEN = 'of-the-operator';

async function say(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', ''];
  const out = {
    stdout: (text: string) => {
      stdout += text;
    },
    stderr: (text: string) => {
      stderr += text;
    },
    isTTY: false,
  };
  return { code: await reload(args, out), stdout, stderr };
}

interface Place {
  readonly running: Running;
  readonly admin: string;
  readonly token: string;
  /** Writes the configuration, with this policy. */
  write(policy: string, more?: string): void;
}

const SOUND =
  'version: 1\naccepted_domains: [local.example]\nconnectors: [{ name: internet, remote_ip_ranges: [any] }]\n';

async function start(t: TestContext, hasToken: boolean): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-reload-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const port = await freePort();
  const token = join(folder, 'token');
  writeFileSync(token, `${TOKEN}\n`);
  const write = (policy: string, more = ''): void => {
    writeFileSync(join(folder, 'policy.yaml'), policy);
    writeFileSync(
      join(folder, 'postern.yaml'),
      `listeners: [{ bind: ['127.0.0.1:0'] }]\nupstream: { servers: ['127.0.0.1:1'] }\npolicy: policy.yaml\n` +
        `admin: { listen: '127.0.0.1:${port}'${hasToken ? ', token_file: token' : ''} }\n${more}`,
    );
  };
  write(SOUND);
  const running = new Running(t, ['--config', join(folder, 'postern.yaml')]);
  await running.port();
  return { running, admin: `127.0.0.1:${port}`, token, write };
}

test('reloads, and says which policy is in force and what wants a restart', async (t) => {
  const { running, admin, token, write } = await start(t, true);
  const first = await say('--admin', admin, '--token-file', token);
  assert.match(first.stdout, /^reloaded: policy [0-9a-f]{12} is in force\n$/);
  assert.deepEqual([first.code, first.stderr], [0, '']);
  await running.logged('reloaded');
  write(SOUND.replace('local.example', 'other.example'), 'workers: 2\n');
  const second = await say('--admin', admin, '--token-file', token);
  assert.equal(second.code, 0);
  assert.match(second.stdout, /these changed too, and want a restart: workers\n$/);
  assert.notEqual(second.stdout.slice(0, 30), first.stdout.slice(0, 30));
});

test('a faulty file is refused with its findings, and the exit code is that of a faulty configuration', async (t) => {
  const { admin, token, write } = await start(t, true);
  write(SOUND.replace('accepted_domains', 'accepted_domain'));
  const { code, stdout, stderr } = await say('--admin', admin, '--token-file', token);
  assert.deepEqual([code, stdout], [78, '']);
  assert.match(stderr, /policy\.yaml:2:1: error: accepted_domain: unknown key: did you mean accepted_domains\?\n/);
  assert.match(stderr, /\npostern reload: refused: The old configuration stays\.\n$/);
  const told = await say('--admin', admin, '--token-file', token, '--json');
  assert.equal(told.code, 78);
  assert.equal(JSON.parse(told.stdout).reloaded, false);
});

test('without the token nothing is reloaded, and what is missing is said', async (t) => {
  const { running, admin, token } = await start(t, true);
  const without = await say('--admin', admin);
  assert.equal(without.code, 1);
  assert.match(without.stderr, /answers 401: The token is missing or wrong\. Say --token-file FILE\.\n$/);
  writeFileSync(token, 'of-somebody-else\n');
  assert.equal((await say('--admin', admin, '--token-file', token)).code, 1);
  writeFileSync(token, '\n');
  assert.equal((await say('--admin', admin, '--token-file', token)).code, 64);
  assert.equal((await say('--admin', admin, '--token-file', `${token}-none`)).code, 64);
  assert.equal(running.entries().filter(({ msg }) => msg === 'reloaded').length, 0);
});

test('where no token file is configured nobody reloads, on loopback neither', async (t) => {
  const { running, admin, token } = await start(t, false);
  for (const args of [[], ['--token-file', token]]) {
    const { code, stderr } = await say('--admin', admin, ...args);
    assert.equal(code, 1);
    assert.match(stderr, /answers 403: Without a token file nothing is changed here: set admin\.token_file\.\n$/);
  }
  assert.equal(running.entries().filter(({ msg }) => msg === 'reloaded').length, 0);
});

test('the variables are as good as the options', async (t) => {
  const { admin, token } = await start(t, true);
  process.env.POSTERN_ADMIN = admin;
  process.env.POSTERN_TOKEN_FILE = token;
  t.after(() => {
    delete process.env.POSTERN_ADMIN;
    delete process.env.POSTERN_TOKEN_FILE;
  });
  assert.equal((await say()).code, 0);
  process.env.POSTERN_ADMIN = 'none';
  const { code, stderr } = await say();
  assert.equal(code, 64);
  assert.match(stderr, /there is no admin port/);
});

test('who does not answer, or not as Postern does, is told of', async (t) => {
  const nobody = await say('--admin', '127.0.0.1:1');
  assert.equal(nobody.code, 1);
  assert.match(
    nobody.stderr,
    /^postern reload: nothing listens at http:\/\/127\.0\.0\.1:1: is Postern running there\? --admin/,
  );
  for (const [answer, said] of [
    ['<html>', /its answer is no JSON/],
    ['{"reloaded":true}', /answers 200, and not as Postern does\n$/],
    ['7', /its answer is no object/],
  ] as const) {
    const server = createServer((_, response) => response.end(answer)).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const { code, stderr } = await say('--admin', `127.0.0.1:${(server.address() as AddressInfo).port}`);
    assert.equal(code, 1, answer);
    assert.match(stderr, said);
  }
});
