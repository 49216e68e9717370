// postern probe, as an administrator meets it: arguments in, words and an exit code out, and a real socket between.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Output } from '../../src/commands/output.ts';
import { formsFor, senderPath } from '../../src/commands/probe/forms.ts';
import { probe } from '../../src/commands/probe.ts';
import { startOldExchange } from '../../src/demo/old-exchange.ts';
import { type Script, type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const PROBE_TIMEOUTS = { connect: 5000, greeting: 5000, reply: 5000 };
const REFUSED = '554 5.7.1 Relay access denied';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What it waited for, in milliseconds, without having waited. */
  readonly waits: readonly number[];
}

async function run(args: string[], patience = PROBE_TIMEOUTS, isTTY = false): Promise<Result> {
  let stdout = '';
  let stderr = '';
  const waits: number[] = [];
  const out: Output = {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    isTTY,
  };
  const wait = async (milliseconds: number) => waits.push(milliseconds);
  const code = await probe(args, out, { patience, wait });
  return { code, stdout, stderr, waits };
}

async function serve(t: TestContext, script: Script): Promise<ScriptedServer> {
  const server = await startScriptedServer(script);
  t.after(() => server.close());
  return server;
}

const LOCAL = ['--domain', 'local.example'];

test('calls the old Exchange stand-in open and no message reaches it', async (t) => {
  const messages: unknown[] = [];
  const server = await startOldExchange({ host: '127.0.0.1', port: 0, onMessage: (message) => messages.push(message) });
  t.after(() => server.close());
  const result = await run([`127.0.0.1:${server.port}`, '--domain', 'example.com']);
  assert.equal(result.code, 1);
  assert.match(result.stdout, /^OPEN: this server relays for strangers\.$/m);
  assert.match(result.stdout, /RCPT TO:<relay-test@example\.net>/);
  assert.match(result.stdout, /made-up name \(AUTH LOGIN\) was not accepted: 535/);
  assert.deepEqual(messages, []);
});

test('calls a server closed that refuses every form', async (t) => {
  const server = await serve(t, { rcpt: () => REFUSED });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 0);
  assert.match(result.stdout, /^CLOSED: /m);
  assert.match(result.stdout, /155 × 554 5\.7\.1 Relay access denied/);
  assert.doesNotMatch(result.stdout, /ACCEPTED/);
});

test('cannot tell about a server that takes only what hides behind its own domain', async (t) => {
  const server = await serve(t, {
    rcpt: (path) => (/^<[^@!"]+%[^@]+@local\.example>$/.test(path) ? '250 2.1.5 Ok' : REFUSED),
  });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 2);
  assert.match(result.stdout, /^CANNOT TELL: .*hides behind its own domain/m);
  assert.match(result.stdout, /RCPT TO:<relay-test%example\.net@local\.example>/);
});

test('calls a server open that takes nothing but an IMCEA form in its own domain', async (t) => {
  const server = await serve(t, { rcpt: (path) => (path.startsWith('<IMCEA') ? '250 Ok' : REFUSED) });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 1);
  assert.match(result.stdout, /^OPEN: .*wrapped in its own domain \(IMCEA\)/m);
  assert.match(result.stdout, /RCPT TO:<IMCEASMTP-relay-test\+40example\.net@local\.example>/);
});

test('calls a server open that takes a foreign recipient from a sender in its own domain alone', async (t) => {
  let local = false;
  const server = await serve(t, {
    mail: (path) => {
      local = path.endsWith('@local.example>');
      return '250 Ok';
    },
    rcpt: (path) => (local && path === '<relay-test@example.net>' ? '250 Ok' : REFUSED),
  });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 1);
  assert.match(result.stdout, /MAIL FROM:<relay-test@local\.example>\n {2}RCPT TO:<relay-test@example\.net>/);
});

test('a forward with 251 is an acceptance, too', async (t) => {
  const server = await serve(t, { rcpt: () => '251 User not local; will forward' });
  assert.equal((await run([server.target, ...LOCAL])).code, 1);
});

test('does not call a server closed that puts every stranger off', async (t) => {
  const server = await serve(t, { rcpt: () => '450 4.2.0 Greylisted' });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 2);
  assert.match(result.stdout, /<relay-test@example\.net> +deferred +deferred/);
  assert.match(result.stdout, /^CANNOT TELL: nothing was accepted, but \d+ forms got no real answer/m);
});

test('a sender refused at MAIL does not make up for the recipients that were put off', async (t) => {
  const server = await serve(t, {
    mail: (path) => (path === '<>' ? '550 5.7.1 No bounces here' : '250 Ok'),
    rcpt: () => '451 4.7.1 Try again later',
  });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 2);
  assert.match(result.stdout, /<relay-test@example\.net> +refused\* +deferred/);
});

test('a server that lets no stranger send at all is closed', async (t) => {
  const server = await serve(t, { mail: () => '530 5.7.1 Client was not authenticated', rcpt: () => '250 Ok' });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 0);
  assert.ok(server.heard.flat().every((command) => !command.startsWith('RCPT')));
});

test('tells refused, accepted, deferred and lost apart in one table, and goes on after a loss', async (t) => {
  const server = await serve(t, {
    rcpt: (path) => {
      if (path.includes('!')) return null;
      if (path.includes('%')) return '451 4.3.0 Try again';
      if (path.startsWith('<"relay-test@')) return '250 Ok';
      return REFUSED;
    },
  });
  const result = await run([server.target, ...LOCAL, '--json']);
  const { answers, counts } = JSON.parse(result.stdout);
  const outcomes = (form: string) =>
    answers.filter((one: { form: string }) => one.form === form).map((one: { outcome: string }) => one.outcome);
  assert.deepEqual(outcomes('bang'), ['lost', 'lost', 'lost']);
  assert.deepEqual(outcomes('percent'), ['deferred', 'deferred', 'deferred']);
  assert.deepEqual(outcomes('quoted'), ['accepted', 'accepted', 'accepted']);
  assert.deepEqual(outcomes('list'), ['refused', 'refused', 'refused']);
  assert.equal(counts.accepted + counts.refused + counts.deferred + counts.lost, answers.length);
  assert.equal(result.code, 2);
});

test('puts a question that a broken connection swallowed once more', async (t) => {
  let broken = false;
  const server = await serve(t, {
    rcpt: (path) => {
      if (broken || path !== '<relay-test@example.net>') return REFUSED;
      broken = true;
      return null;
    },
  });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 0);
  assert.doesNotMatch(result.stdout, /lost/);
});

test('a 421 ends the connection and not the probe', async (t) => {
  const server = await serve(t, {
    rcpt: (_path, connection) => (connection === 1 ? '421 4.7.0 Too many errors' : REFUSED),
  });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 0);
  assert.doesNotMatch(result.stdout, /deferred/);
});

test('gives up on a server that falls silent, and does not call it closed', async (t) => {
  const server = await serve(t, { rcpt: () => '' });
  const result = await run([server.target, ...LOCAL], { ...PROBE_TIMEOUTS, reply: 20 });
  assert.equal(result.code, 2);
  assert.ok(server.heard.length < 10);
  assert.match(result.stdout, /questions lost: no reply within 0\.02 s/);
});

test('never sends a message, resets after each question, and changes the connection every few', async (t) => {
  const server = await serve(t, { rcpt: () => '250 2.1.5 Ok' });
  const { waits } = await run([server.target, ...LOCAL]);
  const commands = server.heard.flat();
  assert.ok(commands.every((command) => /^(EHLO|MAIL|RCPT|RSET|QUIT)\b/.test(command)));
  const questions = commands.filter((command) => command.startsWith('MAIL')).length;
  assert.equal(questions, waits.filter((wait) => wait === 100).length);
  for (const connection of server.heard) {
    assert.ok(connection.filter((command) => command.startsWith('MAIL')).length <= 4);
    connection.forEach((command, index) => {
      if (command.startsWith('RCPT')) assert.equal(connection[index + 1], 'RSET');
    });
    assert.equal(connection.at(-1), 'QUIT');
  }
});

test('every form is asked with at least two senders, the null one among them', async (t) => {
  const server = await serve(t, { rcpt: () => REFUSED });
  const result = await run([server.target, ...LOCAL, '--json']);
  const senders = new Map<string, Set<string>>();
  for (const { form, sender } of JSON.parse(result.stdout).answers) {
    senders.set(form, (senders.get(form) ?? new Set()).add(sender));
  }
  for (const [form, of] of senders) assert.ok(of.size >= 2 && of.has('<>'), form);
  assert.deepEqual(
    [...(senders.get('plain') ?? [])],
    ['<>', '<relay-test@local.example>', '<relay-test@[127.0.0.1]>', '<relay-test@example.net>', '<relay-test>'],
  );
});

const WITH_LOGIN = '250-mx.local.example Hello\r\n250-AUTH=LOGIN\r\n250 AUTH NTLM LOGIN';

test('calls a server open that believes a made-up login and then relays', async (t) => {
  let guest = false;
  const server = await serve(t, {
    ehlo: WITH_LOGIN,
    rcpt: () => (guest ? '250 Ok' : REFUSED),
    other: (command) => {
      if (command === 'AUTH LOGIN') return '334 VXNlcm5hbWU6';
      if (/^[A-Za-z0-9+/=]+$/.test(command) && command.length === 28) return '334 UGFzc3dvcmQ6';
      guest = true;
      return '235 2.7.0 Authentication successful';
    },
  });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 1);
  assert.match(result.stdout, /A MADE-UP NAME WAS ACCEPTED \(AUTH LOGIN\)/);
  assert.match(result.stdout, /^OPEN: this server believes any login, and then relays/m);
  assert.match(result.stdout, /Guest account \(KB Q251149\)/);
});

test('says that a made-up login was believed even where it does not open the relay', async (t) => {
  const server = await serve(t, {
    ehlo: '250-mx.local.example\r\n250 AUTH PLAIN',
    rcpt: () => REFUSED,
    other: (command) => (command.startsWith('AUTH PLAIN ') ? '235 2.7.0 Ok' : '500 What?'),
  });
  const result = await run([server.target, ...LOCAL]);
  assert.equal(result.code, 0);
  assert.match(result.stdout, /A MADE-UP NAME WAS ACCEPTED \(AUTH PLAIN\): 235 2\.7\.0 Ok\n.*still does not relay/);
});

test('takes the local domain from the greeting, else from the EHLO reply, and says so', async (t) => {
  const greeted = await serve(t, { greeting: '220 MX.Other.Example ESMTP', rcpt: () => REFUSED });
  assert.match((await run([greeted.target])).stdout, /Local domain: +mx\.other\.example, from the greeting/);
  const named = await serve(t, { greeting: '220 ready', ehlo: '250 mx.third.example hi', rcpt: () => REFUSED });
  assert.match((await run([named.target])).stdout, /Local domain: +mx\.third\.example, from the EHLO reply/);
});

test('asks about another foreign domain where the usual one is the server’s own', async (t) => {
  const server = await serve(t, { rcpt: (path) => (path === '<relay-test@example.net>' ? '250 Ok' : REFUSED) });
  const result = await run([server.target, '--domain', 'example.net']);
  assert.equal(result.code, 0);
  assert.match(result.stdout, /Foreign domain: +example\.org/);
});

test('speaks from the address that --source names', async (t) => {
  const server = await serve(t, { rcpt: () => REFUSED });
  await run([server.target, ...LOCAL, '--source', '127.0.0.9']);
  assert.deepEqual([...new Set(server.clientAddresses)], ['127.0.0.9']);
});

test('speaks HELO to a server that knows no EHLO', async (t) => {
  const server = await serve(t, {
    ehlo: '500 Command unrecognized',
    rcpt: () => REFUSED,
    other: (command) => (command.startsWith('HELO ') ? '250 mx.local.example' : null),
  });
  assert.equal((await run([server.target, ...LOCAL])).code, 0);
});

test('says in one sentence that nothing listens', async () => {
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
  await new Promise((resolve) => server.close(resolve));
  const result = await run([`127.0.0.1:${port}`]);
  assert.equal(result.code, 1);
  assert.equal(result.stdout, '');
  assert.equal(
    result.stderr,
    `postern probe: 127.0.0.1:${port} could not be probed: nothing listens there (connection refused)\n`,
  );
});

test('says in one sentence that a server never greets', async (t) => {
  const server = await serve(t, { greeting: '', rcpt: () => REFUSED });
  const result = await run([server.target], { ...PROBE_TIMEOUTS, greeting: 20 });
  assert.equal(result.code, 1);
  assert.match(result.stderr, /does not greet as a mail server does: no reply within 0\.02 s\n$/);
});

test('says in one sentence that a server turns it away, hangs up, or is no mail server', async (t) => {
  const turned = await serve(t, { greeting: '554 5.7.1 Access denied', rcpt: () => REFUSED });
  const away = await run([turned.target, '--json']);
  assert.equal(away.code, 1);
  assert.match(away.stderr, /refuses to talk to this address: 554 5\.7\.1 Access denied\n$/);
  assert.deepEqual(JSON.parse(away.stdout).verdict, null);

  const gone = await serve(t, { greeting: null, rcpt: () => REFUSED });
  assert.match((await run([gone.target])).stderr, /does not greet as a mail server does: .*connection/);
  const web = await serve(t, { greeting: 'HTTP/1.1 400 Bad Request', rcpt: () => REFUSED });
  assert.match((await run([web.target])).stderr, /not an SMTP reply\n$/);
});

test('says in one sentence that the source address is not ours', async (t) => {
  const server = await serve(t, { rcpt: () => REFUSED });
  const result = await run([server.target, '--source', '192.0.2.1']);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /source address does not belong to this machine\n$/);
});

for (const [name, args, sentence] of [
  ['no server', [], /name the server/],
  ['two servers', ['a:25', 'b:25'], /one server at a time/],
  ['a server without a port', ['mail.example.com'], /is not HOST:PORT/],
  ['a port out of range', ['mail.example.com:65536'], /is not HOST:PORT/],
  ['an IPv6 address without brackets', ['::1:25'], /is not HOST:PORT/],
  ['a domain with a blank', ['a:25', '--domain', 'a b'], /is not a domain/],
  ['a domain with a line end', ['a:25', '--domain', 'a\r\nDATA'], /is not a domain/],
  ['a source that is no address', ['a:25', '--source', 'localhost'], /is not an IP address/],
  ['an unknown option', ['a:25', '--fast'], /--fast/],
  ['an option without its value', ['a:25', '--domain'], /--domain/],
] as const) {
  test(`refuses ${name} as wrong usage`, async () => {
    const result = await run([...args]);
    assert.equal(result.code, 64);
    assert.equal(result.stdout, '');
    assert.match(result.stderr, sentence);
    assert.match(result.stderr, /^postern probe: .*\nTry: postern probe --help\n$/);
  });
}

test('--help says what the exit codes mean', async () => {
  const result = await run(['--help']);
  assert.equal(result.code, 0);
  assert.match(result.stdout, /^Usage: postern probe HOST:PORT/);
  for (const verdict of ['closed (0)', 'open (1)', 'cannot tell (2)']) assert.ok(result.stdout.includes(verdict));
});

test('shows nothing of what a server said that a terminal would obey', async (t) => {
  const server = await serve(t, { greeting: '220 mx.local.example \x1b[2J\x07', rcpt: () => '554 \x1b]0;x\x07 no' });
  const result = await run([server.target, ...LOCAL]);
  assert.doesNotMatch(result.stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
});

test('uses colours on a terminal alone', async (t) => {
  const server = await serve(t, { rcpt: () => REFUSED });
  assert.match((await run([server.target, ...LOCAL], PROBE_TIMEOUTS, true)).stdout, /\x1b\[32mCLOSED/);
});

const NAMES = { local: 'l.example', foreign: 'f.example', literal: '[192.0.2.1]' };

test('holds the sixteen tests of nmap’s smtp-open-relay and the forms of KB Q304897', () => {
  const paths = new Set(formsFor(NAMES).map((form) => form.path.replace('relay-test', 'u')));
  for (const path of [
    '<u@f.example>',
    '<u%f.example@[192.0.2.1]>',
    '<u%f.example@l.example>',
    '<"u@f.example">',
    '<"u%f.example">',
    '<u@f.example@[192.0.2.1]>',
    '<"u@f.example"@[192.0.2.1]>',
    '<u@f.example@l.example>',
    '<@[192.0.2.1]:u@f.example>',
    '<@l.example:u@f.example>',
    '<f.example!u>',
    '<f.example!u@[192.0.2.1]>',
    '<f.example!u@l.example>',
    '<"u@f.example"@l.example>', // KB Q304897
    '<IMCEASMTP-u+40f.example@l.example>', // MS99-027
  ]) {
    assert.ok(paths.has(path), path);
  }
});

test('no form and no sender can be more than one command, and no form stands there twice', () => {
  const forms = formsFor(NAMES);
  for (const form of forms) {
    assert.doesNotMatch(form.path, /[\r\n]/);
    for (const sender of form.senders) assert.doesNotMatch(senderPath(sender, NAMES), /[\r\n]/);
  }
  assert.equal(new Set(forms.map((form) => form.path)).size, forms.length);
  assert.equal(new Set(forms.map((form) => form.name)).size, forms.length);
});

test('what must be allowed is asked for, and nothing else', async (t) => {
  const server = await serve(t, { rcpt: (path) => (path.startsWith('<no') ? REFUSED : '250 2.1.5 Ok') });
  const good = await run([server.target, '--expect-relay', 'yes@a.example', '--expect-relay', '<yes@b.example>']);
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /^AS EXPECTED: all 2 are allowed\.$/m);
  const bad = await run([server.target, '--expect-relay', 'yes@a.example', '--expect-relay', 'no@b.example']);
  assert.equal(bad.code, 1);
  assert.match(bad.stdout, /<no@b\.example> +refused +554 5\.7\.1 Relay access denied/);
  assert.match(bad.stdout, /^NOT AS EXPECTED: 1 of 2 refused\.$/m);
  const json = await run([server.target, '--expect-relay', 'no@b.example', '--sender', 'me@c.example', '--json']);
  assert.equal(json.code, 1);
  assert.deepEqual(JSON.parse(json.stdout), {
    target: server.target,
    client_address: null,
    logged_in: null,
    greeting: '220 mx.local.example ESMTP',
    verdict: 'not as expected',
    answers: [
      { sender: '<me@c.example>', recipient: '<no@b.example>', outcome: 'refused', at: 'RCPT', reply: REFUSED },
    ],
  });
  const asked = server.heard.flat().filter((command) => command.startsWith('RCPT'));
  assert.equal(asked.length, 5);
});

test('what is put off, or never answered, is neither', async (t) => {
  const deferred = await serve(t, { rcpt: () => '451 4.7.1 Later' });
  assert.equal((await run([deferred.target, '--expect-relay', 'a@b.example'])).code, 2);
  const refused = await serve(t, { mail: () => '550 5.7.1 Not you', rcpt: () => '250 Ok' });
  const { code, stdout } = await run([refused.target, '--expect-relay', 'a@b.example']);
  assert.equal(code, 1);
  assert.match(stdout, /refused\* +550 5\.7\.1 Not you/);
  const gone = await serve(t, { rcpt: () => null });
  assert.equal((await run([gone.target, '--expect-relay', 'a@b.example'])).code, 2);
});

test('a login needs a server that offers one in clear text, and never shows the password', async (t) => {
  const password = join(mkdtempSync(join(tmpdir(), 'postern-probe-')), 'password');
  t.after(() => rmSync(dirname(password), { recursive: true }));
  writeFileSync(password, 'hidden word\r\n');
  const login = ['--login', 'alice', '--password-file', password, '--expect-relay', 'a@b.example'];
  const tls = await serve(t, { ehlo: '250-mx.local.example\r\n250 STARTTLS', rcpt: () => '250 Ok' });
  const refused = await run([tls.target, ...login]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /no login in clear text, only behind STARTTLS/);
  const quoting = await serve(t, {
    ehlo: '250-mx.local.example\r\n250 AUTH PLAIN',
    rcpt: () => '250 Ok',
    other: (command) => `535 5.7.8 what is '${command}'?`,
  });
  const quoted = await run([quoting.target, ...login]);
  assert.equal(quoted.code, 1);
  assert.match(quoted.stderr, /it refuses the login \(AUTH PLAIN\): 535 5\.7\.8 what is 'AUTH PLAIN /);
  assert.ok(!quoted.stderr.includes(Buffer.from('\0alice\0hidden word').toString('base64')));
  assert.deepEqual(quoting.heard[0]?.at(-1), `AUTH PLAIN ${Buffer.from('\0alice\0hidden word').toString('base64')}`);
  // Logged in, the whole examination says for whom it relays.
  const trusting = await serve(t, {
    ehlo: '250-mx.local.example\r\n250 AUTH=LOGIN PLAIN',
    rcpt: (path) => (path === '<relay-test@example.net>' ? '250 Ok' : REFUSED),
    other: () => '235 2.7.0 Ok',
  });
  const open = await run([trusting.target, ...LOCAL, ...login.slice(0, 4)]);
  assert.equal(open.code, 1);
  assert.match(open.stdout, /^OPEN: this server relays for alice when logged in\.$/m);
  assert.match(open.stdout, /^Login: as alice, so none with a made-up name was tried\.$/m);
});

test('a server that answers a PROXY header as a command is not asked on, one reply behind', async (t) => {
  const server = await serve(t, { rcpt: () => '250 Ok' });
  for (const version of ['1', '2']) {
    const result = await run([server.target, '--proxy-header', '192.0.2.1', '--proxy-version', version, ...LOCAL]);
    assert.equal(result.code, 1);
    assert.equal(result.stdout, '');
    assert.match(result.stderr, /does it take a PROXY header from this address\?/);
  }
  assert.ok(server.heard.flat().every((command) => !command.startsWith('MAIL')));
});

test('flags that need each other say so', async () => {
  for (const [args, why] of [
    [['--proxy-header', 'here'], /--proxy-header: "here" is not an IP address/],
    [['--proxy-header', '192.0.2.1', '--proxy-version', '3'], /--proxy-version: "3" is neither 1 nor 2/],
    [['--proxy-version', '1'], /goes with --proxy-header/],
    [['--login', 'alice'], /go together/],
    [['--password-file', 'x'], /go together/],
    [['--login', 'alice', '--password-file', '/nonexistent'], /--password-file: cannot read \/nonexistent/],
    [['--sender', 'a@b.example'], /goes with --expect-relay/],
    [['--expect-relay', 'nobody'], /--expect-relay: "nobody" is not an address/],
    [['--expect-relay', 'a@b.example\r\nDATA'], /is not an address/],
  ] as const) {
    const { code, stderr } = await run(['127.0.0.1:25', ...args]);
    assert.equal(code, 64, args.join(' '));
    assert.match(stderr, why);
  }
});
