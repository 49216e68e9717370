// postern check --live, against servers that are played: what it says of each, and that nothing but questions is asked.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { check } from '../../src/commands/check.ts';
import { freePort } from '../proxy/peer.ts';
import { toldServer } from '../proxy/told-server.ts';
import { Authority } from '../real/certificates.ts';
import { type Script, type ScriptedServer, startScriptedServer } from './scripted-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-live-'));
after(() => rmSync(folder, { recursive: true }));

let authority: Authority;
before(() => {
  authority = new Authority();
});

interface Said {
  readonly code: number;
  readonly lines: string[];
  readonly stderr: string;
}

/** Runs it on a configuration with these servers. */
async function live(upstream: object, rules: readonly object[] = [], ...args: string[]): Promise<Said> {
  const policy = {
    version: 1,
    accepted_domains: ['*.local.example'],
    connectors: [{ name: 'lan', remote_ip_ranges: ['192.0.2.0/25'], rules }],
  };
  const file = join(folder, 'live.yaml');
  writeFileSync(file, JSON.stringify({ upstream, policy, admin: null }));
  return run(file, '--live', ...args);
}

async function run(...args: string[]): Promise<Said> {
  const said = { stdout: '', stderr: '' };
  const note = (stream: keyof typeof said) => (text: string) => {
    said[stream] += text;
  };
  const out = { stdout: note('stdout'), stderr: note('stderr'), isTTY: false };
  const code = await check(args, out, { pace: 0, wait: async () => {} });
  const lines = said.stdout.replaceAll(`${folder}/`, '').split('\n').slice(0, -1);
  return { code, lines, stderr: said.stderr };
}

async function scripted(t: TestContext, script: Script): Promise<ScriptedServer> {
  const server = await startScriptedServer(script);
  t.after(() => server.close());
  return server;
}

const CLOSED: Script = { rcpt: (path) => (path.endsWith('@local.example>') ? '550 no such user' : '554 5.7.1 denied') };
const OPEN: Script = { rcpt: () => '250 2.1.5 ok' };
const BELIEVING: Script = {
  ...CLOSED,
  ehlo: '250-mx.local.example\r\n250 AUTH LOGIN',
  other: (command) =>
    command === 'AUTH LOGIN' ? '334 VXNlcm5hbWU6' : command.length < 30 ? '334 UGFzc3dvcmQ6' : '235 welcome',
};

test('a server that refuses is a note', async (t) => {
  const { target, heard } = await scripted(t, CLOSED);
  const { code, lines, stderr } = await live({ servers: [target] });
  assert.deepEqual(lines, [
    `live.yaml: note: upstream.servers[0]: ${target} does not relay for this machine`,
    'live.yaml: 0 errors, 0 warnings, 1 note',
  ]);
  assert.equal(code, 0);
  assert.equal(stderr, `postern check: asking ${target}, which takes a while …\n`);
  assert.ok(
    heard.flat().every((line) => /^(EHLO|MAIL FROM:|RCPT TO:|RSET$|QUIT$)/.test(line)),
    'nothing but questions',
  );
});

test('a server that relays is a warning that says whose port must be closed, and with --strict an error', async (t) => {
  const { target } = await scripted(t, OPEN);
  const { code, lines } = await live({ servers: [target] });
  assert.match(
    lines[0] ?? '',
    /^live\.yaml: warning: upstream\.servers\[0\]: 127\.0\.0\.1:\d+ relays for this machine \(MAIL FROM:<>, RCPT TO:<relay-test@example\.net>: 250 2\.1\.5 ok\): whoever reaches that port from inside sends mail to anybody; close it to all but Postern$/,
  );
  assert.equal(code, 0);
  assert.equal((await live({ servers: [target] }, [], '--strict')).code, 78);
});

test('an open server on this host trusts it, which is said beside; one that is not open is not feared any more', async (t) => {
  const open = await scripted(t, OPEN);
  const trusting = /^live\.yaml: warning: .*: 127\.0\.0\.1 is this host, so every client of Postern is one of its own/;
  assert.match((await live({ servers: [open.target] })).lines[1] ?? '', trusting);
  const named = await live({ servers: [open.target], identity: 'xclient' });
  assert.equal(named.lines.filter((line) => trusting.test(line)).length, 0);
  const closed = await scripted(t, CLOSED);
  assert.equal((await live({ servers: [closed.target] })).lines.filter((line) => line.includes('this host')).length, 0);
  const { lines } = await run(join(folder, 'live.yaml'));
  assert.match(lines[0] ?? '', /live\.yaml:\d+:\d+: warning: upstream\.servers\[0\]: 127\.0\.0\.1 is this host/);
});

test('a server that believes any login is an error where a rule lets logins relay, else a warning', async (t) => {
  const { target } = await scripted(t, BELIEVING);
  for (const [rules, severity, code] of [
    [[{ name: 'roaming', allow: { authenticated: true } }], 'error', 78],
    [[{ name: 'printers', allow: { sources: ['192.0.2.7'] } }], 'warning', 0],
  ] as const) {
    const said = await live({ servers: [target] }, rules);
    assert.match(
      said.lines.find((line) => line.includes('login')) ?? '',
      new RegExp(`^live\\.yaml: ${severity}: .* believes any login \\(AUTH LOGIN with a made-up name: 235 welcome\\)`),
    );
    assert.equal(said.code, code);
  }
});

test('every server is asked, and one that cannot be is an error', async (t) => {
  const away = `127.0.0.1:${await freePort()}`;
  const { target } = await scripted(t, { ...CLOSED, greeting: '421 4.3.2 not now' });
  const { code, lines } = await live({ servers: [away, target] });
  assert.match(
    lines[0] ?? '',
    /^live\.yaml: error: upstream\.servers\[0\]: 127\.0\.0\.1:\d+ cannot be asked: .*ECONNREFUSED/,
  );
  assert.match(
    lines[1] ?? '',
    /^live\.yaml: error: upstream\.servers\[1\]: 127\.0\.0\.1:\d+ cannot be asked: 421 4\.3\.2 not now$/,
  );
  assert.equal(code, 78);
});

test('TLS is made as configured, and no client is named to a server that would believe it', async (t) => {
  const certificate = authority.issue(['mail.example']);
  const server = await toldServer(t, { keywords: ['STARTTLS', 'XCLIENT NAME ADDR'], certificate });
  const servers = [`127.0.0.1:${server.at.port}`];
  const tls = { mode: 'require', ca: authority.cert, name: 'mail.example' };
  const { code, lines } = await live({ servers, tls, identity: 'xclient' });
  assert.match(lines[0] ?? '', /^live\.yaml: warning: .* relays for this machine/);
  assert.equal(code, 0);
  assert.ok(server.heard.every((heard) => heard.includes('(TLS)')));
  assert.ok(!server.heard.flat().some((line) => line.startsWith('XCLIENT')));
  const wrong = await live({ servers, tls: { ...tls, name: 'other.example' } });
  assert.match(
    wrong.lines[0] ?? '',
    /^live\.yaml: error: .* cannot be asked: its certificate is for DNS:mail\.example, not for other\.example/,
  );
});

test('a policy by itself names no server', async () => {
  const file = join(folder, 'policy.yaml');
  writeFileSync(
    file,
    'version: 1\naccepted_domains: [local.example]\nconnectors: [{ name: a, remote_ip_ranges: [192.0.2.7] }]\n',
  );
  const { code, stderr } = await run(file, '--live');
  assert.equal(code, 64);
  assert.match(stderr, /--live: .*policy\.yaml is a policy and names no server: a configuration is wanted/);
});

test('each upstream is asked, and what its answer means to those who come there is said', async (t) => {
  const [closed, open] = [await scripted(t, CLOSED), await scripted(t, OPEN)];
  const policyFor = (internet: string, printers: string) => ({
    version: 1,
    accepted_domains: ['*.local.example'],
    connectors: [
      { name: 'internet', remote_ip_ranges: ['any'], starttls: 'hide', upstream: internet },
      { name: 'printers', remote_ip_ranges: ['10.1.0.0/24'], rules: [{ name: 'all', allow: {} }], upstream: printers },
    ],
  });
  const file = join(folder, 'doors.yaml');
  const told = async (internet: string, printers: string): Promise<string[]> => {
    const upstreams = { relay: { servers: [open.target] } };
    const policy = policyFor(internet, printers);
    writeFileSync(file, JSON.stringify({ upstream: { servers: [closed.target] }, upstreams, policy, admin: null }));
    const { lines, stderr } = await run(file, '--live');
    assert.match(stderr, new RegExp(`asking ${open.target} \\(upstream relay\\)`));
    return lines.filter((line) => !line.includes('is this host')).map((line) => line.replace(/ \(.*?\)/, ''));
  };

  const right = await told('default', 'relay');
  assert.deepEqual(right.slice(0, -1), [
    `doors.yaml: note: upstream.servers[0]: ${closed.target} does not relay for this machine`,
    `doors.yaml: note: upstreams.relay.servers[0]: ${open.target} relays for this machine: whoever reaches that port from inside sends mail to anybody; close it to all but Postern`,
  ]);
  const crossed = await told('relay', 'default');
  assert.deepEqual(crossed.slice(0, -1), [
    `doors.yaml: note: upstream.servers[0]: ${closed.target} does not relay for this machine`,
    `doors.yaml: warning: upstream.servers[0]: ${closed.target} refuses what 'printers' may relay without a login: let it relay for this machine, at best at a port of its own that is an upstream of its own`,
    `doors.yaml: warning: upstreams.relay.servers[0]: ${open.target} relays for this machine: whoever reaches that port from inside sends mail to anybody; close it to all but Postern`,
    `doors.yaml: warning: upstreams.relay.servers[0]: ${open.target} relays for Postern, and 'internet', open to any, goes there: the policy alone keeps it closed; let it relay for nobody`,
  ]);
  const shared = await told('relay', 'relay');
  assert.match(shared.join('\n'), /give 'printers' an upstream of its own, and let this one relay for nobody/);
  assert.doesNotMatch(shared.join('\n'), /asks whether it does/, 'what was feared is known now');
});

test('a packed address that a server takes at its own domain is no relay: a note', async (t) => {
  const rcpt = (path: string): string => (path.endsWith('@local.example>') ? '250 ok' : '554 5.7.1 denied');
  const hidden = /[%!@].*@|"@|[,(:]/; // Postfix without local_recipient_maps: any name, and no address within another
  const { target } = await scripted(t, { rcpt: (path) => (hidden.test(path) ? '554 5.7.1 denied' : rcpt(path)) });
  const { code, lines } = await live({ servers: [target] });
  assert.equal(lines[0], `live.yaml: note: upstream.servers[0]: ${target} does not relay for this machine`);
  assert.match(
    lines[1] ?? '',
    /^live\.yaml: note: .* takes a foreign address that is packed into a name at its own domain \(MAIL FROM:<>, RCPT TO:<IMCEASMTP-relay-test\+40example\.net@local\.example>: 250 ok\)/,
  );
  assert.equal(lines.at(-1), 'live.yaml: 0 errors, 0 warnings, 2 notes');
  assert.equal(code, 0);
});
