// What an operator sees and does: GET /limits, POST /bans, DELETE /bans/….
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BEARER } from '../helpers/token.ts';
import { Guarded } from './guarded.ts';

test('GET /limits shows who uses how much of what, and who is connected', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: {
      source: { message_rate: '10/1h', recipient_rate: '20/1h' },
      login: { message_rate: '4/1h' },
      sender: { message_rate: '5/1h' },
    },
  });
  const client = await guarded.greeted();
  await client.logIn('CORP\\alice');
  for (let i = 0; i < 3; i++) await client.message();
  const { status, body } = await guarded.admin('GET', '/limits');
  assert.equal(status, 200);
  const used = (list: unknown): unknown =>
    (list as Record<string, unknown>[]).map((entry) => ({ ...entry, used: Math.round(Number(entry.used)) }));
  const common = { connector: 'internet', seconds: 3600, used: 3 };
  assert.deepEqual(used(body.sources), [
    { ...common, source: '192.0.2.1/32', limit: 'message_rate', of: 10 },
    { ...common, source: '192.0.2.1/32', limit: 'recipient_rate', of: 20 },
  ]);
  assert.deepEqual(used(body.logins), [{ ...common, login: 'corp\\alice', limit: 'message_rate', of: 4 }]);
  assert.deepEqual(used(body.senders), [{ ...common, sender: 's@sender.example', limit: 'message_rate', of: 5 }]);
  assert.deepEqual(body.connections, [{ connector: 'internet', source: '192.0.2.1/32', open: 1 }]);
  assert.deepEqual([body.connectors, body.bans], [[], []]);
});

test('every list of GET /limits has an end', async (t) => {
  const guarded = await Guarded.open(t, { limits: { sender: { message_rate: '5/1h' } } });
  const client = await guarded.greeted();
  for (let i = 0; i < 110; i++) await client.mail(`s${i}@sender.example`);
  const { body } = await guarded.admin('GET', '/limits');
  assert.equal((body.senders as unknown[]).length, 100);
});

test('an operator bans a source, its idle session ends, and the ban can be lifted', async (t) => {
  const guarded = await Guarded.open(t);
  const idle = await guarded.greeted();
  const { status, body } = await guarded.admin('POST', '/bans', { source: '192.0.2.1', for: '10m' });
  assert.equal(status, 201);
  assert.deepEqual([body.source, body.seconds, body.by], ['192.0.2.1/32', 600, 'operator']);
  assert.ok(Math.abs(Date.parse(String(body.until)) - Date.now() - 600_000) < 60_000);
  assert.match(await idle.hear(), /^421 4\.7\.0 Service for 192\.0\.2\.1 is suspended/);
  assert.match((await guarded.connect()).greeting, /^421/);
  const seen = await guarded.admin('GET', '/bans');
  assert.deepEqual(
    [seen.status, (seen.body.bans as { source: string }[]).map(({ source }) => source)],
    [200, ['192.0.2.1/32']],
  );
  assert.equal(((await guarded.admin('GET', '/limits')).body.bans as unknown[]).length, 1);
  assert.deepEqual(await guarded.admin('DELETE', '/bans/192.0.2.1'), { status: 200, body: { lifted: true } });
  assert.match((await guarded.connect()).greeting, /^220/);
  assert.equal((await guarded.admin('DELETE', '/bans/192.0.2.1')).status, 404);
  assert.deepEqual(
    ['banned', 'ban lifted'].map((message) => guarded.logged(message).length),
    [1, 1],
  );
});

test('a network is banned whole, and an IPv6 address with its /64', async (t) => {
  const guarded = await Guarded.open(t);
  assert.equal((await guarded.admin('POST', '/bans', { source: '192.0.2.0/24' })).body.seconds, 600);
  assert.match((await guarded.connect('192.0.2.77')).greeting, /^421/);
  assert.match((await guarded.connect('192.0.3.77')).greeting, /^220/);
  assert.equal((await guarded.admin('POST', '/bans', { source: '2001:db8::1' })).body.source, '2001:db8::/64');
  assert.match((await guarded.connect('2001:db8::2')).greeting, /^421/);
  assert.equal((await guarded.admin('DELETE', '/bans/2001%3Adb8%3A%3A%2F64')).status, 200);
  assert.match((await guarded.connect('2001:db8::2')).greeting, /^220/);
});

test('a length that a connector counts sources by can be banned too', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { ipv4_prefix: 20 } } });
  assert.equal((await guarded.admin('POST', '/bans', { source: '192.0.0.0/20' })).status, 201);
  assert.match((await guarded.connect('192.0.15.255')).greeting, /^421/);
  assert.match((await guarded.connect('192.0.16.0')).greeting, /^220/);
});

for (const [what, given, said] of [
  ['no source', {}, /^source: .* is wanted/],
  ['nothing', null, /^source: /],
  ['a name', { source: 'mail.example' }, /neither an address nor a network/],
  ['an address that is read in two ways', { source: '010.0.0.1' }, /neither an address nor a network/],
  [
    'a length that is not looked for',
    { source: '192.0.2.0/25' },
    /'\/25': a ban may have the length \/32, \/24, \/16, \/8/,
  ],
  ['bits behind the length', { source: '192.0.2.1/24' }, /192\.0\.2\.0\/24 is meant/],
  ['no duration', { source: '192.0.2.1', for: 600 }, /^for: a duration is wanted/],
  ['too long a time', { source: '192.0.2.1', for: '8761h' }, /^for: too long: "8760h", a year, is the most/],
  ['no time', { source: '192.0.2.1', for: '0s' }, /^for: a duration is wanted/],
] as const) {
  test(`POST /bans with ${what} is told what is wanted`, async (t) => {
    const guarded = await Guarded.open(t);
    const { status, body } = await guarded.admin('POST', '/bans', given);
    assert.equal(status, 400);
    assert.match(String(body.error), said);
  });
}

test('a web page cannot make a browser ban or lift, and only so much is read', async (t) => {
  const guarded = await Guarded.open(t);
  const { address, port } = guarded.firewall.adminAddress ?? { address: '', port: 0 };
  const url = `http://${address}:${port}/bans`;
  const body = JSON.stringify({ source: '192.0.2.1' });
  const post = async (headers: Record<string, string>, sent = body): Promise<number> =>
    (await fetch(url, { method: 'POST', headers: { ...BEARER, ...headers }, body: sent })).status;
  assert.equal(await post({ 'content-type': 'text/plain' }), 415);
  assert.equal(await post({ 'content-type': 'application/json', origin: 'http://evil.example' }), 403);
  assert.equal(await post({ 'content-type': 'application/json' }, '{'), 400);
  assert.equal(await post({ 'content-type': 'application/json' }, `{"source": "${'x'.repeat(5_000)}"}`), 400);
  assert.equal((await guarded.admin('PUT', '/bans')).status, 405);
  assert.equal((await guarded.admin('POST', '/limits', {})).status, 405);
  assert.equal((await guarded.admin('POST', '/bans/192.0.2.1', {})).status, 405);
  assert.match((await guarded.connect()).greeting, /^220/);
});
