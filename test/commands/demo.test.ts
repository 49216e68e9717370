// postern demo, as a newcomer meets it: what it prints, what its ports do, and how it ends.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { demo } from '../../src/commands/demo.ts';
import { MAIN } from '../helpers/main.ts';

interface Printed {
  stdout: string;
  stderr: string;
  /** Resolves when standard output has come to hold `text`. */
  has(text: string | RegExp): Promise<void>;
}

async function start(args: string[], ended: Promise<void>, isTTY = false) {
  const waiting: { text: string | RegExp; resolve: () => void }[] = [];
  const holds = (text: string | RegExp) =>
    typeof text === 'string' ? printed.stdout.includes(text) : text.test(printed.stdout);
  const printed: Printed = {
    stdout: '',
    stderr: '',
    has: (text) => new Promise((resolve) => (holds(text) ? resolve() : waiting.push({ text, resolve }))),
  };
  const out = {
    stdout: (text: string) => {
      printed.stdout += text;
      for (const one of waiting) if (holds(one.text)) one.resolve();
    },
    stderr: (text: string) => {
      printed.stderr += text;
    },
    isTTY,
  };
  return { printed, code: demo(args, out, () => ended) };
}

/** A demo that stays up until `end` is called. */
async function startLive() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { printed, code } = await start([], promise);
  await printed.has('Ctrl-C ends it.');
  const port = (of: RegExp) => Number(of.exec(printed.stdout)?.[1]);
  return {
    printed,
    code,
    end: resolve,
    old: port(/^ {2}old server +127\.0\.0\.1:(\d+)/m),
    postern: port(/^ {2}Postern +127\.0\.0\.1:(\d+)/m),
  };
}

/** Says all of it in one write, and returns what was heard until the server hung up. */
async function talk(port: number, ...said: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let heard = '';
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1');
  });
  socket.write(`${said.join('\r\n')}\r\n`, 'latin1');
  await once(socket, 'close');
  return heard;
}

test('--once shows the old server open and Postern closed, form by form, and exits with 0', async () => {
  const { printed, code } = await start(
    ['--once'],
    Promise.reject(new Error('nobody waits')).catch(() => {}),
  );
  assert.equal(await code, 0);
  assert.equal(printed.stderr, '');
  assert.match(printed.stdout, /^ {2}Open relay\? +OPEN +CLOSED$/m);
  const rows = printed.stdout.split('\n').filter((line) => / (accepted|refused|deferred|lost) /.test(line));
  assert.ok(rows.length >= 40);
  for (const row of rows) assert.match(row, / accepted +refused$/);
  assert.match(printed.stdout, /^Postern answers: {2}554 5\.7\.1 <relay-test@example\.net>: .*Relay access denied$/m);
});

// What is awaited here may never come when the demo is broken: then the test is to fail, not to hang.
describe('while it stays up', { timeout: 30_000 }, () => {
  const live = startLive();
  after(async () => (await live).end());

  test('names ports where a message for the accepted domain arrives, and shows it', async () => {
    const { printed, postern } = await live;
    assert.match(printed.stdout, new RegExp(`swaks --server 127\\.0\\.0\\.1:${postern} `));
    assert.match(printed.stdout, new RegExp(`telnet 127\\.0\\.0\\.1 ${postern} `));
    const heard = await talk(
      postern,
      'EHLO me',
      'MAIL FROM:<me@home.example>',
      'RCPT TO:<you@example.com>',
      'DATA',
      'hello',
      '.',
      'QUIT',
    );
    assert.match(heard, /^250 2\.6\.0 {2}<.*> Queued mail for delivery\r$/m);
    await printed.has('arrived   from <me@home.example> to <you@example.com>, 7 octets\n');
  });

  test('shows what Postern refuses, and the old server never hears of it', async () => {
    const { printed, postern } = await live;
    const table = printed.stdout.slice(0, printed.stdout.indexOf('Ctrl-C ends it.'));
    assert.doesNotMatch(table, /^(refused|arrived) /m);
    const heard = await talk(
      postern,
      'EHLO me',
      'MAIL FROM:<me@home.example>',
      'RCPT TO:<you@elsewhere.example>',
      'RCPT TO:<you@example.com>',
      'DATA',
      '.',
      'QUIT',
    );
    assert.match(heard, /^554 5\.7\.1 <you@elsewhere\.example>: Recipient address rejected: Relay access denied\r$/m);
    await printed.has(/^refused {3}from <me@home\.example> to <you@elsewhere\.example>: 554 .*Relay access denied$/m);
    await printed.has('arrived   from <me@home.example> to <you@example.com>, 0 octets\n');
  });

  test('everything arrives at the old server when Postern is not asked, and is shown as a terminal may see it', async () => {
    const { printed, old } = await live;
    await talk(old, 'MAIL FROM:<\x1b[2J@x>', 'RCPT TO:<you@elsewhere.example>', 'DATA', '.', 'QUIT');
    await printed.has('arrived   from <?[2J@x> to <you@elsewhere.example>, 0 octets\n');
  });

  test('stops listening when it ends, with exit code 0', async () => {
    const { code, end, old, postern } = await live;
    const open = connect(postern, '127.0.0.1');
    open.on('error', () => {});
    await once(open, 'data');
    const closed = once(open, 'close');
    end();
    assert.equal(await code, 0);
    await closed;
    for (const port of [old, postern]) {
      const socket = connect(port, '127.0.0.1');
      const [error] = await once(socket, 'error').catch((reason) => [reason]);
      assert.equal(error.code, 'ECONNREFUSED');
    }
  });
});

test('ends with exit code 0 at Ctrl-C, and at a second one, too', async () => {
  const child = spawn(process.execPath, [MAIN, 'demo'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let printed = '';
  for await (const chunk of child.stdout) {
    printed += chunk;
    if (printed.includes('Ctrl-C ends it.')) child.kill('SIGINT');
  }
  assert.deepEqual(await ended, [0, null]);
});

test('uses colours on a terminal alone', async () => {
  const { printed, code } = await start(['--once'], Promise.resolve(), true);
  await code;
  assert.match(printed.stdout, /\x1b\[31maccepted +\x1b\[39m\x1b\[32mrefused/);
});

test('--moving-in: wrong arguments are wrong usage, and Ctrl-C ends it and leaves nothing', async () => {
  for (const [args, why] of [
    [['--exchange', '2010'], /--exchange and --keep are for --moving-in/],
    [['--moving-in', '--once'], /one of them/],
    [['--moving-in', '--exchange', '2007'], /'2007' is neither 2003 nor 2010/],
    [['--moving-in', '--keep', '.'], /--keep: \. is not empty: name a new folder/],
  ] as const) {
    const wrong = await start([...args], Promise.resolve());
    assert.equal(await wrong.code, 64);
    assert.match(wrong.printed.stderr, why);
  }
  const folder = mkdtempSync(join(tmpdir(), 'postern-demo-'));
  const env = { ...process.env, TMPDIR: folder, TEMP: folder };
  const child = spawn(process.execPath, [MAIN, 'demo', '--moving-in'], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  for await (const chunk of child.stdout) if (String(chunk).includes('2. Its settings')) child.kill('SIGINT');
  assert.deepEqual(await ended, [130, null]);
  assert.deepEqual(readdirSync(folder), []);
  rmSync(folder, { recursive: true });
});

test('--help says what --once is for, and a wrong option is wrong usage', async () => {
  const help = await start(['--help'], Promise.resolve());
  assert.equal(await help.code, 0);
  assert.match(help.printed.stdout, /^Usage: postern demo \[--once\]/);
  const wrong = await start(['--twice'], Promise.resolve());
  assert.equal(await wrong.code, 64);
  assert.match(wrong.printed.stderr, /^postern demo: .*--twice.*\nTry: postern demo --help\n$/);
});
