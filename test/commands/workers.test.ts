// postern run with several workers, as an operator meets it: one process, one line, one log, one policy, one drain.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { makePair, type Pair, serverPair } from '../helpers/certificates.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { parseSamples } from '../observe/watched.ts';
import { Peer } from '../proxy/peer.ts';
import { type Entry, Running } from './running.ts';

const SHUTTING_DOWN = '421 4.3.2 Service shutting down, closing transmission channel\r\n';
const MANY = 40; // sessions: enough for each of four workers to have one, but for one time in 25 000

interface Setting {
  readonly running: Running;
  readonly port: number;
  readonly upstream: UpstreamStandIn;
  /** GET on the admin port. */
  ask(path: string): Promise<{ status: number; text: string }>;
  samples(): Promise<Map<string, number>>;
}

interface Settings {
  readonly workers: number;
  readonly args?: readonly string[];
}

async function upstreamFor(t: TestContext): Promise<UpstreamStandIn> {
  const upstream = await UpstreamStandIn.listen({ dialect: 'strict' });
  t.after(() => upstream.close());
  return upstream;
}

async function started(t: TestContext, settings: Settings): Promise<Setting> {
  const upstream = await upstreamFor(t);
  const flags = ['--listen', '127.0.0.1:0', '--upstream', `127.0.0.1:${upstream.port}`, '--admin', '127.0.0.1:0'];
  const { workers, args = ['--accepted-domain', 'local.example'] } = settings;
  const running = new Running(t, [...flags, ...args, '--workers', String(workers)]);
  const port = await running.port();
  const { admin } = await running.logged('listening');
  const ask = async (path: string) => {
    const response = await fetch(`http://${admin}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { running, port, upstream, ask, samples: async () => parseSamples((await ask('/metrics')).text) };
}

/** Behind the greeting and EHLO. */
async function introduced(port: number, localAddress?: string): Promise<SmtpClient> {
  const client = new SmtpClient(port, localAddress === undefined ? {} : { localAddress });
  await client.reply();
  assert.match(await say(client, 'EHLO client.example'), /^250/);
  return client;
}

async function say(client: SmtpClient, line: string): Promise<string> {
  await client.write(Buffer.from(`${line}\r\n`));
  return (await client.reply())?.text ?? 'closed';
}

async function sendOne(client: SmtpClient): Promise<void> {
  assert.match(await say(client, 'MAIL FROM:<a@sender.example>'), /^250/);
  assert.match(await say(client, 'RCPT TO:<x@foreign.example>'), /^554/);
  assert.match(await say(client, 'RCPT TO:<x@local.example>'), /^250/);
  assert.match(await say(client, 'DATA'), /^354/);
  assert.match(await say(client, 'Subject: hello\r\n\r\nhello\r\n.'), /^250/);
}

async function many(port: number): Promise<SmtpClient[]> {
  return Promise.all(Array.from({ length: MANY }, () => introduced(port)));
}

interface Encrypted {
  /** Undefined where none was shown, as in a resumed session. */
  readonly name: string | string[] | undefined;
  readonly reused: boolean;
  readonly session: Buffer;
}

/** One session by TLS from its start to its end: whose certificate was shown, and its ticket. */
async function encrypted(port: number, ticket?: Buffer): Promise<Encrypted> {
  const options = { host: '127.0.0.1', port, rejectUnauthorized: false };
  const socket = connectTls({ ...options, ...(ticket === undefined ? {} : { session: ticket }) });
  let session: Buffer = Buffer.alloc(0);
  socket.on('session', (given) => {
    session = given;
  });
  await once(socket, 'data'); // the greeting
  const found = { name: socket.getPeerCertificate().subject?.CN, reused: socket.isSessionReused() };
  socket.write('QUIT\r\n');
  await once(socket.resume(), 'close');
  return { ...found, session };
}

function workersOf(entries: readonly Entry[]): number[] {
  return [...new Set(entries.map(({ worker }) => worker as number))].sort();
}

for (const workers of [2, 4]) {
  describe(`postern run with ${workers} workers`, () => {
    it('passes mail in each, and says once that it listens and that it drained', async (t) => {
      const { running, port, samples } = await started(t, { workers });
      const clients = await many(port);
      assert.equal((await samples()).get('postern_sessions'), MANY);
      await Promise.all(clients.map(sendOne));
      await Promise.all(clients.map((client) => say(client, 'QUIT')));
      running.signal('SIGTERM');
      assert.equal(await running.exit(), 0);
      assert.match(running.stderr, /^postern: listening on [^\n]*\n$/);

      const entries = running.entries();
      const ended = entries.filter(({ msg }) => msg === 'session ended');
      assert.equal(ended.length, MANY);
      assert.deepEqual(
        workersOf(ended),
        Array.from({ length: workers }, (_, i) => i + 1),
      );
      assert.equal(new Set(ended.map(({ worker, session }) => `${worker} ${session}`)).size, MANY);
      for (const message of ['listening', 'policy loaded', 'upstream answers', 'draining', 'drained'])
        assert.equal(entries.filter(({ msg }) => msg === message).length, 1, message);
      assert.equal(entries.at(-1)?.sessions_cut_off, 0);
    });

    it('adds up what the workers count', async (t) => {
      const { running, port, samples, ask } = await started(t, { workers });
      const clients = await many(port);
      await Promise.all(clients.map(sendOne));
      await Promise.all(clients.map((client) => say(client, 'QUIT')));
      await Promise.all(clients.map((client) => client.end()));
      const found = await samples();
      const recipients = (decision: string, reason: string, answer: string) =>
        found.get(
          `postern_recipients_total{connector="default",decision="${decision}",reason="${reason}",answer="${answer}"}`,
        );
      assert.equal(found.get('postern_messages_total{connector="default"}'), MANY);
      assert.equal(recipients('proceed', 'accepted_domain', 'accepted'), MANY);
      assert.equal(recipients('reject', 'no_rule', 'none'), MANY);
      assert.equal(found.get('postern_sessions_total{connector="default",outcome="client"}'), MANY);
      assert.equal(found.get('postern_sessions'), 0);
      assert.equal(found.get('postern_upstream_connect_seconds_count'), MANY);
      assert.equal([...found.keys()].filter((name) => name.startsWith('postern_upstream_up')).length, 1);
      assert.equal([...found.keys()].filter((name) => name.startsWith('postern_policy_loaded')).length, 1);
      assert.equal(found.get('postern_workers'), workers);
      assert.equal(found.get('postern_workers_missing'), 0);
      assert.equal(found.get('postern_defects_total'), 0);
      const { status, text } = await ask('/readyz');
      assert.deepEqual([status, JSON.parse(text).ready], [200, true]);
      running.signal('SIGTERM');
      assert.equal(await running.exit(), 0);
    });

    it('drains them all: who is in a message finishes it, who is idle hears 421', async (t) => {
      const { running, port } = await started(t, { workers });
      const clients = await many(port);
      const [busy, idle] = [clients.slice(0, MANY / 2), clients.slice(MANY / 2)];
      for (const client of busy) await say(client, 'MAIL FROM:<a@sender.example>');
      for (const client of busy) await say(client, 'RCPT TO:<x@local.example>');
      for (const client of busy) await say(client, 'DATA');
      running.signal('SIGTERM');
      assert.equal((await running.logged('draining')).sessions, MANY);
      await assert.rejects(Peer.connect(port), { code: 'ECONNREFUSED' });
      for (const client of idle) assert.equal((await client.reply())?.text, SHUTTING_DOWN);
      for (const client of busy) {
        assert.match(await say(client, 'hello\r\n.'), /^250/);
        assert.equal((await client.reply())?.text, SHUTTING_DOWN);
      }
      for (const client of clients) client.destroy();
      assert.equal(await running.exit(), 0);
      assert.equal((await running.logged('drained')).sessions_cut_off, 0);
    });
  });
}

describe('postern run with two workers', () => {
  it('cuts off those who are not done in time, and says how many', async (t) => {
    const args = ['--accepted-domain', 'local.example', '--drain-timeout', '50ms'];
    const { running, port } = await started(t, { workers: 2, args });
    const clients = await many(port);
    for (const client of clients) await say(client, 'MAIL FROM:<a@sender.example>');
    running.signal('SIGTERM');
    for (const client of clients) assert.equal((await client.reply())?.text, SHUTTING_DOWN);
    for (const client of clients) client.destroy();
    assert.equal(await running.exit(), 0);
    assert.equal((await running.logged('drained')).sessions_cut_off, MANY);
  });

  it('waits for nobody when it is told to end twice', async (t) => {
    const args = ['--accepted-domain', 'local.example', '--drain-timeout', '1h'];
    const { running, port } = await started(t, { workers: 2, args });
    const clients = await many(port);
    for (const client of clients) await say(client, 'MAIL FROM:<a@sender.example>');
    running.signal('SIGTERM');
    await running.logged('draining');
    running.signal('SIGTERM');
    for (const client of clients) assert.equal((await client.reply())?.text, SHUTTING_DOWN);
    assert.equal(await running.exit(), 0);
  });

  it('keeps every log line whole when both write as fast as they can', async (t) => {
    const { running, port } = await started(t, { workers: 2 });
    // Each an address of its own: what one source may write is limited.
    const clients = await Promise.all(Array.from({ length: 80 }, (_, i) => introduced(port, `127.0.1.${i + 1}`)));
    const told = 100; // of one session
    const batch = `MAIL FROM:<a@sender.example>\r\n${`RCPT TO:<${'x'.repeat(60)}@foreign.example>\r\n`.repeat(told)}RSET\r\n`;
    await Promise.all(
      clients.map(async (client) => {
        await client.write(Buffer.from(batch));
        for (let reply = 0; reply < told + 2; reply++) await client.reply();
        await say(client, 'QUIT');
      }),
    );
    await running.logged('session ended', clients.length);
    running.signal('SIGTERM');
    assert.equal(await running.exit(), 0);
    const refused = running.entries().filter(({ msg }) => msg === 'recipient refused'); // parses every line
    assert.equal(refused.length, clients.length * told);
    assert.deepEqual(workersOf(refused), [1, 2]);
  });

  it('counts what one source is refused too often, in each, and loses none', async (t) => {
    const { running, port, samples } = await started(t, { workers: 2 });
    const clients = await Promise.all(Array.from({ length: 20 }, () => introduced(port)));
    const count = 1000;
    const batch = `MAIL FROM:<a@sender.example>\r\n${'RCPT TO:<x@foreign.example>\r\n'.repeat(count)}QUIT\r\n`;
    await Promise.all(
      clients.map(async (client) => {
        await client.write(Buffer.from(batch));
        for (let reply = 0; reply < count + 2; reply++) await client.reply();
      }),
    );
    const metric = 'postern_recipients_total{connector="default",decision="reject",reason="no_rule",answer="none"}';
    assert.equal((await samples()).get(metric), clients.length * count);
    running.signal('SIGTERM');
    assert.equal(await running.exit(), 0);
    const told = running.entries().filter(({ msg }) => msg === 'recipient refused').length;
    const counted = running.entries().reduce((sum, { repeated = 0 }) => sum + (repeated as number), 0);
    assert.ok(told <= 2 * 200, `${told} lines`);
    assert.equal(told + counted, clients.length * count);
  });

  it('takes the other policy in both at SIGHUP, and a faulty one in none', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-workers-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'postern.yaml');
    const policy = (domain: string) => ({
      version: 1,
      accepted_domains: [domain],
      connectors: [{ name: 'internet', remote_ip_ranges: ['any'] }],
    });
    const write = (more: object) =>
      writeFileSync(
        file,
        JSON.stringify({ upstream: { servers: ['127.0.0.1:1'] }, lost_address_guard: 'warn', ...more }),
      );
    write({ policy: policy('old.example') });
    const { running, port, samples } = await started(t, { workers: 2, args: ['--config', file] });
    const clients = await many(port);
    const version = async () => [...(await samples()).keys()].filter((name) => name.includes('policy_loaded'));
    const answers = async (recipient: string) => {
      const codes = clients.map(async (client) => {
        await say(client, 'MAIL FROM:<a@sender.example>');
        const answer = await say(client, `RCPT TO:<${recipient}>`);
        await say(client, 'RSET');
        return answer.slice(0, 3);
      });
      return [...new Set(await Promise.all(codes))];
    };
    assert.deepEqual(await answers('x@old.example'), ['250']);
    const before = await version();

    write({ policy: { ...policy('new.example'), accepted_domain: [] } });
    running.signal('SIGHUP');
    await running.logged('reload refused, the old config stays');
    assert.deepEqual(await answers('x@old.example'), ['250']);
    assert.deepEqual(await version(), before);

    write({ policy: policy('new.example') });
    running.signal('SIGHUP');
    await running.logged('reloaded');
    assert.deepEqual(await answers('x@old.example'), ['554']);
    assert.deepEqual(await answers('x@new.example'), ['250']);
    const after = await version();
    assert.equal(after.length, 1);
    assert.notDeepEqual(after, before);
    for (const client of clients) client.destroy();
  });

  it('shows the certificates of a reload in both, and one resumes the TLS session of the other', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-workers-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'postern.yaml');
    const write = (pair: Pair) => {
      for (const [name, source] of [
        ['cert.pem', pair.certFile],
        ['key.pem', pair.keyFile],
      ] as const)
        copyFileSync(source, join(folder, name));
    };
    const connector = { name: 'internet', remote_ip_ranges: ['any'], starttls: 'terminate' };
    const listener = {
      bind: ['127.0.0.1:0'],
      certificates: [{ cert: 'cert.pem', key: 'key.pem' }],
      implicit_tls: true,
    };
    const config = {
      listeners: [listener],
      policy: { version: 1, accepted_domains: ['local.example'], connectors: [connector] },
      admin: { listen: '127.0.0.1:0' },
      workers: 2,
    };
    const upstream = await upstreamFor(t);
    writeFileSync(file, JSON.stringify({ ...config, upstream: { servers: [`127.0.0.1:${upstream.port}`] } }));
    write(serverPair());
    const running = new Running(t, ['--config', file]);
    const port = await running.port();
    const first = await encrypted(port);
    const all = await Promise.all(Array.from({ length: MANY }, () => encrypted(port, first.session)));
    assert.deepEqual([...new Set(all.map(({ reused }) => reused))], [true]);

    const other = makePair({ subject: '/CN=other.example.com', names: 'DNS:other.example.com' });
    write(other);
    running.signal('SIGHUP');
    await running.logged('reloaded');
    const shown = await Promise.all(Array.from({ length: MANY }, () => encrypted(port)));
    assert.deepEqual([...new Set(shown.map(({ name }) => name))], ['other.example.com']);
    running.signal('SIGTERM');
    assert.equal(await running.exit(), 0);
    assert.deepEqual(workersOf(running.entries().filter(({ msg }) => msg === 'session ended')), [1, 2]);
  });

  it('does not start where another program listens, not even its own like', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port: taken } = server.address() as { port: number };
    const { port } = await started(t, { workers: 2 });
    for (const one of [taken, port]) {
      const flags = ['--listen', `127.0.0.1:${one}`, '--upstream', '127.0.0.1:1', '--accepted-domain', 'local.example'];
      const second = new Running(t, [...flags, '--admin', 'none', '--workers', '2']);
      assert.equal(await second.exit(), 1);
      assert.equal(second.stderr, `postern run: cannot listen on 127.0.0.1:${one}: another program listens there\n`);
    }
  });

  it('tells a lost client address once', async (t) => {
    const { running, port } = await started(t, { workers: 2 });
    const clients = await many(port);
    for (const client of clients) client.destroy();
    running.signal('SIGTERM');
    assert.equal(await running.exit(), 0);
    const told = running.entries().filter(({ msg }) => String(msg).startsWith('a client seems to come from'));
    assert.equal(told.length, 1);
  });
});

describe('postern run --workers', () => {
  it('has no thread beside the first, and no number in its log, with 1', async (t) => {
    const { running, port, samples } = await started(t, { workers: 1 });
    const client = await introduced(port);
    await sendOne(client);
    await say(client, 'QUIT');
    assert.equal((await samples()).has('postern_workers'), false);
    running.signal('SIGTERM');
    assert.equal(await running.exit(), 0);
    assert.ok(running.entries().every((entry) => !('worker' in entry)));
  });

  it('takes auto, and its twin in the environment', async (t) => {
    const upstream = await upstreamFor(t);
    const flags = ['--listen', '127.0.0.1:0', '--upstream', `127.0.0.1:${upstream.port}`, '--admin', 'none'];
    const running = new Running(t, [...flags, '--accepted-domain', 'local.example'], { POSTERN_WORKERS: 'auto' });
    await sendOne(await introduced(await running.port()));
  });

  for (const wrong of ['0', '257', 'many', '1.5', '-1']) {
    it(`refuses ${wrong}`, async (t) => {
      const running = new Running(t, [
        `--workers=${wrong}`,
        '--upstream',
        '127.0.0.1:1',
        '--accepted-domain',
        'a.example',
      ]);
      assert.equal(await running.exit(), 64);
      assert.match(
        running.stderr,
        /^--workers: error: workers: \S+ is (neither a whole number of workers from 1 to 256 nor auto|not a whole number from 1 to 256)$/m,
      );
    });
  }
});
