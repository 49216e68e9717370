// What an operator sees of the running firewall and does to it, over HTTP: GET /status, GET /sessions, DELETE /sessions/ID, drains.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Snapshot } from '../../src/proxy/snapshot.ts';
import { type LiveOptions, LiveReport } from '../../src/serve/live-report.ts';
import { findSessions, type SessionQuestion } from '../../src/serve/live-sessions.ts';
import type { Listeners } from '../../src/serve/threads.ts';
import type { SessionList, Status } from '../../src/status/shapes.ts';
import { BEARER } from '../helpers/token.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { type Client, Guarded, type GuardedOptions } from '../limits/guarded.ts';

async function status(guarded: Guarded): Promise<Status> {
  const { status, body } = await guarded.admin('GET', '/status');
  assert.equal(status, 200);
  return body as unknown as Status;
}

async function sessions(guarded: Guarded, query = ''): Promise<SessionList> {
  const { status, body } = await guarded.admin('GET', `/sessions${query}`);
  assert.equal(status, 200, JSON.stringify(body));
  return body as unknown as SessionList;
}

async function standIn(t: TestContext): Promise<UpstreamStandIn> {
  const server = await UpstreamStandIn.listen({ dialect: 'lf' });
  t.after(() => server.close());
  return server;
}

/** Its first recipient accepted, and mail data begun. */
async function inMailData(client: Client): Promise<void> {
  await client.say('MAIL FROM:<s@sender.example>');
  await client.say('RCPT TO:<user@local.example>');
  assert.match(await client.say('DATA'), /^354/);
}

for (const workers of [1, 2]) {
  describe(`with workers: ${workers}`, () => {
    const open = (t: TestContext, options: GuardedOptions = {}): Promise<Guarded> =>
      Guarded.open(t, { ...options, config: { workers, ...options.config } });

    test('GET /status says what runs, since when, and what its sessions do', async (t) => {
      const guarded = await open(t);
      const clients = [];
      for (let i = 1; i <= 6; i++) clients.push(await guarded.greeted(`192.0.2.${i}`));
      await inMailData(clients[0] as Client);
      await clients[1]?.message();
      await clients[2]?.say('MAIL FROM:<s@sender.example>');
      assert.match((await clients[2]?.say('RCPT TO:<x@foreign.example>')) ?? '', /^554/);
      const found = await status(guarded);
      assert.equal(found.mode, 'enforce');
      assert.equal(found.protected, true);
      assert.ok(found.listening && !found.draining);
      assert.deepEqual(found.sessions, {
        open: 6,
        by_phase: { command: 5, 'mail-data': 1 },
        by_connector: { internet: 6 },
      });
      const { messages, recipients_passed, recipients_refused } = found.totals;
      assert.deepEqual([messages, recipients_passed, recipients_refused], [1, 2, 1]);
      assert.deepEqual(found.workers, { configured: workers, open: workers });
      assert.deepEqual(found.state, { kind: 'memory', up: true });
      const [server] = found.servers;
      assert.deepEqual([server?.state, server?.up, server?.sessions], ['up', true, 6]);
      for (const time of [found.time, found.started, found.policy.loaded, server?.since])
        assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.deepEqual(found.warnings, []);
    });

    test('GET /sessions says who is connected, in which phase, and for whom it waits', async (t) => {
      const guarded = await open(t);
      const one = await guarded.greeted('192.0.2.1');
      const other = await guarded.greeted('2001:db8::7');
      await one.logIn('CORP\\alice');
      await inMailData(one);
      const list = await sessions(guarded);
      assert.deepEqual([list.open, list.more, list.sessions.length], [2, false, 2]);
      const [first, second] = list.sessions;
      assert.match(String(first?.id), /^[12]-\d+$/);
      assert.deepEqual(
        [first?.client_address, first?.client_port, first?.connector, first?.phase, first?.waits_for, first?.verb],
        ['192.0.2.1', 40000, 'internet', 'mail-data', 'client', 'DATA'],
      );
      assert.deepEqual([first?.sasl_username, first?.helo_name], ['CORP\\alice', 'client.example']);
      assert.equal(first?.server, `127.0.0.1:${guarded.standIn.port}`);
      assert.ok(Number(first?.octets_from_client) > 50 && Number(first?.octets_from_upstream) > 50);
      assert.ok(Date.parse(String(first?.waits_since)) >= Date.parse(String(first?.opened)));
      assert.deepEqual([second?.client_address, second?.phase, second?.verb], ['2001:db8::7', 'command', 'EHLO']);
      const ids = async (query: string) => (await sessions(guarded, query)).sessions.map(({ id }) => id);
      assert.deepEqual(await ids('?client=192.0.2.0/24'), [first?.id]);
      assert.deepEqual(await ids('?client=2001:db8::7'), [second?.id]);
      assert.deepEqual(await ids('?phase=mail-data'), [first?.id]);
      assert.deepEqual(await ids('?connector=elsewhere'), []);
      assert.deepEqual(await ids(`?server=127.0.0.1:${guarded.standIn.port}&phase=command`), [second?.id]);
      const limited = await sessions(guarded, '?limit=1');
      assert.deepEqual([limited.sessions.length, limited.more, limited.open], [1, true, 2]);
      await other.quit();
    });

    test('DELETE /sessions/ID ends it behind the message that is under way', async (t) => {
      const guarded = await open(t);
      const client = await guarded.greeted('192.0.2.1');
      const other = await guarded.greeted('192.0.2.2');
      await inMailData(client);
      const id = (await sessions(guarded, '?client=192.0.2.1')).sessions[0]?.id;
      const { status, body } = await guarded.admin('DELETE', `/sessions/${id}`);
      assert.deepEqual([status, body], [200, { ending: true, id }]);
      assert.match(await client.say('Subject: hello\r\n\r\nhello\r\n.'), /^250/);
      assert.match(await client.hear(), /^421 4\.3\.2 Session ended by the operator/);
      assert.equal(await client.hear(), '');
      assert.match(await other.say('NOOP'), /^250/);
      while (guarded.logged('session ended').length === 0) await turn(); // by way of the main thread
      assert.equal(guarded.logged('session ended')[0]?.origin, 'operator');
      assert.equal((await guarded.admin('DELETE', `/sessions/${id}`)).status, 404);
    });

    test('a server that is drained gets no new session, keeps those it has, and a reload changes nothing of it', async (t) => {
      const [first, second] = [await standIn(t), await standIn(t)];
      const [a, b] = [`127.0.0.1:${first.port}`, `127.0.0.1:${second.port}`];
      const options = { upstream: { servers: [a, b] } };
      const guarded = await open(t, options);
      const staying = await guarded.greeted('192.0.2.1');
      assert.equal(first.connections.length, 1);
      const drained = await guarded.admin('POST', `/servers/${a}/drain`);
      assert.deepEqual([drained.status, drained.body], [200, { server: a, draining: true }]);
      await guarded.reload({ ...options, config: { workers } });
      await guarded.greeted('192.0.2.2');
      await guarded.greeted('192.0.2.3');
      assert.deepEqual([first.connections.length, second.connections.length], [1, 2]);
      assert.match(await staying.message(), /^250/);
      const states = async () => (await status(guarded)).servers.map(({ state, sessions }) => [state, sessions]);
      assert.deepEqual(await states(), [
        ['draining', 1],
        ['up', 2],
      ]);
      assert.equal((await guarded.admin('GET', '/readyz')).status, 200);
      const told = (server: string) => guarded.metric(`postern_upstream_draining{server="${server}"}`);
      assert.deepEqual([await told(a), await told(b)], [1, 0]);

      await guarded.admin('POST', `/servers/${b}/drain`);
      assert.match((await guarded.connect('192.0.2.4')).greeting, /^421 4\.3\.2 Service not available/);
      assert.equal((await guarded.admin('GET', '/readyz')).status, 503);
      assert.match(String((await status(guarded)).warnings), /no server takes sessions/);
      assert.match(await staying.message(), /^250/);

      assert.deepEqual((await guarded.admin('DELETE', `/servers/${a}/drain`)).body, { server: a, draining: false });
      assert.deepEqual([await told(a), await told(b)], [0, 1]);
      assert.match((await guarded.connect('192.0.2.5')).greeting, /^220/);
      assert.equal(first.connections.length, 2);
      assert.equal((await guarded.admin('POST', '/servers/192.0.2.9:25/drain')).status, 404);
      assert.deepEqual(
        ['server is drained: new sessions go elsewhere', 'server is in use again'].map(
          (message) => guarded.logged(message).length,
        ),
        [2, 1],
      );
    });
  });
}

test('a session tells for whom it waits: a server that does not greet or answer, or the client', async (t) => {
  const guarded = await Guarded.open(t, { backend: { delay_ms: { MAIL: 20_000, EOD: 20_000 } } });
  const waits = async (client: string) => {
    const [one] = (await sessions(guarded, `?client=${client}`)).sessions;
    return [one?.phase, one?.waits_for, one?.verb];
  };
  const { client } = await guarded.connect('192.0.2.1');
  assert.deepEqual(await waits('192.0.2.1'), ['command', 'client', null]);
  await client.logIn('alice');
  assert.deepEqual(await waits('192.0.2.1'), ['command', 'client', 'AUTH']);
  await client.smtp.write(Buffer.from('AUTH LOGIN\r\nc2VjcmV0\r\n'));
  await client.hear();
  assert.notEqual((await waits('192.0.2.1'))[2], 'C2VJCMV0', 'nothing that may be a password');
  const other = await guarded.greeted('192.0.2.2');
  await other.smtp.write(Buffer.from('MAIL FROM:<s@sender.example>\r\n'));
  while ((await waits('192.0.2.2'))[0] !== 'reply') await turn();
  assert.deepEqual(await waits('192.0.2.2'), ['reply', 'server', 'MAIL']);
});

test('a session whose server has not greeted is in the phase connect, and has none', async (t) => {
  const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const server = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const guarded = await Guarded.open(t, { upstream: { servers: [server] } });
  void guarded.connect('192.0.2.1').catch(() => {});
  await once(silent, 'connection');
  const [one] = (await sessions(guarded)).sessions;
  assert.deepEqual([one?.phase, one?.waits_for, one?.server], ['connect', 'server', null]);
  assert.equal((await status(guarded)).servers[0]?.state, 'unknown');
});

test('a question that cannot be answered is told what is wanted', async (t) => {
  const guarded = await Guarded.open(t);
  for (const [query, said] of [
    ['limit=0', /^limit: a number from 1 to 1000/],
    ['limit=1001', /^limit: /],
    ['client=mail.example', /^client: an address or a network/],
    ['client=192.0.2.0/33', /^client: /],
    ['phase=asleep', /^phase: one of connect, greeting, command, /],
    ['colour=red', /^colour: there is no such filter; there are client, connector, server, phase, limit/],
  ] as const) {
    const { status, body } = await guarded.admin('GET', `/sessions?${query}`);
    assert.equal(status, 400, query);
    assert.match(String(body.error), said);
  }
  for (const id of ['1-999', '9-1', '1', 'x', '%', '1-1/drain'])
    assert.equal((await guarded.admin('DELETE', `/sessions/${id}`)).status, 404, id);
});

test('what changes something is not for web pages, and no other method will do', async (t) => {
  const guarded = await Guarded.open(t);
  const { address, port } = guarded.firewall.adminAddress ?? { address: '', port: 0 };
  const ask = async (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
    const given = body === undefined ? {} : { body };
    return (await fetch(`http://${address}:${port}${path}`, { method, headers: { ...BEARER, ...headers }, ...given }))
      .status;
  };
  const client = await guarded.greeted();
  const id = (await sessions(guarded)).sessions[0]?.id;
  const server = `127.0.0.1:${guarded.standIn.port}`;
  for (const [method, path] of [
    ['DELETE', `/sessions/${id}`],
    ['POST', `/servers/${server}/drain`],
    ['DELETE', `/servers/${server}/drain`],
    ['POST', '/reload'],
  ] as const) {
    assert.equal(await ask(method, path, { origin: 'http://evil.example' }), 403, path);
    assert.equal(await ask(method, path, { 'content-type': 'text/plain' }, 'x'), 415, path);
    assert.equal(await ask('PUT', path), 405, path);
    assert.equal(await ask('GET', path), 405, path);
  }
  for (const path of ['/status', '/sessions']) {
    assert.equal(await ask('GET', path, { origin: 'http://evil.example' }), 403, path);
    assert.equal(await ask('GET', path, { origin: `http://${address}:${port}` }), 200, path);
    assert.equal(await ask('POST', path), 405, path);
  }
  assert.match(await client.say('NOOP'), /^250/);
  assert.equal((await status(guarded)).servers[0]?.state, 'up');
});

test('of 5 000 sessions with the longest names only so many are told, and all are counted', async () => {
  const open = Array.from({ length: 5_000 }, (_, i) => {
    const one = snapshot(i + 1);
    return { outline: one, snapshot: () => one };
  });
  const listeners = {
    sessions: (asked: SessionQuestion) => findSessions(open, open.length, asked, 1),
  } as unknown as Listeners;
  const live = new LiveReport({ listeners } as unknown as LiveOptions);
  for (const [query, told] of [
    ['', 100],
    ['limit=1000', 1_000],
    ['limit=7&phase=reply', 7],
  ] as const) {
    const list = (await live.sessions(new URLSearchParams(query))) as SessionList;
    assert.deepEqual([list.open, list.more, list.sessions.length], [5_000, true, told]);
    assert.ok(JSON.stringify(list).length < 200 + 1_100 * told);
  }
  let turns = 0;
  const counting = setInterval(() => turns++, 0);
  await live.sessions(new URLSearchParams('phase=greeting'));
  clearInterval(counting);
  assert.ok(turns > 0, 'others had their turn meanwhile');
});

function snapshot(number: number): Snapshot {
  const long = '\xff'.repeat(2_000);
  return {
    ...{ number, clientAddress: '2001:db8::1', clientPort: 65_535, connector: 'internet', server: '[2001:db8::2]:25' },
    ...{ phase: number % 2 === 0 ? 'reply' : 'command', waitsFor: 'server', waitsForMs: 5, openForMs: 10 },
    ...{ octetsFromClient: 2 ** 53, octetsFromUpstream: 2 ** 53, login: long, helo: long, verb: 'STARTTLS' },
  };
}
