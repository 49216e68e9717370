// postern status, as an operator meets it: once, as JSON, refused, and watched in a terminal.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { status } from '../../src/commands/status.ts';
import { MAIN } from '../helpers/main.ts';
import { LIST, STATUS } from '../status/snapshot.ts';

const TOKEN = 'of-the-operator';
const ESCAPE = '\x1b[';

/** An admin port that always answers the same, to whoever has the token. */
async function answering(t: TestContext, token: string | null = null): Promise<string> {
  const server = createServer((request, response) => {
    const known = token === null || request.headers.authorization === `Bearer ${token}`;
    const answer = request.url === '/status' ? STATUS : LIST;
    response.writeHead(known ? 200 : 401).end(JSON.stringify(known ? answer : { error: 'The token is missing.' }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function run(args: string[], terminal: object = {}): Promise<{ code: number; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', ''];
  const out = {
    stdout: (text: string) => {
      stdout += text;
    },
    stderr: (text: string) => {
      stderr += text;
    },
    isTTY: false,
    ...terminal,
  };
  return { code: await status(args, out), stdout, stderr };
}

function golden(columns: number): string {
  return readFileSync(new URL(`../status/screen-${columns}.txt`, import.meta.url), 'utf8');
}

test('shows the picture once, without colours where nobody sees them', async (t) => {
  const admin = await answering(t);
  assert.deepEqual(await run(['--admin', admin]), { code: 0, stdout: golden(80), stderr: '' });
  assert.equal((await run(['--admin', `http://${admin}/`])).stdout, golden(80));
});

test('in a terminal it has its width and colours, unless NO_COLOR is set', async (t) => {
  const admin = await answering(t);
  const terminal = { isTTY: true, columns: 120 };
  const before = process.env.NO_COLOR;
  t.after(() => {
    if (before === undefined) delete process.env.NO_COLOR;
    else process.env.NO_COLOR = before;
  });
  delete process.env.NO_COLOR;
  assert.ok((await run(['--admin', admin], terminal)).stdout.includes(ESCAPE));
  process.env.NO_COLOR = '1';
  assert.equal((await run(['--admin', admin], terminal)).stdout, golden(120));
});

test('--json is the answer of GET /status, and the sessions', async (t) => {
  const admin = await answering(t);
  const { code, stdout } = await run(['--admin', admin, '--json']);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), { ...STATUS, session_list: LIST.sessions });
});

test('shows the token of the file, and says what is missing without it', async (t) => {
  const admin = await answering(t, TOKEN);
  const folder = mkdtempSync(join(tmpdir(), 'postern-status-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'token');
  writeFileSync(file, `${TOKEN}\n`);
  assert.equal((await run(['--admin', admin, '--token-file', file])).code, 0);
  const { code, stdout, stderr } = await run(['--admin', admin]);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /answers 401: The token is missing\. Say --token-file FILE\.\n$/);
  assert.equal((await run(['--admin', admin, '--token-file', join(folder, 'none')])).code, 64);
});

test('says who does not answer', async () => {
  const { code, stderr } = await run(['--admin', '127.0.0.1:1']);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^postern status: nothing listens at http:\/\/127\.0\.0\.1:1: is Postern running there\? --admin/,
  );
});

test('what is wrongly asked is said', async () => {
  for (const [args, said] of [
    [['--wach'], /did you mean --watch\?/],
    [['--watch', '--json'], /--json answers once/],
    [['--admin', 'http://x/y'], /HOST:PORT/],
    [['--admin', 'gateway'], /'gateway' is not HOST:PORT, as in 127\.0\.0\.1:9125/],
    [['--token-file', 'none-such'], /^postern status: --token-file: cannot read none-such: there is no such file$/m],
    [['now'], /Unexpected argument/],
  ] as const) {
    const { code, stderr } = await run([...args]);
    assert.equal(code, 64, args.join(' '));
    assert.match(stderr, said);
  }
});

const hasTerminal = spawnSync('script', ['--version']).status === 0;

test('--watch draws in place, and Ctrl-C leaves the terminal as it was', { skip: !hasTerminal }, async (t) => {
  const admin = await answering(t);
  const command = `exec '${process.execPath}' '${MAIN}' status --watch --admin ${admin}`; // else a shell hears Ctrl-C too
  const child = spawn('script', ['-q', '-e', '-c', command, '/dev/null'], { env: { ...process.env, TERM: 'xterm' } });
  t.after(() => child.kill('SIGKILL'));
  let seen = '';
  const pictures = (): number => seen.split(`${ESCAPE}H`).length - 1;
  child.stdout.setEncoding('utf8');
  for await (const text of child.stdout) {
    seen += text;
    if (pictures() === 2 && seen.endsWith(`${ESCAPE}J`)) child.stdin.write('\x03');
  }
  const code = child.exitCode ?? (await once(child, 'exit'))[0];
  assert.equal(code, 0);
  assert.equal(pictures(), 2);
  assert.ok(seen.startsWith(`${ESCAPE}?1049h${ESCAPE}?25l${ESCAPE}H`), JSON.stringify(seen.slice(0, 40)));
  assert.match(seen, /\x1b\[\?25h\x1b\[\?1049l(?:\^C)?$/);
});

test('--watch without a terminal says one picture behind the other, and a signal ends it well', async (t) => {
  const admin = await answering(t);
  const child = spawn(process.execPath, [MAIN, 'status', '--watch', '--admin', admin]);
  t.after(() => child.kill('SIGKILL'));
  const [first] = await once(child.stdout.setEncoding('utf8'), 'data');
  assert.ok(String(first).startsWith('postern 1.2.3'));
  assert.ok(!String(first).includes(ESCAPE));
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
