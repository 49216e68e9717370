// Several upstreams, as an operator meets them: which connector's clients come to which server, what is said of each, and what a
// reload changes. With one thread and with two.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { TOKEN, TOKEN_FILE } from '../helpers/token.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { parseSamples } from '../observe/watched.ts';
import { Running } from './running.ts';

const INTERNET = '127.0.0.1';
const PRINTER = '127.0.0.9';

interface Setting {
  readonly running: Running;
  readonly world: UpstreamStandIn;
  readonly relay: UpstreamStandIn;
  /** Behind the greeting and EHLO; the text of what ended it before. */
  from(address: string): Promise<SmtpClient | string>;
  ask(path: string): Promise<{ status: number; text: string }>;
  act(method: string, path: string): Promise<number>;
  status(): Promise<Status>;
  samples(): Promise<Map<string, number>>;
  /** Writes the file anew, with other upstreams or connectors, and waits until it is in force. */
  change(more: object, policy?: object): Promise<void>;
}

interface Status {
  readonly servers: readonly { server: string; state: string; upstreams?: string[]; sessions: number }[];
  readonly warnings: readonly string[];
}

async function standIn(t: TestContext): Promise<UpstreamStandIn> {
  const server = await UpstreamStandIn.listen({ dialect: 'strict' });
  t.after(() => server.close());
  return server;
}

const at = ({ port }: UpstreamStandIn): string => `127.0.0.1:${port}`;

function policyOf(upstream: string): object {
  return {
    version: 1,
    accepted_domains: ['local.example'],
    connectors: [
      { name: 'internet', remote_ip_ranges: ['any'], starttls: 'hide' },
      { name: 'printers', remote_ip_ranges: [PRINTER], rules: [{ name: 'all', allow: {} }], upstream },
    ],
  };
}

async function started(t: TestContext, workers: number, limits: object = {}): Promise<Setting> {
  const [world, relay] = [await standIn(t), await standIn(t)];
  const folder = mkdtempSync(join(tmpdir(), 'postern-upstreams-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'postern.yaml');
  const write = (more: object, policy: object): void => {
    const config = {
      listeners: [{ bind: ['127.0.0.1:0'] }],
      upstream: { servers: [at(world)] },
      upstreams: { relay: { servers: [at(relay)], ...limits } },
      policy,
      admin: { listen: '127.0.0.1:0', token_file: TOKEN_FILE },
      lost_address_guard: 'warn',
      workers,
      ...more,
    };
    writeFileSync(file, JSON.stringify(config));
  };
  write({}, policyOf('relay'));
  const running = new Running(t, ['--config', file]);
  const port = await running.port();
  const { admin } = await running.logged('listening');
  let reloads = 0;
  const headers = { authorization: `Bearer ${TOKEN}` };
  const ask = async (path: string) => {
    const response = await fetch(`http://${admin}${path}`, { headers });
    return { status: response.status, text: await response.text() };
  };
  return {
    ...{ running, world, relay, ask },
    from: async (address) => {
      const client = new SmtpClient(port, { localAddress: address });
      const greeting = await client.reply();
      if (greeting?.code !== '220') return greeting?.text ?? 'closed';
      assert.match(await say(client, 'EHLO client.example'), /^250/);
      return client;
    },
    act: async (method, path) => (await fetch(`http://${admin}${path}`, { method, headers })).status,
    status: async () => JSON.parse((await ask('/status')).text) as Status,
    samples: async () => parseSamples((await ask('/metrics')).text),
    change: async (more, policy = policyOf('relay')) => {
      write(more, policy);
      running.signal('SIGHUP');
      await running.logged('reloaded', ++reloads);
    },
  };
}

async function say(client: SmtpClient, line: string): Promise<string> {
  await client.write(Buffer.from(`${line}\r\n`));
  return (await client.reply())?.text.trimEnd() ?? 'closed';
}

/** What the server said to RCPT; the session goes on. */
async function rcpt(client: SmtpClient | string, recipient: string): Promise<string> {
  if (typeof client === 'string') return client;
  await say(client, 'MAIL FROM:<a@sender.example>');
  const reply = await say(client, `RCPT TO:<${recipient}>`);
  await say(client, 'RSET');
  return reply;
}

for (const workers of [1, 2]) {
  describe(`with ${workers} workers`, () => {
    it('each connector comes to its own server, and the line of its message and the metrics name it', async (t) => {
      const { running, world, relay, from, samples, status } = await started(t, workers);
      assert.match(running.stderr, new RegExp(`upstream ${at(world)}; relay ${at(relay)}, mode enforce`));
      const printer = (await from(PRINTER)) as SmtpClient;
      await say(printer, 'MAIL FROM:<scanner@local.example>');
      assert.match(await say(printer, 'RCPT TO:<x@foreign.example>'), /^250/);
      await say(printer, 'DATA');
      assert.match(await say(printer, 'Subject: scan\r\n\r\nscan\r\n.'), /^250/);
      assert.equal((await running.logged('message')).server, at(relay));
      const stranger = await from(INTERNET);
      assert.match(await rcpt(stranger, 'x@foreign.example'), /^554 /);
      assert.match(await rcpt(stranger, 'user@local.example'), /^250/);
      assert.deepEqual([world.connections.length, relay.connections.length], [1, 1]);

      const found = await samples();
      for (const server of [world, relay])
        assert.equal(found.get(`postern_upstream_up{server="${at(server)}"}`), 1, at(server));
      const servers = (await status()).servers.map(({ server, state, upstreams, sessions }) => {
        return { server, state, upstreams, sessions };
      });
      assert.deepEqual(servers, [
        { server: at(world), state: 'up', upstreams: undefined, sessions: 1 },
        { server: at(relay), state: 'up', upstreams: ['relay'], sessions: 1 },
      ]);
    });

    it('has places of its own for each', async (t) => {
      const { running, from } = await started(t, workers, { max_connections: 1, max_wait: '0s' });
      const first = await from(PRINTER);
      assert.equal(typeof first, 'object');
      assert.match((await from(PRINTER)) as string, /^421 4\.3\.2 /);
      assert.equal((await running.logged('connection refused')).key, 'upstreams.relay.max_connections');
      assert.equal(typeof (await from(INTERNET)), 'object');
    });

    it('one that is down or drained costs the others nothing, and is told by its name', async (t) => {
      const { running, world, relay, from, act, status, ask } = await started(t, workers);
      assert.equal(await act('POST', `/servers/${at(relay)}/drain`), 200);
      assert.match((await from(PRINTER)) as string, /^421 /);
      assert.equal(typeof (await from(INTERNET)), 'object');
      const [warning] = (await status()).warnings.filter((one) => one.includes('upstream'));
      assert.match(warning ?? '', /^no server of upstream 'relay' takes sessions/);
      assert.equal(await act('DELETE', `/servers/${at(relay)}/drain`), 200);
      assert.equal(typeof (await from(PRINTER)), 'object');

      const [open, gone] = [at(world), at(relay)];
      await relay.close();
      assert.match((await from(PRINTER)) as string, /^421 /);
      assert.equal((await running.logged('upstream does not answer')).server, gone);
      const ready = await ask('/readyz');
      assert.equal(ready.status, 200, 'mail of the world goes on');
      const told = (JSON.parse(ready.text) as { servers: { server: string; up: boolean; upstreams?: string[] }[] })
        .servers;
      assert.deepEqual(
        told.map(({ server, up, upstreams }) => [server, up, upstreams]),
        [
          [open, true, undefined],
          [gone, false, ['relay']],
        ],
      );
    });

    it('a reload moves a connector: a session that is there hears 421 at its next MAIL', async (t) => {
      const { world, relay, from, change } = await started(t, workers);
      const before = (await from(PRINTER)) as SmtpClient;
      await change({ upstreams: {} }, policyOf('default'));
      assert.match(await say(before, 'MAIL FROM:<a@sender.example>'), /^421 4\.3\.2 /);
      assert.match(await rcpt(await from(PRINTER), 'x@foreign.example'), /^250/);
      assert.deepEqual([world.connections.length, relay.connections.length], [1, 1]);
    });

    it('a reload changes the servers of an upstream: sessions stay, new ones go to the new server', async (t) => {
      const { world, relay, from, change, samples, status, act } = await started(t, workers);
      const before = (await from(INTERNET)) as SmtpClient;
      const next = await standIn(t);
      await change({ upstream: { servers: [at(next), at(world)] } });
      assert.match(await rcpt(before, 'user@local.example'), /^250/);
      assert.match(await rcpt(await from(INTERNET), 'user@local.example'), /^250/);
      assert.deepEqual([world.connections.length, next.connections.length], [1, 1]);
      assert.equal(await act('POST', `/servers/${at(world)}/drain`), 200);

      await change({ upstream: { servers: [at(next)] } });
      assert.match(await rcpt(before, 'user@local.example'), /^250/);
      const up = [...(await samples()).keys()].filter((name) => name.startsWith('postern_upstream_up{'));
      assert.deepEqual(up.sort(), [relay, next].map((one) => `postern_upstream_up{server="${at(one)}"}`).sort());
      assert.deepEqual(
        (await status()).servers.map(({ server }) => server),
        [at(next), at(relay)],
      );
      assert.equal(await act('POST', `/servers/${at(world)}/drain`), 404);

      await change({ upstream: { servers: [at(world)] } });
      assert.match(await rcpt(await from(INTERNET), 'user@local.example'), /^250/, 'it is not drained any more');
    });
  });
}

it('a line longer than text_line refuses the message, and nothing behind it reaches the server', async (t) => {
  const { running, relay, from } = await started(t, 1, { text_line: 2000 });
  const printer = (await from(PRINTER)) as SmtpClient;
  await say(printer, 'MAIL FROM:<scanner@local.example>');
  await say(printer, 'RCPT TO:<x@foreign.example>');
  await say(printer, 'DATA');
  const long = `${'x'.repeat(1999)}\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<victim@elsewhere.example>\r\nDATA`;
  assert.match(await say(printer, `${'y'.repeat(1998)}\r\n${long}`), /^554 5\.6\.0 Message refused: line too long/);
  assert.equal((await running.logged('session ended')).key, 'upstreams.relay.text_line');
  const heard = relay.connections[0]?.server.received.toString('latin1') ?? '';
  assert.match(heard, /DATA\r\n/);
  assert.doesNotMatch(heard, /x{1999}\r\n|victim/);
});

it('what a server makes us refuse is told with the name of that upstream', async (t) => {
  const { running, from } = await started(t, 1, { dot_lines: 'strict' });
  const printer = (await from(PRINTER)) as SmtpClient;
  await say(printer, 'MAIL FROM:<scanner@local.example>');
  await say(printer, 'RCPT TO:<x@foreign.example>');
  await say(printer, 'DATA');
  assert.match(await say(printer, 'one line\r\n.QUIT'), /^554 5\.6\.0 /);
  const line = await running.logged(
    'message refused: these octets of its mail data end a message for a server that ends on any line beginning with a dot (dot_lines: strict)',
  );
  assert.equal(line.key, 'upstreams.relay.dot_lines');
});
