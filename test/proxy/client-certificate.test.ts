// Client certificates end to end: who a verified one names, and that nothing else names anybody.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { ConnectionOptions } from 'node:tls';
import { certificateNames } from '../../src/proxy/certificate-names.ts';
import { makePair, type Pair, serverPair } from '../helpers/certificates.ts';
import { GREETING, type Open, open } from './front.ts';
import type { Peer } from './peer.ts';

const authority = makePair({ subject: '/CN=Test CA' });
const stranger = makePair({ subject: '/CN=Another CA' });
const scanner = makePair({
  subject: '/C=DE/O=Example, Inc/CN=Scanner 1',
  names: 'DNS:scanner.example.com',
  by: authority,
});

function wanted(subjects: readonly string[], client_ca: string) {
  const { certFile: cert, keyFile: key } = serverPair();
  const rules = [{ name: 'by certificate', allow: { tls_subject: subjects } }];
  return {
    listener: { certificates: [{ cert, key }], client_ca, implicit_tls: true },
    connectors: [{ name: 'internet', remote_ip_ranges: ['any'], rules }],
  };
}

async function opened(
  t: TestContext,
  subjects: readonly string[],
  more: Record<string, unknown> = {},
  upstream = {},
): Promise<Open> {
  const { listener, connectors } = wanted(subjects, authority.certFile);
  return open(t, { listener: { ...listener, ...more }, connectors, upstream });
}

/** For a reload. */
function configOf(upstream: number, subjects: readonly string[], clientCa: string): Record<string, unknown> {
  const { listener, connectors } = wanted(subjects, clientCa);
  return {
    listeners: [{ bind: ['127.0.0.1:0'], ...listener }],
    upstream: { servers: [`127.0.0.1:${upstream}`] },
    policy: { version: 1, accepted_domains: ['local.example'], connectors },
    admin: null,
    lost_address_guard: 'warn',
  };
}

async function enter(
  firewall: Open,
  options: ConnectionOptions,
): Promise<{ client: Peer; session: Buffer | undefined }> {
  const client = await firewall.client();
  const tls = await client.shakeHands(options);
  assert.equal(await client.hears('\r\n'), GREETING);
  return { client, session: tls.getSession() };
}

/** Whether a client may relay, and the summary of its session. */
async function relays(firewall: Open, options: ConnectionOptions): Promise<boolean> {
  const { client } = await enter(firewall, options);
  const before = firewall.logged('session ended').length;
  client.say('HELO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<x@foreign.example>\r\nQUIT\r\n');
  const heard = await client.rest();
  while (firewall.logged('session ended').length === before) await new Promise((resolve) => setImmediate(resolve));
  assert.match(heard, /(250 2\.1\.5 ok|554 .* Relay access denied)\r\n221 /);
  return heard.includes('250 2.1.5 ok');
}

const shown = ({ cert, key }: Pair): ConnectionOptions => ({ cert, key });

for (const [subject, expected] of [
  ['scanner.example.com', true],
  ['SCANNER.example.com', true],
  ['*.example.com', true],
  ['*.com', true],
  ['example.com', false],
  ['other.example.com', false],
  ['CN=Scanner 1', true],
  ['cn=scanner 1', true],
  ['CN=Scanner', false],
  ['C=DE,O=Example,CN=Scanner 1', false],
  ['C = DE, O = Example\\, Inc, CN = Scanner 1', true],
  ['C=DE,O=Example\\, Inc,CN=Scanner 1', true],
  ['CN=Scanner 1,O=Example\\, Inc,C=DE', false],
  ['O=Example\\, Inc', false],
] as const) {
  test(`tls_subject ${subject} ${expected ? 'holds' : 'does not hold'} for the certificate of scanner.example.com`, async (t) => {
    assert.equal(await relays(await opened(t, [subject]), shown(scanner)), expected);
  });
}

test('a certificate that nobody vouches for names nobody, and the log says why', async (t) => {
  const firewall = await opened(t, ['scanner.example.com', 'CN=Scanner 1']);
  const forged = makePair({ subject: '/CN=Scanner 1', names: 'DNS:scanner.example.com', by: stranger });
  const alone = makePair({ subject: '/CN=Scanner 1', names: 'DNS:scanner.example.com' });
  for (const pair of [forged, alone]) assert.equal(await relays(firewall, shown(pair)), false);
  const lines = firewall.logged('client certificate names nobody: it could not be verified');
  assert.deepEqual(
    lines.map(({ why }) => why),
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  );
  assert.ok(firewall.logged('session ended').every((line) => !('ccert_subject' in line)));
});

test('no certificate is demanded, and a verified one is in the summary', async (t) => {
  const firewall = await opened(t, ['scanner.example.com']);
  assert.equal(await relays(firewall, {}), false);
  assert.equal(await relays(firewall, shown(scanner)), true);
  const [without, with_] = firewall.logged('session ended');
  assert.equal(without?.ccert_subject, undefined);
  assert.equal(with_?.ccert_subject, 'Scanner 1');
  assert.equal(firewall.logged('client certificate names nobody: it could not be verified').length, 0);
});

test('without client_ca nobody is asked, and a certificate names nobody', async (t) => {
  const firewall = await opened(t, ['scanner.example.com'], { client_ca: undefined });
  assert.equal(await relays(firewall, shown(scanner)), false);
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a resumed ${maxVersion} session is still the same client's, and one without a certificate is nobody's`, async (t) => {
    const firewall = await opened(t, ['scanner.example.com']);
    for (const [options, expected] of [
      [shown(scanner), true],
      [{}, false],
    ] as const) {
      const { client, session } = await enter(firewall, { ...options, maxVersion });
      client.socket.destroy();
      assert.ok(session !== undefined);
      assert.equal(await relays(firewall, { session, maxVersion }), expected);
    }
  });
}

test('a session is not resumed where another CA vouches for clients', async (t) => {
  const first = await opened(t, ['scanner.example.com']);
  const { client, session } = await enter(first, shown(scanner));
  client.socket.destroy();
  const other = await opened(t, ['scanner.example.com'], { client_ca: stranger.certFile });
  assert.ok(session !== undefined);
  assert.equal(await relays(other, { session }), false);
});

test('whom an authority vouched for that a reload took away comes again, behind his transaction, and is nobody', async (t) => {
  const firewall = await opened(t, ['scanner.example.com']);
  const say = async (client: Peer, line: string): Promise<string> => {
    client.say(`${line}\r\n`);
    return client.reply();
  };
  const [busy, idle, stranger_] = [
    (await enter(firewall, shown(scanner))).client,
    (await enter(firewall, shown(scanner))).client,
    (await enter(firewall, {})).client,
  ];
  const late = await firewall.client(); // its handshake has begun, and it says nothing yet
  for (const line of ['HELO c.example', 'MAIL FROM:<>', 'RCPT TO:<x@foreign.example>'])
    assert.match(await say(busy, line), /^250 /);
  await firewall.firewall.reload(configOf(firewall.upstream.port, ['scanner.example.com'], stranger.certFile));
  assert.match(await idle.rest(), /^421 4\.3\.2 Configuration changed, please connect again\r\n$/);
  assert.match(await say(stranger_, 'NOOP'), /^250 /);
  assert.match(await say(busy, 'DATA'), /^354 /);
  busy.say('x\r\n.\r\n');
  assert.match(await busy.rest(), /^250 .*\r\n421 4\.3\.2 Configuration changed/);
  await late.shakeHands(shown(scanner));
  assert.equal(await late.hears('\r\n'), GREETING);
  for (const line of ['HELO c.example', 'MAIL FROM:<>']) assert.match(await say(late, line), /^250 /);
  assert.match(await say(late, 'RCPT TO:<x@foreign.example>'), /^554 /);
  assert.equal(await relays(firewall, shown(scanner)), false);
});

test('nor has he a name who had shaken hands and waits for a place at the server', async (t) => {
  const subjects = ['scanner.example.com'];
  const onePlace = { max_connections: 1, max_wait: '30s' };
  const firewall = await opened(t, subjects, {}, onePlace);
  const { client: busy } = await enter(firewall, {});
  const waiting = await firewall.client();
  await waiting.shakeHands(shown(scanner));
  const other = configOf(firewall.upstream.port, subjects, stranger.certFile);
  await firewall.firewall.reload({ ...other, upstream: { ...(other.upstream as object), ...onePlace } });
  busy.say('QUIT\r\n');
  await busy.rest();
  assert.equal(await waiting.hears('\r\n'), GREETING);
  waiting.say('HELO c.example\r\nMAIL FROM:<>\r\n');
  assert.match(`${await waiting.reply()}${await waiting.reply()}`, /^250 .*250 /s);
  waiting.say('RCPT TO:<x@foreign.example>\r\n');
  assert.match(await waiting.reply(), /^554 /);
});

// --- the names in certificates that try to name another

function namesIn(subject: string, names?: string, section?: string): readonly string[] {
  const more = { ...(names === undefined ? {} : { names }), ...(section === undefined ? {} : { section }) };
  return certificateNames(new X509Certificate(makePair({ subject, by: authority, ...more }).cert)).names;
}

test('the common name is a host only where no alternative name is, and only if it is a host', () => {
  assert.deepEqual(namesIn('/CN=mx.example.com'), ['mx.example.com', 'CN=mx.example.com']);
  assert.deepEqual(namesIn('/CN=mx.example.com', 'email:a@example.com'), ['CN=mx.example.com']);
  assert.deepEqual(namesIn('/CN=Max Muster'), ['CN=Max Muster']);
  assert.deepEqual(namesIn('/O=Example'), ['O=Example']);
  assert.deepEqual(namesIn('/CN=Müller/O=Ä'), ['CN=M\xc3\xbcller', 'CN=M\xc3\xbcller,O=\xc3\x84']);
});

test('an alternative name that holds another, and a value that holds another attribute, name neither', () => {
  const section =
    '[names]\nURI.1=http://a/b, DNS:evil.example\nDNS.1="q, DNS:evil.example"\nDNS.2=good.example\nDNS.3=CN=boss\n';
  assert.deepEqual(namesIn('/CN=x', '@names', section), ['good.example', 'CN=x']);
  assert.deepEqual(namesIn('/O=a\\+CN=boss'), ['O=a\\+CN\\=boss'.replace('\\=', '=')]);
  assert.deepEqual(namesIn('/O=a, CN=boss/OU=b'), ['O=a\\, CN=boss,OU=b']);
});

test('a name that does not end where it should is none', () => {
  const odd = { subject: 'CN=x', subjectAltName: 'DNS:evil.example"x, DNS:good.example' } as X509Certificate;
  assert.deepEqual(certificateNames(odd).names, ['good.example', 'CN=x']);
});

test('of nobody', () => {
  assert.deepEqual(certificateNames(undefined), { names: [], subject: null });
});
