// Certificates under a running firewall: SIGHUP and watch read them anew, and a faulty pair changes nothing.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { makePair, type Pair } from '../helpers/certificates.ts';
import { type RunningPostern, startPostern } from '../helpers/postern.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { Peer } from '../proxy/peer.ts';

const old = makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com' });
const renewed = makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com' });

interface Running {
  readonly postern: RunningPostern;
  install(cert: Pair, key?: Pair): void;
  /** SIGHUP, or nothing where the files are watched, until the log has this. */
  reload(message: string): Promise<Record<string, unknown>>;
  enter(options?: ConnectionOptions): Promise<{ client: Peer; tls: TLSSocket }>;
}

async function start(t: TestContext, more: Record<string, unknown> = {}): Promise<Running> {
  const upstream = await UpstreamStandIn.listen({ dialect: 'lf' });
  const folder = mkdtempSync(join(tmpdir(), 'postern-renewal-'));
  const cert = join(folder, 'mx.pem');
  const key = join(folder, 'mx.key');
  const install = (pair: Pair, other = pair): void => {
    writeFileSync(cert, pair.cert);
    writeFileSync(key, other.key);
  };
  install(old);
  const postern = await startPostern({
    listeners: [{ bind: ['127.0.0.1:0'], certificates: [{ cert, key }], implicit_tls: true }],
    upstream: { servers: [`127.0.0.1:${upstream.port}`] },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
    },
    lost_address_guard: 'warn',
    ...more,
  });
  const clients: Peer[] = [];
  t.after(async () => {
    for (const { socket } of clients) socket.destroy();
    await postern.close();
    await upstream.close();
    rmSync(folder, { recursive: true });
  });
  let read = 0;
  return {
    postern,
    install,
    reload: async (message) => {
      if (more.watch !== true) process.kill(postern.pid, 'SIGHUP');
      for (;;) {
        const lines = postern.logs.slice(read).map((line) => JSON.parse(line));
        const found = lines.findIndex(({ msg }) => msg === message);
        if (found >= 0) {
          read += found + 1;
          return lines[found];
        }
        await sleep(10);
      }
    },
    enter: async (options = {}) => {
      const client = await Peer.connect(postern.port);
      clients.push(client);
      const tls = await client.shakeHands(options);
      await client.hears('\r\n');
      return { client, tls };
    },
  };
}

function isShown(tls: TLSSocket, { cert }: Pair): boolean {
  return tls.getPeerX509Certificate()?.fingerprint256 === new X509Certificate(cert).fingerprint256;
}

test('SIGHUP: new sessions are shown the new certificate, live ones go on, and tickets stay good', async (t) => {
  const running = await start(t);
  const before = await running.enter();
  before.client.say('HELO before.example\r\n');
  await before.client.hears('\r\n');
  assert.ok(isShown(before.tls, old));
  running.install(renewed);
  await running.reload('reloaded');
  const after = await running.enter();
  assert.ok(isShown(after.tls, renewed));
  const resumed = await running.enter({ session: before.tls.getSession() });
  assert.ok(resumed.tls.isSessionReused());
  before.client.say('NOOP\r\n');
  assert.match(await before.client.hears('\r\n'), /^250 /);
});

test('a pair that does not belong together refuses the reload whole, with its place, and the old one stays', async (t) => {
  const running = await start(t);
  running.install(renewed, old);
  const { findings } = (await running.reload('reload refused, the old config stays')) as { findings: string[] };
  assert.equal(findings.length, 1);
  assert.match(
    findings[0] ?? '',
    /postern\.yaml:1:\d+: error: listeners\[0\]\.certificates\[0\]\.key: .*mx\.key is not the key of .*mx\.pem/,
  );
  assert.ok(isShown((await running.enter()).tls, old));
  running.install(renewed);
  await running.reload('reloaded');
  assert.ok(isShown((await running.enter()).tls, renewed));
});

test('with watch, a renewed pair is in force without a signal', async (t) => {
  const running = await start(t, { watch: true });
  running.install(renewed);
  await running.reload('reloaded');
  assert.ok(isShown((await running.enter()).tls, renewed));
});
