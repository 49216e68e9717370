// HAProxy in front: the PROXY header tells who the client is, and nothing but the header does. The connector is chosen by
// the address in it, the log has it, and who is not the balancer gets nowhere.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../helpers/free-port.ts';
import type { Bed } from './beds/bed.ts';
import { type Balancer, missingHaproxy, startHaproxy, startShipped } from './beds/haproxy.ts';
import { Client } from './client.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { Sink } from './sink.ts';

const OFFICE = '127.0.0.21';

suite('behind HAProxy', { skip: missingHaproxy }, () => {
  let sink: Sink;
  let postern: ConfiguredPostern;
  const balancers: Balancer[] = [];

  before(async () => {
    sink = await Sink.start();
    postern = await startConfigured({
      listeners: [{ proxy_protocol: { from: ['127.0.0.1/32'] } }],
      upstream: { servers: [`127.0.0.1:${sink.port}`] },
      policy: {
        connectors: [
          { name: 'internet', remote_ip_ranges: ['any'] },
          { name: 'office', remote_ip_ranges: [`${OFFICE}/32`], rules: [{ name: 'all', allow: {} }] },
        ],
      },
    });
  });
  after(async () => {
    for (const balancer of balancers) await balancer.stop();
    await postern?.stop();
    await sink?.stop();
  });

  for (const send of ['send-proxy', 'send-proxy-v2'] as const) {
    test(`${send}: the connector is the one of the true address`, async () => {
      const { port } = await balance(send);
      for (const [address, connector, code] of [
        [OFFICE, 'office', '250'],
        ['127.0.0.22', 'internet', '554'],
      ] as const) {
        const client = new Client(port, address);
        await client.reply();
        await client.say('EHLO client.example');
        await client.say('MAIL FROM:<alice@local.example>');
        assert.equal((await client.say('RCPT TO:<bob@foreign.example>')).slice(0, 3), code);
        await client.say('QUIT');
        client.close();
        await postern.logged('session ended', { client_address: address, connector });
      }
    });

    test(`${send}: HAProxy's own check, which names no client, finds Postern well`, async () => {
      const balancer = await balance(send);
      assert.equal(await balancer.checked(), 'L7OK');
      const client = new Client(balancer.port, OFFICE);
      assert.match(await client.reply(), /^220/);
      client.close();
      assert.match(await postern.ask('/readyz'), /"upstream":true/);
    });
  }

  async function balance(send: 'send-proxy' | 'send-proxy-v2'): Promise<Balancer> {
    const balancer = await startHaproxy(await freePort(), postern.port, { sends: [send], inter: '1s' });
    balancers.push(balancer);
    return balancer;
  }

  test('three backends of every kind that check as fast as they can are never banned, nor taken for clients', async () => {
    const guarded = await startConfigured({
      listeners: [{ proxy_protocol: { from: ['127.0.0.1/32'] } }],
      upstream: { servers: [`127.0.0.1:${sink.port}`] },
      others: {
        limits: { source: { connection_rate: '3/1m', connections: 2 }, ban: { after: '5/10m', for: '10m' } },
      },
      policy: { connectors: [{ name: 'internet', remote_ip_ranges: ['any'] }] },
    });
    try {
      const sends = [
        'send-proxy',
        'send-proxy-v2',
        'send-proxy-v2-ssl',
        'send-proxy-v2-ssl-cn',
        'send-proxy check-send-proxy',
        `send-proxy-v2 check-send-proxy port ${guarded.port}`,
      ];
      const balancer = await startHaproxy(await freePort(), guarded.port, { sends, inter: '20ms' });
      balancers.push(balancer);
      const sessions = async (): Promise<number> =>
        Number(
          /^postern_sessions_total\{connector="internet",outcome="client"\} (\d+)$/m.exec(
            await guarded.ask('/metrics'),
          )?.[1] ?? 0,
        );
      while ((await sessions()) < 120) await delay(50);
      assert.deepEqual(
        await balancer.statuses(),
        sends.map(() => 'L7OK'),
      );
      const metrics = await guarded.ask('/metrics');
      assert.match(metrics, /^postern_bans 0$/m);
      assert.match(metrics, /^postern_lost_client_addresses 0$/m);
      const client = new Client(balancer.port, OFFICE);
      assert.match(await client.reply(), /^220/);
      client.close();
    } finally {
      await guarded.stop();
    }
  });

  test('a balancer that sends no header is closed without a word', async () => {
    const client = new Client(postern.port);
    client.write('EHLO client.example\r\n');
    assert.equal(await client.reply(), '');
    client.close();
  });

  test('who is no balancer is closed, header or not', async () => {
    const socket = connect({ port: postern.port, host: '127.0.0.1', localAddress: '127.0.0.9' });
    let heard = '';
    socket.on('data', (chunk) => (heard += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.write(`PROXY TCP4 ${OFFICE} 127.0.0.1 1234 25\r\nEHLO client.example\r\n`);
    await new Promise((closed) => socket.on('close', closed));
    assert.equal(heard, '');
  });
});

suite('behind deploy/haproxy/haproxy.cfg', { skip: missingHaproxy }, () => {
  let sink: Sink;
  let haproxy: Bed;
  const nodes: ConfiguredPostern[] = [];

  before(async () => {
    sink = await Sink.start();
    for (let node = 0; node < 2; node++)
      nodes.push(
        await startConfigured({
          listeners: [{ proxy_protocol: { from: ['127.0.0.1/32'] } }],
          upstream: { servers: [`127.0.0.1:${sink.port}`] },
        }),
      );
    haproxy = await startShipped(await freePort(), nodes);
  });
  after(async () => {
    await haproxy?.stop();
    for (const node of nodes) await node.stop();
    await sink?.stop();
  });

  async function served(): Promise<void> {
    const client = new Client(haproxy.port, OFFICE);
    try {
      assert.match(await client.reply(), /^220/);
      assert.match(await client.say('EHLO client.example'), /^250/);
      assert.match(await client.say('QUIT'), /^221/);
    } finally {
      client.close();
    }
  }

  test('no client is lost while one Postern is stopped', async () => {
    for (let client = 0; client < 4; client++) await served();
    for (const node of nodes) await node.logged('session ended', { client_address: OFFICE });
    // Well before three checks, two seconds apart, have missed it: least of all has the one that is gone.
    await nodes[0]?.stop();
    for (let client = 0; client < 20; client++) await served();
    assert.doesNotMatch(haproxy.log(), /Server postern\/one is DOWN/);
  });
});
