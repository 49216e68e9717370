// Many clients and servers that do what they like and go when they like; when all are gone nothing of them may be left: no
// place is taken, no connection counted, no defect caught. POSTERN_CHAOS_SEED plays one run again.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { serverPair } from '../helpers/certificates.ts';
import { numbers } from '../helpers/numbers.ts';
import { openFirewall } from '../helpers/postern.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { GREETING, quit } from './front.ts';
import { Peer, settled } from './peer.ts';

const CLIENTS = 240;
const AT_ONCE = 24;
const PLACES = 8;

const BACKENDS = [
  {},
  {},
  { close_in: 'DATA' },
  { close_in: 'EOD' },
  { rst_after: 'MAIL' },
  { rst_after: 'EHLO' },
  { greeting: '421 4.3.2 busy\r\n' },
  { greeting: '554 no\r\n' },
  { split_replies: 'every-byte' },
  { delay_ms: { RCPT: 30, EHLO: 10 } },
  { data_early: '554 5.3.4 no' },
  { strict_no_pipelining: true },
  { reply: { NOOP: '500 5.5.1 no' } },
  { raw_reply: { RCPT: '250 2.0.0 ok\r\n250 2.0.0 again\r\n' } },
] as const;

const LINES = [
  'EHLO client.example',
  'EHLO client.example',
  'HELO client',
  'MAIL FROM:<s@sender.example>',
  'RCPT TO:<user@local.example>',
  'RCPT TO:<x@foreign.example>',
  'DATA',
  'text\r\n.',
  '.',
  'BDAT 4 LAST\r\ntext',
  'RSET',
  'NOOP',
  'NOOP\r\nSTARTTLS',
  'STARTTLS',
  'AUTH LOGIN',
  'YWxpY2U=',
  '*',
  'FROB',
  'QUIT',
];

/** One client, from its connection to its end. `implicit`: TLS comes first, if it comes. */
async function misbehave(client: Peer, below: (bound: number) => number, implicit: boolean): Promise<void> {
  const over = new Promise<void>((resolve) => client.socket.once('close', () => resolve()));
  client.socket.on('error', () => {});
  if (implicit && below(3) > 0) await Promise.race([client.shakeHands().catch(() => {}), over, delay(50)]);
  for (let said = below(14); said > 0 && !client.socket.destroyed; said--) {
    if (below(12) === 0) client.say('\x16\x03\x01\x00\xa5\x01');
    else client.say(`${LINES[below(LINES.length)]}\r\n`);
    if (below(3) > 0) await settled();
    if (below(6) === 0 && client.heard.includes('220 2.0.0 Ready')) {
      await Promise.race([client.shakeHands().catch(() => {}), over, delay(50)]);
    }
  }
  const way = below(4);
  if (way === 0) client.finish();
  else if (way === 1 && !(client.socket instanceof TLSSocket)) client.reset();
  else await delay(below(40));
  client.socket.destroy();
  await over;
}

const WAYS = {
  'with STARTTLS': {},
  'with TLS from the start, and an upstream that hangs in its own': {
    listener: { implicit_tls: true },
    tls: { mode: 'opportunistic' },
  },
} as const;

for (const [way, settings] of Object.entries(WAYS)) {
  test(`whatever clients and servers do, every place is given back, ${way}`, (t) => play(t, settings));
}

interface Settings {
  readonly listener?: { readonly implicit_tls: true };
  readonly tls?: object;
}

async function play(t: TestContext, { listener, tls }: Settings): Promise<void> {
  const implicit = listener !== undefined;
  const seed = Number(process.env.POSTERN_CHAOS_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`POSTERN_CHAOS_SEED=${seed}`);
  const below = numbers(seed);
  const upstream = await UpstreamStandIn.listen({ dialect: 'lf' });
  t.after(() => upstream.close());
  const { certFile: cert, keyFile: key } = serverPair();
  const firewall = await openFirewall({
    listeners: [{ bind: ['127.0.0.1:0'], certificates: [{ cert, key }], ...listener }],
    upstream: {
      servers: [`127.0.0.1:${upstream.port}`],
      max_connections: PLACES,
      max_wait: '50ms',
      ...(tls === undefined ? {} : { tls }),
    },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [{ name: 'internet', remote_ip_ranges: ['any'], starttls: 'terminate' }],
    },
    limits: { connector: { connections: PLACES + 4 }, source: { connections: PLACES + 2 }, tarpit: '15ms' },
    timeouts: { tls_handshake: '100ms', upstream_connect: '100ms' },
    admin: null,
    lost_address_guard: 'warn',
  });
  t.after(() => firewall.close());
  let left = CLIENTS;
  const next = async (): Promise<void> => {
    while (left-- > 0) {
      if (below(8) === 0) upstream.expect({ dialect: 'lf', backend: BACKENDS[below(BACKENDS.length)] ?? {} });
      await misbehave(await Peer.connect(firewall.port), below, implicit);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));

  upstream.expect({ dialect: 'lf' });
  const clients: Peer[] = [];
  t.after(() => {
    for (const { socket } of clients) socket.destroy();
  });
  // A server that was down is up again behind its back-off; sessions that were lost have ended by then.
  const greeted = async (): Promise<Peer> => {
    for (let tries = 0; tries < 50; tries++) {
      const client = await Peer.connect(firewall.port);
      client.socket.on('error', () => {});
      if (implicit) await client.shakeHands().catch(() => client.socket.destroy());
      if (client.socket.destroyed) continue;
      if ((await client.hears('\r\n').catch(() => '')) === GREETING) return client;
      client.socket.destroy();
      await delay(100);
    }
    return assert.fail(`only ${clients.length} of ${PLACES} slots are there`);
  };
  for (let i = 0; i < PLACES; i++) clients.push(await greeted());
  for (const client of clients) await quit(client);
  const outcomes = new Set(firewall.logs.map((line) => JSON.parse(line).what));
  assert.ok(outcomes.size > 6, `${[...outcomes]}`);
}
