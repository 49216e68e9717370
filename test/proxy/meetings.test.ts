// Where parts of the driver meet: the tarpit and the handshake; a client that goes while something else is under way, and the
// place at the upstream that it must give back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverPair } from '../helpers/certificates.ts';
import { GREETING, greeted, open, quit, type Wanted } from './front.ts';
import { type Peer, settled } from './peer.ts';

const TERMINATING = { name: 'internet', remote_ip_ranges: ['any'], starttls: 'terminate' };
const READY = '220 2.0.0 Ready to start TLS\r\n';

function terminating({ listener, ...rest }: Wanted = {}): Wanted {
  const { certFile: cert, keyFile: key } = serverPair();
  return { listener: { certificates: [{ cert, key }], ...listener }, connectors: [TERMINATING], ...rest };
}

const TARPIT = { rest: { limits: { tarpit: '150ms' } } };
const UNWILLING = { dialect: 'lf', backend: { reply: { NOOP: '500 5.5.1 no' } } } as const;

test('a handshake whose 220 waits in the tarpit begins when that is out, and the session goes on inside', async (t) => {
  const opened = await open(t, terminating(TARPIT));
  opened.upstream.expect(UNWILLING);
  const client = await greeted(opened);
  client.say('EHLO client.example\r\n');
  await client.hears('HELP\r\n');
  client.say('NOOP\r\nSTARTTLS\r\n');
  await client.hears(READY);
  await client.shakeHands();
  client.say('EHLO client.example\r\n');
  await client.hears('HELP\r\n');
  await quit(client);
});

test('clear text that comes while the 220 waits in the tarpit is not heard', async (t) => {
  const opened = await open(t, terminating(TARPIT));
  opened.upstream.expect(UNWILLING);
  const client = await greeted(opened);
  client.say('EHLO client.example\r\n');
  await client.hears('HELP\r\n');
  client.say('NOOP\r\nSTARTTLS\r\n');
  await settled();
  await settled();
  client.say('RSET\r\n');
  await client.rest();
  while (opened.logged('session ended').length === 0) await settled();
  assert.equal(opened.logged('session ended')[0]?.what, 'octets in clear text behind STARTTLS');
  assert.deepEqual(opened.upstream.connections[0]?.server.commands, ['EHLO client.example', 'NOOP']);
});

const ONE_PLACE = { upstream: { max_connections: 1, max_wait: '0s' } };

for (const [phase, reach] of [
  ['idle', async () => {}],
  ['in its handshake', async (client: Peer) => startTls(client)],
  [
    'in mail data',
    async (client: Peer) => {
      client.say('MAIL FROM:<>\r\nRCPT TO:<user@local.example>\r\nDATA\r\n');
      await client.hears('354 go ahead\r\n');
      client.say('text\r\n');
    },
  ],
  [
    'in a login',
    async (client: Peer) => {
      client.say('AUTH LOGIN\r\n');
      await client.hears('334 VXNlcm5hbWU6\r\n');
    },
  ],
  [
    'with a refusal in the tarpit',
    async (client: Peer) => {
      client.say('FROB\r\n');
      await settled();
    },
  ],
] as const) {
  for (const way of ['reset', 'finish'] as const) {
    test(`a client that goes (${way}) ${phase} gives its place back`, async (t) => {
      const opened = await open(t, terminating({ ...ONE_PLACE, ...TARPIT }));
      const client = await greeted(opened);
      client.say('EHLO client.example\r\n');
      await client.hears('HELP\r\n');
      await reach(client);
      client[way]();
      while (opened.logged('session ended').length === 0) await settled();
      await quit(await greeted(opened));
    });
  }
}

async function startTls(client: Peer): Promise<void> {
  client.say('STARTTLS\r\n');
  await client.hears(READY);
  client.say('\x16\x03\x01');
}

test('a client that goes while it waits for a place leaves that to the next', async (t) => {
  const opened = await open(t, { upstream: { max_connections: 1, max_wait: '30s' } });
  const first = await greeted(opened);
  const gone = await Promise.all([opened.client(), opened.client(), opened.client()]);
  const patient = await opened.client();
  await settled();
  for (const [i, client] of gone.entries()) i === 1 ? client.finish() : client.reset();
  await settled();
  await quit(first);
  assert.equal(await patient.hears('\r\n'), GREETING);
  await quit(patient);
  await quit(await greeted(opened));
});
