// Those who are slow on purpose, two hundred of each kind: a TLS handshake, a PROXY header, a command, mail data and an HTTP request
// that come an octet a second or stop. Each must be ended by its time, and others be served beside them at once.

import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { serverPair } from '../helpers/certificates.ts';
import { Bed, expect, MailServer } from './bed.ts';
import { deliver } from './messenger.ts';

const SCENE = 'loris';
const EACH = 200;
const SERVED_WITHIN = 3_000; // ms; the machine may be busy

interface Kind {
  readonly listener: 'smtp' | 'proxy' | 'tls' | 'admin';
  /** Said at once, and then octet by octet. */
  readonly first: string;
  readonly rest: string;
  /** All must have been ended by then, in ms. */
  readonly within: number;
}

const KINDS: Readonly<Record<string, Kind>> = {
  'TLS handshakes': {
    listener: 'tls',
    first: '\x16\x03\x01\x02\x00',
    rest: '\x01\x00\x01\xfc\x03\x03'.repeat(20),
    within: 6_000,
  },
  'PROXY headers': { listener: 'proxy', first: 'PROXY TCP4 192.0.2.1', rest: ' 203.0.113.5 40000 25', within: 6_000 },
  commands: {
    listener: 'smtp',
    first: 'EHLO loris.example\r\nMAIL ',
    rest: 'FROM:<loris@sender.example>',
    within: 10_000,
  },
  'mail data': {
    listener: 'smtp',
    first: 'EHLO loris.example\r\nMAIL FROM:<loris@sender.example>\r\nRCPT TO:<user@local.example>\r\nDATA\r\n',
    rest: 'x'.repeat(100),
    within: 12_000,
  },
  'nothing at all': { listener: 'smtp', first: '', rest: '', within: 8_000 },
  'HTTP requests': {
    listener: 'admin',
    first: 'GET /metrics HT',
    rest: 'TP/1.1\r\nHost: 127.0.0.1'.repeat(4),
    within: 30_000,
  },
};

export async function loris(): Promise<object> {
  const server = await MailServer.start();
  const { certFile: cert, keyFile: key } = serverPair();
  const bed = await Bed.start({
    config: {
      listeners: [
        { bind: ['127.0.0.1:0'] },
        { bind: ['127.0.0.1:0'], proxy_protocol: { from: ['127.0.0.0/8'] } },
        { bind: ['127.0.0.1:0'], certificates: [{ cert, key }], implicit_tls: true },
      ],
      upstream: { servers: [`127.0.0.1:${server.port}`] },
      lost_address_guard: 'warn',
      timeouts: {
        client_idle: '4s',
        command: '4s',
        data_idle: '4s',
        proxy_header: '2s',
        tls_handshake: '2s',
        min_data_rate: 100,
      },
      policy: {
        version: 1,
        accepted_domains: ['local.example'],
        connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
      },
    },
  });
  bed.scene = SCENE;
  const [smtp = 0, proxy = 0, tls = 0] = [...bed.stderr.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) =>
    Number(port),
  );
  const ports = { smtp, proxy, tls, admin: bed.adminPort };
  await bed.quiet(1_000);
  const before = bed.sample();
  const told: Record<string, object> = {};
  for (const [name, { listener, first, rest, within }] of Object.entries(KINDS)) {
    const began = performance.now();
    const open = new Set<Socket>();
    for (let at = 0; at < EACH; at++) {
      const socket = connect({ port: ports[listener], host: '127.0.0.1', localAddress: `127.40.0.${at + 1}` });
      open.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => open.delete(socket));
      socket.resume();
      socket.write(first, 'latin1');
      void (async () => {
        for (const octet of rest) {
          await delay(1_000);
          if (socket.destroyed) return;
          socket.write(octet, 'latin1');
        }
      })();
    }
    await delay(500);
    const served = await deliver(ports.smtp);
    const health = await bed.ask('/healthz').then(
      ({ status }) => status,
      () => 0,
    );
    while (open.size > 0 && performance.now() - began < within) await delay(50);
    const seconds = Math.round((performance.now() - began) / 100) / 10;
    const left = open.size;
    for (const socket of open) socket.destroy();
    expect(SCENE, `${EACH} × ${name}: all are ended in ${seconds} s (${left} were not)`, left === 0);
    expect(
      SCENE,
      `${name}: a client beside them is served in ${served.ms} ms (${served.said})`,
      served.said === '250' && served.ms < SERVED_WITHIN,
    );
    expect(SCENE, `${name}: /healthz answers ${health}`, health === 200);
    told[name] = { seconds, servedMs: served.ms };
  }
  const left = await bed.quiet(10_000);
  await delay(6_000);
  const after = bed.sample();
  expect(SCENE, `no session is left (${left})`, left === 0);
  expect(
    SCENE,
    `descriptors are as they were (${before.descriptors}, ${after.descriptors})`,
    after.descriptors <= before.descriptors + 3,
  );
  expect(SCENE, 'no defect', (await bed.metrics()).get('postern_defects_total') === 0);
  const code = await bed.stop();
  expect(SCENE, `it exits with 0 (${code})`, code === 0);
  server.stop();
  return { loris: told };
}
