// postern run as an operator meets it: a process with flags, a file, an environment, signals, an exit code, and two
// streams – sentences on stderr, JSON on stdout.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { run } from '../../src/commands/run.ts';
import { freePort, Peer, UpstreamPeers } from '../proxy/peer.ts';
import { asked, type Pair } from '../proxy/rig.ts';
import { type Entry, Running } from './running.ts';

const SHUTTING_DOWN = '421 4.3.2 Service shutting down, closing transmission channel\r\n';

const folder = mkdtempSync(join(tmpdir(), 'postern-run-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** Flags that need no file: a port of its own, no admin, and a domain that is accepted. */
function flags(upstream: number, ...more: string[]): string[] {
  const listen = ['--listen', '127.0.0.1:0', '--admin', 'none'];
  return [...listen, '--upstream', `127.0.0.1:${upstream}`, '--accepted-domain', 'local.example', ...more];
}

/** Behind EHLO, in front of an upstream played by the test. */
async function introduced(running: Running, upstreams: UpstreamPeers): Promise<Pair> {
  const client = await Peer.connect(await running.port());
  const pair = { client, upstream: await upstreams.next() };
  await asked(pair, null, '220 mail.example ESMTP');
  await asked(pair, 'EHLO client.example', '250-mail.example', '250 ENHANCEDSTATUSCODES');
  return pair;
}

async function inMailData(running: Running, upstreams: UpstreamPeers): Promise<Pair> {
  const pair = await introduced(running, upstreams);
  await asked(pair, 'MAIL FROM:<s@sender.example>', '250 2.1.0 ok');
  await asked(pair, 'RCPT TO:<user@local.example>', '250 2.1.5 ok');
  await asked(pair, 'DATA', '354 go ahead');
  return pair;
}

async function ready(adminPort: number): Promise<{ status: number; body: Entry }> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`);
  return { status: response.status, body: (await response.json()) as Entry };
}

describe('postern run does not start', { concurrency: 2 }, () => {
  /** In this process: nothing is opened. */
  async function refused(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const said = { stdout: '', stderr: '' };
    const take = (stream: 'stdout' | 'stderr') => (text: string) => {
      said[stream] += text;
    };
    const code = await run(args, { stdout: take('stdout'), stderr: take('stderr'), isTTY: false });
    return { code, ...said };
  }

  it('when it is asked for help: that is all it does', async (t) => {
    const running = new Running(t, ['--help']);
    assert.equal(await running.exit(), 0);
    assert.match(running.stdout, /^Usage: postern run /);
    assert.equal(running.stderr, '');
  });

  it('with a flag that there is not', async (t) => {
    const running = new Running(t, ['--frobnicate']);
    assert.equal(await running.exit(), 64);
    assert.equal(running.stderr, "postern run: Unknown option '--frobnicate'\nTry: postern run --help\n");
    assert.equal(running.stdout, '');
  });

  const usages: Readonly<Record<string, readonly [string[], RegExp]>> = {
    'without an upstream': [['--accepted-domain', 'local.example'], /upstream: .*--upstream HOST:PORT/],
    'without a domain or a range': [['--upstream', '127.0.0.1:1'], /policy: .*--accepted-domain DOMAIN/],
    'with words that are no flags': [[...flags(1), 'now'], /Unexpected argument 'now'/],
    'with a flag that lacks its value': [[...flags(1), '--mode'], /'--mode <value>' argument missing/],
    'with a mode that there is not': [flags(1, '--mode', 'lenient'), /--mode: error: mode: .*enforce/],
    'with an address that is none': [flags(1, '--listen', '127.0.0.1'), /--listen: error: /],
    'with a port that is none': [flags(65536), /--upstream: error: /],
    'with a domain that is none': [flags(1, '--accepted-domain', 'a b'), /--accepted-domain: error: /],
    'with a range that is none': [flags(1, '--relay-from', '10.0.0.0/33'), /--relay-from: error: /],
    'with a duration that lacks its unit': [flags(1, '--drain-timeout', '5'), /--drain-timeout: error: .*5s/],
    'with a relay for everyone': [flags(1, '--relay-from', '0.0.0.0/0'), /--relay-from: error: .*open relay/i],
  };
  for (const [what, [args, sentence]] of Object.entries(usages)) {
    it(`${what}: 64, one sentence, and where there is help`, async () => {
      const { code, stdout, stderr } = await refused(...args);
      assert.equal(code, 64, stderr);
      assert.match(stderr, sentence);
      assert.match(stderr, /^[^\n]+\nTry: postern run --help\n$/);
      assert.equal(stdout, '');
    });
  }

  it('with a key in its file that there is not: 78, and the place of the key', async (t) => {
    const file = write(
      'unknown.yaml',
      'upstream:\n  servers: ["127.0.0.1:1"]\nlistners: []\npolicy: { version: 1, connectors: [] }\n',
    );
    const running = new Running(t, ['--config', file]);
    assert.equal(await running.exit(), 78);
    assert.equal(running.stderr, `${file}:3:1: error: listners: unknown key: did you mean listeners?\n`);
    assert.equal(running.stdout, '');
  });

  it('with a file that is not there: 78', async () => {
    const { code, stderr } = await refused('--config', join(folder, 'missing.yaml'));
    assert.equal(code, 78);
    assert.match(stderr, /missing\.yaml.*there is no such file\n$/);
  });

  it('with a variable that is faulty, or nearly one of ours: 78', async (t) => {
    const faulty = new Running(t, flags(1), { POSTERN_MODE: 'lenient' });
    const nearly = new Running(t, flags(1), { POSTERN_ACCEPTED_DOMAINS: 'other.example' });
    assert.equal(await faulty.exit(), 78);
    assert.match(faulty.stderr, /^POSTERN_MODE: error: mode: [^\n]+\n$/);
    assert.equal(await nearly.exit(), 78);
    assert.match(nearly.stderr, /^POSTERN_ACCEPTED_DOMAINS: error: .*did you mean POSTERN_ACCEPTED_DOMAIN\?\n$/);
  });

  it('on a port that is taken: 1, and one sentence that names it', async (t) => {
    const taken = createServer();
    t.after(() => taken.close());
    await once(taken.listen(0, '127.0.0.1'), 'listening');
    const { port } = taken.address() as { port: number };
    const relay = new Running(t, flags(1, '--listen', `127.0.0.1:${port}`));
    const admin = new Running(t, flags(1, '--admin', `127.0.0.1:${port}`));
    assert.equal(await relay.exit(), 1);
    assert.equal(relay.stderr, `postern run: cannot listen on 127.0.0.1:${port}: another program listens there\n`);
    assert.equal(await admin.exit(), 1);
    assert.equal(
      admin.stderr,
      `postern run: cannot listen on 127.0.0.1:${port} (admin): another program listens there\n`,
    );
    assert.equal(relay.stdout + admin.stdout, '');
  });
});

describe('postern run', { concurrency: 2 }, () => {
  it('says one line when it listens, and all else as JSON on stdout', async (t) => {
    const upstreams = await UpstreamPeers.listen(t);
    const running = new Running(t, flags(upstreams.port, '--relay-from', '198.51.100.0/24'));
    const pair = await introduced(running, upstreams);
    await asked(pair, 'MAIL FROM:<s@sender.example>', '250 2.1.0 ok');
    pair.client.say('RCPT TO:<x@foreign.example>\r\n');
    assert.equal(
      await pair.client.hears('\r\n'),
      '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied\r\n',
    );
    await asked(pair, 'RCPT TO:<user@local.example>', '250 2.1.5 ok');
    await asked(pair, 'DATA', '354 go ahead');
    await asked(pair, 'Subject: hello\r\n\r\nSecret\r\n.', '250 2.0.0 queued');
    await asked(pair, 'QUIT', '221 2.0.0 bye');

    const { time, session, trace, ...refused } = await running.logged('recipient refused');
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(String(trace), /relay-from/);
    assert.deepEqual(refused, {
      level: 'info',
      client_address: '127.0.0.1',
      client_port: pair.client.socket.localPort,
      connector: 'default',
      helo_name: 'client.example',
      sender: 's@sender.example',
      recipient: 'x@foreign.example',
      protocol_state: 'RCPT',
      decision: 'reject',
      reason: 'no_rule',
      key: 'connectors[default].rules',
      reply: '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied',
      msg: 'recipient refused',
    });
    const ended = await running.logged('session ended');
    assert.equal(ended.session, session);
    assert.deepEqual(
      { ...ended, time: null, session: null, seconds: null, octets_from_client: null, octets_from_upstream: null },
      {
        level: 'info',
        time: null,
        session: null,
        client_address: '127.0.0.1',
        client_port: pair.client.socket.localPort,
        connector: 'default',
        helo_name: 'client.example',
        server: `127.0.0.1:${upstreams.port}`,
        messages: 1,
        recipients_accepted: 1,
        recipients_refused: 1,
        octets_from_client: null,
        octets_from_upstream: null,
        seconds: null,
        origin: 'client',
        what: 'quit',
        msg: 'session ended',
      },
    );
    assert.ok((ended.octets_from_client as number) > 150);
    running.signal('SIGTERM');
    assert.equal(await running.exit(), 0);
    assert.match(
      running.stderr,
      new RegExp(
        `^postern: listening on 127\\.0\\.0\\.1:\\d+, upstream 127\\.0\\.0\\.1:${upstreams.port}, mode enforce\\n$`,
      ),
    );
    assert.doesNotMatch(running.stdout, /Secret/);
    const messages = running.entries().map(({ msg }) => msg);
    assert.ok(messages.includes('listening') && messages.includes('drained'));
  });

  it('starts without its upstream: clients hear 421, the log names it, and it is alive but not ready', async (t) => {
    const [nobody, admin] = [await freePort(), await freePort()];
    const running = new Running(t, flags(nobody, '--admin', `127.0.0.1:${admin}`));
    const client = await Peer.connect(await running.port());
    assert.equal(await client.rest(), '421 4.3.2 Service not available, try again later\r\n');
    const entry = await running.logged('upstream does not answer');
    assert.equal(entry.server, `127.0.0.1:${nobody}`);
    assert.match(String(entry.why), /ECONNREFUSED/);
    const { status, body } = await ready(admin);
    assert.equal(status, 503);
    assert.deepEqual([body.ready, body.listening, body.upstream], [false, true, false]);
    assert.equal((await fetch(`http://127.0.0.1:${admin}/healthz`)).status, 200);
  });

  it('needs no file and no flag: the environment is enough', async (t) => {
    const upstreams = await UpstreamPeers.listen(t);
    const admin = await freePort();
    const running = new Running(t, [], {
      POSTERN_LISTEN: '127.0.0.1:0, [::1]:0',
      POSTERN_UPSTREAM: `127.0.0.1:${await freePort()},127.0.0.1:${upstreams.port}`,
      POSTERN_ACCEPTED_DOMAIN: 'local.example,*.other.example',
      POSTERN_ADMIN: `127.0.0.1:${admin}`,
    });
    const pair = await introduced(running, upstreams);
    assert.match(running.stderr, /listening on 127\.0\.0\.1:\d+, \[::1\]:\d+, upstream /);
    await asked(pair, 'MAIL FROM:<>', '250 2.1.0 ok');
    await asked(pair, 'RCPT TO:<user@local.example>', '250 2.1.5 ok');
    await asked(pair, 'RCPT TO:<user@deep.other.example>', '250 2.1.5 ok');
    pair.client.say('RCPT TO:<x@foreign.example>\r\n');
    assert.match(await pair.client.hears('\r\n'), /^554 /);
    assert.equal((await ready(admin)).status, 200);
    const explained = await fetch(`http://127.0.0.1:${admin}/explain?source=192.0.2.1&rcpt=x@foreign.example`);
    const { connector } = (await explained.json()) as { connector: { place: string } };
    assert.equal(connector.place, 'POSTERN_ACCEPTED_DOMAIN'); // which has no lines
  });

  it('takes a flag before its twin in the environment, and both before the file', async (t) => {
    const [inFile, inEnv, asFlag] = [
      await UpstreamPeers.listen(t),
      await UpstreamPeers.listen(t),
      await UpstreamPeers.listen(t),
    ];
    const file = write(
      'three.yaml',
      JSON.stringify({
        listeners: [{ bind: ['127.0.0.1:0'] }],
        upstream: { servers: [`127.0.0.1:${inFile.port}`] },
        policy: {
          version: 1,
          accepted_domains: ['local.example'],
          connectors: [{ name: 'internet', remote_ip_ranges: ['any'] }],
        },
        admin: null,
      }),
    );
    const env = { POSTERN_UPSTREAM: `127.0.0.1:${inEnv.port}` };
    const started: [Running, UpstreamPeers][] = [
      [new Running(t, ['--config', file]), inFile],
      [new Running(t, ['--config', file], env), inEnv],
      [new Running(t, ['--config', file, '--upstream', `127.0.0.1:${asFlag.port}`], env), asFlag],
      [new Running(t, [], { ...env, POSTERN_CONFIG: file }), inEnv],
    ];
    for (const [running, upstreams] of started) {
      await introduced(running, upstreams);
      assert.match(running.stderr, new RegExp(`upstream 127\\.0\\.0\\.1:${upstreams.port}, mode enforce\n`));
    }
  });

  it('says in three places that observe does not protect', async (t) => {
    const upstreams = await UpstreamPeers.listen(t);
    const admin = await freePort();
    const running = new Running(t, flags(upstreams.port, '--mode', 'observe', '--admin', `127.0.0.1:${admin}`));
    const pair = await introduced(running, upstreams);
    await asked(pair, 'MAIL FROM:<s@sender.example>', '250 2.1.0 ok');
    await asked(pair, 'RCPT TO:<x@foreign.example>', '250 2.1.5 ok');
    assert.equal((await running.logged('recipient would be refused')).decision, 'would_reject');
    assert.match(running.stderr, /mode observe .*not protected\n$/);
    const warnings = running.entries().filter(({ level }) => level === 'warn');
    assert.ok(warnings.some(({ msg }) => /not protected/.test(String(msg))));
    const { body } = await ready(admin);
    assert.equal(body.protected, false);
    assert.match(String(body.warning), /not protected/);
  });
});

describe('postern run, told to end', { concurrency: 2 }, () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`by ${signal} while nothing is under way: 421 for who is there, and 0`, async (t) => {
      const upstreams = await UpstreamPeers.listen(t);
      const running = new Running(t, flags(upstreams.port));
      const { client, upstream } = await introduced(running, upstreams);
      running.signal(signal);
      assert.equal(await client.rest(), SHUTTING_DOWN);
      assert.equal(await upstream.rest(), '');
      client.finish();
      assert.equal(await running.exit(), 0);
      assert.equal(client.ending, 'end');
    });
  }

  it('in the middle of a message: it is finished with its 250, then 421, and 0', async (t) => {
    const upstreams = await UpstreamPeers.listen(t);
    const admin = await freePort();
    const running = new Running(t, flags(upstreams.port, '--admin', `127.0.0.1:${admin}`));
    const port = await running.port();
    const { client, upstream } = await inMailData(running, upstreams);
    running.signal('SIGTERM');
    assert.equal((await running.logged('draining')).sessions, 1);
    await assert.rejects(Peer.connect(port), { code: 'ECONNREFUSED' });
    const { status, body } = await ready(admin);
    assert.deepEqual([status, body.draining], [503, true]);
    client.say('the rest\r\n.\r\n');
    await upstream.hears('the rest\r\n.\r\n');
    upstream.say('250 2.0.0 queued\r\n');
    assert.equal(await client.rest(), `250 2.0.0 queued\r\n${SHUTTING_DOWN}`);
    client.finish();
    assert.equal(await running.exit(), 0);
    assert.equal(running.entries().at(-1)?.sessions_cut_off, 0);
  });

  it('cuts off who is not done in time: 421, no end of the message, and 0', async (t) => {
    const upstreams = await UpstreamPeers.listen(t);
    const running = new Running(t, flags(upstreams.port, '--drain-timeout', '50ms'));
    const { client, upstream } = await inMailData(running, upstreams);
    client.say('a half\r\n');
    await upstream.hears('a half\r\n');
    running.signal('SIGTERM');
    assert.equal(await client.rest(), SHUTTING_DOWN);
    assert.equal(await upstream.rest(), '');
    client.finish();
    assert.equal(await running.exit(), 0);
    assert.equal(running.entries().at(-1)?.sessions_cut_off, 1);
  });

  it('twice: waits for nobody', async (t) => {
    const upstreams = await UpstreamPeers.listen(t);
    const running = new Running(t, flags(upstreams.port, '--drain-timeout', '1h'));
    const { client, upstream } = await inMailData(running, upstreams);
    running.signal('SIGTERM');
    await running.logged('draining');
    running.signal('SIGINT');
    assert.equal(await client.rest(), SHUTTING_DOWN);
    assert.equal(await upstream.rest(), '');
    assert.equal(await running.exit(), 0); // though the client has not hung up
  });

  it('lets a client that is still sending read its last reply', async (t) => {
    const upstreams = await UpstreamPeers.listen(t);
    const running = new Running(t, flags(upstreams.port, '--drain-timeout', '1ms'));
    const { client, upstream } = await inMailData(running, upstreams);
    upstream.socket.resume();
    client.socket.write(Buffer.alloc(16 * 1024 * 1024, 'a line\r\n'));
    running.signal('SIGTERM');
    assert.equal(await client.rest(), SHUTTING_DOWN);
    assert.equal(client.ending, 'end');
    client.socket.destroy();
    assert.equal(await running.exit(), 0);
  });
});
