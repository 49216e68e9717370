// Crowds that come and say nothing, or an octet now and then, at each stage of the door: each of them ends by the deadline of that
// stage, and an honest client is served in their midst. The product is a process of its own; bench/README.md has the figures.

import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { serverPair } from '../helpers/certificates.ts';
import { type RunningPostern, startPostern } from '../helpers/postern.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { parseSamples } from '../observe/watched.ts';
import { Peer } from './peer.ts';

const SILENT = 2_000;
const SLOW = 300;
const OF_ONE_SOURCE = 50;
const DRIP_MS = 150;
const HEADER = 'PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\n';

interface Setting {
  readonly postern: RunningPostern;
  readonly upstream: UpstreamStandIn;
  samples(): Promise<Map<string, number>>;
}

async function started(t: TestContext, listener: object, timeouts: object): Promise<Setting> {
  const upstream = await UpstreamStandIn.listen({ dialect: 'strict' });
  const { certFile, keyFile } = serverPair();
  const postern = await startPostern({
    listeners: [{ bind: ['127.0.0.1:0'], certificates: [{ cert: certFile, key: keyFile }], ...listener }],
    upstream: { servers: [`127.0.0.1:${upstream.port}`] },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [{ name: 'internet', remote_ip_ranges: ['any'] }],
    },
    lost_address_guard: 'warn',
    timeouts,
  });
  t.after(async () => {
    await postern.close();
    await upstream.close();
  });
  const samples = async () => parseSamples(await (await fetch(`http://127.0.0.1:${postern.adminPort}/metrics`)).text());
  return { postern, upstream, samples };
}

/** So many connections of many sources, all of them there. */
async function crowd(t: TestContext, port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  while (sockets.length < count) {
    const some = Array.from({ length: 100 }, (_, i) => {
      const source = 2 + Math.floor((sockets.length + i) / OF_ONE_SOURCE);
      return connect({ port, host: '127.0.0.1', localAddress: `127.9.${source >> 8}.${source & 255}` });
    });
    sockets.push(...some);
    for (const socket of some) socket.on('error', () => {});
    await Promise.all(some.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  }
  for (const socket of sockets) socket.resume();
  return sockets;
}

/** Half of them say these octets, one at a time, until they are gone. */
function dripping(t: TestContext, sockets: readonly Socket[], octets: Buffer): void {
  let said = 0;
  const timer = setInterval(() => {
    if (said === octets.length) return;
    for (const [at, socket] of sockets.entries())
      if (at % 2 === 0 && socket.writable) socket.write(octets.subarray(said, said + 1));
    said++;
  }, DRIP_MS);
  t.after(() => clearInterval(timer));
}

/** Whether by FIN or by a reset: who is cut off with octets unread hears that. */
const ended = (sockets: readonly Socket[]): Promise<unknown> =>
  Promise.all(
    sockets.map((socket) => socket.closed || new Promise<void>((resolve) => socket.once('close', () => resolve()))),
  );

async function delivers(client: Peer): Promise<void> {
  assert.match(await client.reply(), /^220 /);
  for (const line of [
    'EHLO c.example',
    'MAIL FROM:<a@b.example>',
    'RCPT TO:<x@local.example>',
    'DATA',
    'hello\r\n.',
    'QUIT',
  ]) {
    client.say(`${line}\r\n`);
    assert.match(await client.reply(), /^[23]/);
  }
  client.finish();
}

test(`${SILENT} clients that say nothing end by client_idle`, async (t) => {
  const { postern } = await started(t, {}, { client_idle: '6s' });
  const silent = await crowd(t, postern.port, SILENT);
  await delivers(await Peer.connect(postern.port));
  assert.ok(silent.some(({ destroyed }) => !destroyed)); // in their midst
  await ended(silent);
  await delivers(await Peer.connect(postern.port));
  assert.equal(await postern.stop(), 0);
  const keys = postern.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'session ended');
  assert.equal(keys.filter(({ key }) => key === 'timeouts.client_idle').length, SILENT);
});

test(`${SLOW} slow TLS handshakes end by tls_handshake, and no server hears of them`, async (t) => {
  const { postern, upstream, samples } = await started(t, { implicit_tls: true }, { tls_handshake: '4s' });
  const slow = await crowd(t, postern.port, SLOW);
  dripping(t, slow, Buffer.from('1603010200010001fc0303', 'hex'));
  const honest = await Peer.connect(postern.port);
  await honest.shakeHands();
  await delivers(honest);
  assert.ok(slow.some(({ destroyed }) => !destroyed)); // in their midst
  await ended(slow);
  assert.equal((await samples()).get('postern_tls_handshakes_total{result="timeout"}'), SLOW);
  assert.equal((await samples()).get('postern_sessions'), 0);
  assert.equal(upstream.connections.length, 1);
});

test(`${SLOW} slow PROXY headers end by proxy_header, and no server hears of them`, async (t) => {
  const listener = { proxy_protocol: { from: ['127.0.0.0/8'] } };
  const { postern, upstream, samples } = await started(t, listener, { proxy_header: '6s' });
  const slow = await crowd(t, postern.port, SLOW);
  dripping(t, slow, Buffer.from(HEADER.slice(0, -2)));
  const honest = await Peer.connect(postern.port);
  honest.say(HEADER);
  await delivers(honest);
  assert.ok(slow.some(({ destroyed }) => !destroyed)); // in their midst
  await ended(slow);
  assert.equal((await samples()).get('postern_proxy_headers_total{result="late"}'), SLOW);
  assert.equal((await samples()).get('postern_sessions'), 0);
  assert.equal(upstream.connections.length, 1);
});
