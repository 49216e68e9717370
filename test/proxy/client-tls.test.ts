// TLS towards clients, with the whole firewall in this process: STARTTLS and TLS from the start, certificates by name,
// what is refused, what is bounded, and what the log says of it.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, DEFAULT_CIPHERS, type TLSSocket } from 'node:tls';
import { makePair, type Pair, serverPair } from '../helpers/certificates.ts';
import { GREETING, greeted, type Open, open, quit, type Wanted } from './front.ts';
import { type Peer, settled } from './peer.ts';

const files = ({ certFile, keyFile }: Pair) => ({ cert: certFile, key: keyFile });
const TERMINATING = { name: 'internet', remote_ip_ranges: ['any'], starttls: 'terminate' };

/** A firewall with a certificate. */
function opened(t: TestContext, { listener, connectors = [TERMINATING], ...rest }: Wanted = {}): Promise<Open> {
  return open(t, { listener: { certificates: [files(serverPair())], ...listener }, connectors, ...rest });
}

/** A firewall at which TLS comes before all else. */
function implicit(t: TestContext, { listener, ...rest }: Wanted = {}): Promise<Open> {
  return opened(t, { listener: { implicit_tls: true, ...listener }, ...rest });
}

async function say(client: Peer, line: string): Promise<string> {
  client.say(`${line}\r\n`);
  return client.reply();
}

/** Behind EHLO, STARTTLS and its 220, in clear text. */
async function promised(firewall: Open): Promise<Peer> {
  const client = await greeted(firewall);
  assert.match(await say(client, 'EHLO client.example'), /STARTTLS\r\n/);
  assert.equal(await say(client, 'STARTTLS'), '220 2.0.0 Ready to start TLS\r\n');
  return client;
}

async function secured(firewall: Open, options: ConnectionOptions = {}): Promise<{ client: Peer; tls: TLSSocket }> {
  const client = await promised(firewall);
  return { client, tls: await client.shakeHands(options) };
}

/** The socket, but that the first octets written to it come behind others, in one segment. */
function startingWith(text: string, socket: Socket): Duplex {
  let before = Buffer.from(text, 'latin1');
  const duplex = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _, done) => {
      socket.write(Buffer.concat([before, chunk]), done);
      before = Buffer.alloc(0);
    },
    final: (done) => void socket.end(done),
  });
  socket.on('data', (chunk) => duplex.push(chunk));
  socket.on('end', () => duplex.push(null));
  return duplex;
}

/** The summary lines, when there are so many. */
async function summaries({ logged }: Open, count = 1): Promise<Record<string, unknown>[]> {
  while (logged('session ended').length < count) await settled();
  return logged('session ended');
}

test('a message goes through STARTTLS byte for byte, and the summary tells protocol and cipher', async (t) => {
  const firewall = await opened(t);
  const { client, tls } = await secured(firewall);
  assert.equal(tls.alpnProtocol, false);
  assert.doesNotMatch(await say(client, 'EHLO client.example'), /STARTTLS/);
  await say(client, 'MAIL FROM:<a@sender.example>');
  await say(client, 'RCPT TO:<user@local.example>');
  await say(client, 'DATA');
  assert.match(await say(client, 'Subject: x\r\n\r\n..dot \xff\x00\r\n.'), /^250 /);
  await quit(client);
  const [message] = firewall.upstream.connections[0]?.server.messages ?? [];
  assert.equal(message?.data, 'Subject: x\r\n\r\n.dot \xff\x00\r\n');
  const [summary] = await summaries(firewall);
  assert.equal(summary?.encryption_protocol, 'TLSv1.3');
  assert.equal(summary?.encryption_cipher, 'TLS_AES_256_GCM_SHA384');
  assert.equal(summary?.ccert_subject, undefined);
  assert.equal(summary?.messages, 1);
  assert.deepEqual(firewall.upstream.connections[0]?.server.commands.slice(0, 3), [
    'EHLO client.example',
    'EHLO client.example',
    'MAIL FROM:<a@sender.example>',
  ]);
});

test('a large message goes through TLS whole although the upstream reads late', async (t) => {
  const firewall = await opened(t);
  const { client } = await secured(firewall);
  for (const line of ['EHLO c.example', 'MAIL FROM:<>', 'RCPT TO:<user@local.example>', 'DATA'])
    await say(client, line);
  const line = `${'x'.repeat(70)}\r\n`;
  const body = line.repeat(200_000);
  client.say(body);
  assert.match(await say(client, '.'), /^250 /);
  const [message] = firewall.upstream.connections[0]?.server.messages ?? [];
  const digest = (text = ''): string => createHash('sha256').update(text, 'latin1').digest('hex');
  assert.equal(digest(message?.data), digest(body));
  await quit(client);
});

test('TLS comes before all else on a listener that says so, and the upstream is dialled behind the handshake', async (t) => {
  const firewall = await implicit(t);
  const client = await firewall.client();
  await settled();
  assert.equal(firewall.upstream.connections.length, 0);
  await client.shakeHands();
  assert.equal(await client.hears('\r\n'), GREETING);
  assert.equal(firewall.upstream.connections.length, 1);
  assert.doesNotMatch(await say(client, 'EHLO client.example'), /STARTTLS/);
  assert.match(await say(client, 'STARTTLS'), /^503 5\.5\.1 TLS is already active/);
  await quit(client);
});

test('a PROXY header stands before the handshake, in one segment with it too', async (t) => {
  const firewall = await implicit(t, { listener: { proxy_protocol: { from: ['127.0.0.1/32'] } } });
  const client = await firewall.client();
  const header = 'PROXY TCP4 203.0.113.9 192.0.2.25 40000 465\r\n';
  await client.shakeHands({ socket: startingWith(header, client.socket) });
  assert.equal(await client.hears('\r\n'), GREETING);
  await quit(client);
  const [summary] = await summaries(firewall);
  assert.equal(summary?.client_address, '203.0.113.9');
  assert.equal(summary?.encryption_protocol, 'TLSv1.3');
});

test('who is refused at connection time of such a listener is closed without a word', async (t) => {
  const firewall = await implicit(t, { connectors: [{ name: 'others', remote_ip_ranges: ['192.0.2.0/24'] }] });
  const client = await firewall.client();
  assert.equal(await client.rest(), '');
  assert.equal(firewall.logged('connection refused').length, 1);
});

test('the certificate is chosen by the name that the client asks for, exact before star, the first for all others', async (t) => {
  const star = makePair({ subject: '/CN=star', names: 'DNS:*.example.com', key: 'rsa' });
  const org = makePair({ subject: '/CN=mx.example.org', names: 'DNS:MX.example.org' });
  const certificates = [star, serverPair(), org].map(files);
  const firewall = await opened(t, { listener: { certificates } });
  for (const [servername, pair] of [
    ['mx.example.com', serverPair()],
    ['MX.EXAMPLE.COM', serverPair()],
    ['a.example.com', star],
    ['mx.example.org', org],
    ['a.b.example.com', star],
    ['nobody.example', star],
    [undefined, star],
  ] as const) {
    const { client, tls } = await secured(firewall, servername === undefined ? {} : { servername });
    const shown = tls.getPeerX509Certificate()?.fingerprint256;
    assert.equal(shown, new X509Certificate(pair.cert).fingerprint256, String(servername));
    client.socket.destroy();
  }
});

const OLD = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=0` } as const;

test('TLS 1.1 is refused by default, and the log says why', async (t) => {
  const firewall = await opened(t);
  await assert.rejects(secured(firewall, OLD));
  const [summary] = await summaries(firewall);
  assert.deepEqual([summary?.origin, summary?.what], ['client', 'TLS handshake failed']);
  assert.equal(summary?.cause, 'the client speaks only what tls_min_version forbids (unsupported protocol)');
});

for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const) {
  test(`${maxVersion} is spoken where tls_min_version allows it`, async (t) => {
    const certificates = [files(makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com', key: 'rsa' }))];
    const firewall = await opened(t, { listener: { certificates, tls_min_version: 'TLSv1' } });
    const { client, tls } = await secured(firewall, { ...OLD, maxVersion });
    assert.equal(tls.getProtocol(), maxVersion);
    assert.match(await say(client, 'EHLO client.example'), /^250-/);
    await quit(client);
  });
}

test('a client that wants to renegotiate is not followed, and the firewall serves on', async (t) => {
  const firewall = await opened(t);
  const { client, tls } = await secured(firewall, { maxVersion: 'TLSv1.2' });
  await say(client, 'EHLO client.example');
  tls.renegotiate({ rejectUnauthorized: false }, () => {});
  await client.rest();
  await quit((await secured(firewall)).client);
});

test('a ticket that was given to a client is good for its next session', async (t) => {
  const firewall = await opened(t);
  const { client, tls } = await secured(firewall);
  await say(client, 'EHLO client.example');
  const session = tls.getSession();
  await quit(client);
  const again = await secured(firewall, { session });
  assert.ok(again.tls.isSessionReused());
  await quit(again.client);
});

test('nothing that is said in clear text behind STARTTLS is heard, in one segment or behind the 220', async (t) => {
  const firewall = await opened(t);
  const injected = 'RSET\r\nMAIL FROM:<evil@sender.example>\r\n';
  const first = await greeted(firewall);
  await say(first, 'EHLO client.example');
  first.say(`STARTTLS\r\n${injected}`);
  assert.equal(await first.rest(), '220 2.0.0 Ready to start TLS\r\n');
  const second = await promised(firewall);
  second.say(injected);
  await second.rest();
  const [one, two] = await summaries(firewall, 2);
  assert.deepEqual([one?.origin, one?.what], ['policy', 'octets in clear text behind STARTTLS']);
  assert.deepEqual([two?.origin, two?.what], ['client', 'TLS handshake failed']);
  for (const { server } of firewall.upstream.connections) assert.deepEqual(server.commands, ['EHLO client.example']);
});

test('nor what waits in the socket, because the client was held, when STARTTLS has its turn', async (t) => {
  const firewall = await opened(t);
  firewall.upstream.expect({ dialect: 'lf', backend: { strict_no_pipelining: true, delay_ms: { NOOP: 100 } } });
  const client = await greeted(firewall);
  await say(client, 'EHLO client.example');
  // The second NOOP makes the driver pause; what comes behind it waits in the socket, cut as it came.
  for (const words of ['NOOP\r\n', 'NOOP\r\n', 'STARTTLS\r\n', 'RSET\r\n']) {
    client.say(words);
    await settled();
  }
  assert.equal((await client.rest()).match(/^220 2\.0\.0 Ready/gm)?.length, 1);
  const [summary] = await summaries(firewall);
  assert.equal(summary?.what, 'octets in clear text behind STARTTLS');
  assert.deepEqual(firewall.upstream.connections[0]?.server.commands, ['EHLO client.example', 'NOOP', 'NOOP']);
});

for (const [how, go] of [
  ['FIN', (client: Peer) => client.finish()],
  ['a reset', (client: Peer) => client.reset()],
  [
    'half a hello and FIN',
    (client: Peer) => {
      client.say('\x16\x03\x01\x00\xa5\x01');
      client.finish();
    },
  ],
] as const) {
  test(`a client that goes in mid-handshake (${how}) ends its session, behind STARTTLS and before all else`, async (t) => {
    const firewall = await opened(t);
    go(await promised(firewall));
    const [summary] = await summaries(firewall);
    assert.equal(summary?.origin, 'client');
    assert.ok(await firewall.upstream.ended());

    const early = await implicit(t);
    const client = await early.client();
    await settled();
    go(client);
    while (early.logged('TLS handshake failed').length === 0) await settled();
    assert.equal(early.upstream.connections.length, 0);
  });
}

test('a handshake that takes too long ends the session, however busily it goes on', async (t) => {
  const firewall = await opened(t, { rest: { timeouts: { tls_handshake: '150ms' } } });
  const client = await promised(firewall);
  client.say('\x16\x03\x01\x00\xa5');
  const drip = setInterval(() => client.say('\x01'), 20);
  t.after(() => clearInterval(drip));
  await client.rest();
  clearInterval(drip);
  const [summary] = await summaries(firewall);
  assert.deepEqual([summary?.what, summary?.cause], ['TLS handshake failed', 'the handshake took too long']);
  assert.ok(await firewall.upstream.ended());
});

test('half handshakes count as connections, never reach the upstream, and give their places back', async (t) => {
  const firewall = await implicit(t, {
    rest: { timeouts: { tls_handshake: '2s' }, limits: { source: { connections: 20 } } },
  });
  const clients = await Promise.all(Array.from({ length: 60 }, () => firewall.client()));
  for (const client of clients) client.say('\x16\x03\x01');
  await Promise.all(clients.map((client) => client.rest()));
  assert.equal(firewall.upstream.connections.length, 0);
  assert.equal(firewall.logged('connection refused').length, 40);
  assert.equal(firewall.logged('TLS handshake failed').length, 20);
  const client = await firewall.client();
  await client.shakeHands();
  assert.equal(await client.hears('\r\n'), GREETING);
  await quit(client);
});

test('half handshakes keep nobody from a place at the upstream', async (t) => {
  const firewall = await implicit(t, { upstream: { max_connections: 1, max_wait: '0s' } });
  const idle = await Promise.all(Array.from({ length: 5 }, () => firewall.client()));
  for (const client of idle) client.say('\x16\x03\x01');
  const first = await firewall.client();
  await first.shakeHands();
  assert.equal(await first.hears('\r\n'), GREETING);
  const second = await firewall.client();
  await second.shakeHands();
  assert.match(await second.rest(), /^421 4\.3\.2 /);
  await quit(first);
});

test('what is no handshake is closed, and the log has no octet of it', async (t) => {
  const firewall = await implicit(t);
  const client = await firewall.client();
  client.say('EHLO \x1b[31m\r\n');
  await client.rest();
  while (firewall.logged('TLS handshake failed').length === 0) await settled();
  const [line] = firewall.logged('TLS handshake failed');
  assert.equal(line?.why, 'the client does not speak TLS (wrong version number)');
  assert.equal(line?.connector, 'internet');
});

test('the last reply comes through TLS although the client goes on talking', async (t) => {
  const firewall = await opened(t, { rest: { limits: { session: { errors: 2 } } } });
  const { client } = await secured(firewall);
  client.say('FOO\r\n'.repeat(3) + 'BAR\r\n'.repeat(10_000));
  const heard = await client.rest();
  assert.match(heard, /421 Too many errors, closing transmission channel\r\n$/);
  assert.equal(client.ending, 'end');
});

test('a client that ends its side of TLS behind its last command still hears the reply', async (t) => {
  const firewall = await opened(t);
  firewall.upstream.expect({ dialect: 'lf', backend: { delay_ms: { NOOP: 50 } } });
  const { client } = await secured(firewall, { allowHalfOpen: true } as ConnectionOptions);
  await say(client, 'EHLO client.example');
  client.say('NOOP\r\n');
  client.finish();
  assert.equal(await client.rest(), '250 2.0.0 ok\r\n');
  const [summary] = await summaries(firewall);
  assert.deepEqual([summary?.origin, summary?.what], ['client', 'client closed while awaiting command']);
});

test('a listener without certificates hides the STARTTLS of a connector that ends TLS, and demands stay', async (t) => {
  const connectors = [{ ...TERMINATING, auth: 'require_tls', require_tls: true }];
  const listener = { certificates: [] };
  // Another listener has one, or the configuration were faulty.
  const other = { bind: ['127.0.0.1:0'], certificates: [files(serverPair())] };
  const firewall = await open(t, { rest: { listeners: [{ bind: ['127.0.0.1:0'], ...listener }, other] }, connectors });
  const client = await greeted(firewall);
  const reply = await say(client, 'EHLO client.example');
  assert.doesNotMatch(reply, /STARTTLS|AUTH/);
  assert.match(await say(client, 'STARTTLS'), /^502 /);
  assert.match(await say(client, 'AUTH PLAIN AGFsaWNlAHNlY3JldA=='), /^538 5\.7\.11 /);
  assert.match(await say(client, 'MAIL FROM:<>'), /^530 5\.7\.0 /);
  await quit(client);
});

test('require_tls and conditions on tls hold behind the handshake', async (t) => {
  const rules = [{ name: 'safe', allow: { tls: true, authenticated: true } }];
  const firewall = await opened(t, { connectors: [{ ...TERMINATING, auth: 'require_tls', require_tls: true, rules }] });
  const plain = await greeted(firewall);
  await say(plain, 'EHLO client.example');
  assert.match(await say(plain, 'MAIL FROM:<>'), /^530 5\.7\.0 /);
  await quit(plain);
  const { client } = await secured(firewall);
  assert.match(await say(client, 'EHLO client.example'), /AUTH PLAIN/);
  assert.match(await say(client, 'AUTH PLAIN AGFsaWNlAHNlY3JldA=='), /^235 /);
  assert.match(await say(client, 'MAIL FROM:<>'), /^250 /);
  assert.match(await say(client, 'RCPT TO:<friend@foreign.example>'), /^250 /);
  await quit(client);
});

test('behind a STARTTLS that passes through, octets go both ways unread, and the log says so once', async (t) => {
  const connectors = [
    {
      name: 'servers',
      remote_ip_ranges: ['any'],
      starttls: 'passthrough',
      rules: [{ allow: {} }],
      i_know_this_is_open: true,
    },
  ];
  const firewall = await open(t, { connectors, rest: { timeouts: { client_idle: '400ms' } } });
  const client = await greeted(firewall);
  assert.match(await say(client, 'EHLO client.example'), /STARTTLS/);
  assert.equal(await say(client, 'STARTTLS'), '220 2.0.0 go ahead\r\n');
  const unread = 'RCPT TO:<@a.example:x@foreign.example>\n'; // this server's tunnel is plain text
  client.say(unread);
  await client.hears('503 5.5.1 need MAIL\r\n');
  await client.rest(); // nobody says anything
  assert.equal(firewall.logged('TLS passes through: from here on nothing is read').length, 1);
  const [summary] = await summaries(firewall);
  assert.equal(summary?.what, 'timeout while awaiting opaque octets');
  assert.equal(summary?.octets_from_client, `EHLO client.example\r\nSTARTTLS\r\n${unread}`.length);
});
