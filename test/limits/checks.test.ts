// A balancer's own checks: charged to no source, banned by none, and no sign of lost addresses – until they bring mail, and so
// were none. And who comes again at once has gone beyond a limit once.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { MemoryStore } from '../../src/limits/memory-store.ts';
import { AdmissionControl } from '../../src/serve/admission.ts';
import { Limiter } from '../../src/serve/limiter.ts';
import { mail, sound } from '../policy/build.ts';
import { noRedis, startRedis } from '../real/redis-server.ts';
import { type Client, Guarded } from './guarded.ts';

const V2 = '0d0a0d0a000d0a515549540a';

/** As HAProxy 2.6 sends them, and by other hands. */
const HEADERS: Readonly<Record<string, Buffer>> = {
  LOCAL: Buffer.from(`${V2}20000000`, 'hex'),
  'LOCAL with a TLV': Buffer.from(`${V2}200000082000050000000000`, 'hex'),
  UNKNOWN: Buffer.from('PROXY UNKNOWN\r\n'),
  'the own address in version 1': Buffer.from('PROXY TCP4 127.0.0.1 127.0.0.1 58086 23026\r\n'),
  'the own address in version 2': Buffer.from(`${V2}2111000c7f0000017f000001e2e659f2`, 'hex'),
  'the own address, mapped': Buffer.from('PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.1 58086 23026\r\n'),
};
const LOCAL = HEADERS.LOCAL as Buffer;
const TIGHT = { source: { connections: 1, connection_rate: '1/1h' }, ban: { after: '1/1h' } };

const redis = noRedis === false ? await startRedis() : null;
after(() => redis?.stop());

async function check(guarded: Guarded, header = LOCAL): Promise<Client> {
  const { client, greeting } = await guarded.behind(header);
  assert.match(greeting, /^220/);
  assert.match(await client.say('EHLO check.example'), /^250/);
  return client;
}

for (const [form, header] of Object.entries(HEADERS)) {
  test(`a check with ${form} is charged to nobody, and not banned`, async (t) => {
    const guarded = await Guarded.open(t, { limits: TIGHT });
    const open = await check(guarded, header);
    for (let i = 0; i < 5; i++) assert.match(await (await check(guarded, header)).quit(), /^221/);
    assert.equal((await guarded.admin('POST', '/bans', { source: '127.0.0.1' })).status, 201);
    assert.match(await (await check(guarded, header)).quit(), /^221/);
    assert.match(await open.say('NOOP'), /^250/, 'a ban ends no check');
    assert.match(await (await guarded.greeted()).mail(), /^250/);
  });
}

for (const [where, config, skip] of [
  ['in one thread', {}, false],
  ['in two', { workers: 2 }, false],
  ['with Redis', { state: `redis://127.0.0.1:${redis?.port}/0` }, noRedis],
] as const) {
  test(`who comes without an address and brings mail pays as any client does, ${where}`, { skip }, async (t) => {
    if (skip === false && 'state' in config) await redis?.ask('FLUSHALL');
    const guarded = await Guarded.open(t, { config, limits: { ...TIGHT, ban: { after: '2/1h' } } });
    const [one, two, other] = [await check(guarded), await check(guarded), await check(guarded)];
    assert.match(await one.mail(), /^250/);
    assert.equal(await two.mail(), '421 4.7.0 Too many connections from 127.0.0.1');
    assert.match(await one.mail(), /^250/);
    assert.equal(await other.mail(), '421 4.7.0 Too many connections from 127.0.0.1');
    assert.match(await (await check(guarded)).quit(), /^221/);
  });
}

test('who comes without an address and brings mail is banned as any client is', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { message_rate: '1/1h' }, ban: { after: '2/1h' } } });
  const [one, idle] = [await check(guarded), await check(guarded)];
  assert.match(await one.mail(), /^250/);
  assert.match(await one.mail(), /^450/);
  assert.match(await one.mail(), /^421 4\.7\.0 .*suspended/);
  assert.match(await idle.say('NOOP'), /^250/);
  assert.match(await idle.mail(), /^421 4\.7\.0 .*suspended/);
});

test('a check has a place of the connector, and GET /limits shows it', async (t) => {
  const guarded = await Guarded.open(t, { limits: { connector: { connections: 2 } } });
  const [one] = [await check(guarded), await check(guarded)];
  assert.match((await guarded.behind(LOCAL)).greeting, /^421/);
  assert.match(await one.mail(), /^250/);
  const { body } = await guarded.admin('GET', '/limits');
  assert.deepEqual(body.connections, [
    { connector: 'internet', source: 'checks', open: 1 },
    { connector: 'internet', source: '127.0.0.1/32', open: 1 },
  ]);
  assert.match(await one.quit(), /^221/);
  await check(guarded);
});

test('in observe, what mail without an address would have paid is told at its MAIL', async (t) => {
  const guarded = await Guarded.open(t, { limits: TIGHT, config: { mode: 'observe' } });
  const [one, two] = [await check(guarded), await check(guarded)];
  assert.match(await one.mail(), /^250/);
  assert.match(await two.mail(), /^250/);
  assert.deepEqual(
    guarded.logs.filter(({ decision }) => decision === 'would_reject').map(({ rule }) => rule),
    ['limits.source.connection_rate'],
  );
});

test('guessed passwords count, whoever seems to guess', async (t) => {
  const limits = { ...TIGHT, source: { auth_failure_rate: '2/1h' } };
  const guarded = await Guarded.open(t, { limits, backend: { reply: { AUTH: '535 5.7.8 no' } } });
  for (let i = 0; i < 2; i++) assert.match(await (await check(guarded)).logIn('alice'), /^535/);
  assert.match(await (await check(guarded)).logIn('alice'), /^454/);
});

async function bringing(guarded: Guarded, header: Buffer, times: number, withMail: boolean): Promise<void> {
  for (let i = 0; i < times; i++) {
    const client = await check(guarded, header);
    if (withMail) await client.mail();
    await client.quit();
  }
}

test('lost addresses: checks and monitors are none, mail is, and is not hidden by checks beside it', async (t) => {
  const guarded = await Guarded.open(t);
  const lost = () => guarded.metric('postern_lost_client_addresses');
  for (const header of Object.values(HEADERS)) await bringing(guarded, header, 20, false);
  await bringing(guarded, Buffer.from('PROXY TCP4 10.0.0.7 10.0.0.1 4000 25\r\n'), 60, false);
  assert.equal(await lost(), 0);
  for (let i = 0; i < 10; i++) {
    await bringing(guarded, LOCAL, 5, true);
    await bringing(guarded, LOCAL, 5, false);
  }
  assert.equal(await lost(), 1);
});

test('a check uses up no warning of a lost address, and mail from there gets it', async () => {
  const told: string[] = [];
  const policy = sound({}, { onLostAddress: (address) => void told.push(address) });
  const admissionControl = new AdmissionControl(
    policy,
    new Limiter(new MemoryStore(), { limited: () => {}, banned: () => {} }, () => 0),
  );
  const at = { clientAddress: '127.0.0.1', clientPort: 4000, localAddress: '127.0.0.1', localPort: 25 };
  const admission = await admissionControl.admit({ ...at, check: true, lost: true });
  assert.deepEqual(told, []);
  if (!admission.admitted) assert.fail('not let in');
  await admission.judge(mail('s@sender.example'));
  assert.deepEqual(told, ['127.0.0.1']);
});

test('who is refused and comes again at once has gone beyond one limit', async (t) => {
  const limits = { source: { connection_rate: '1/1h', connections: 10 }, ban: { after: '5/10m', for: '10m' } };
  const guarded = await Guarded.open(t, { limits });
  await guarded.greeted();
  for (let i = 0; i < 6; i++) assert.match((await guarded.connect()).greeting, /^421 4\.7\.0 Too many connections/);
  assert.equal(await guarded.metric('postern_bans'), 0);
  const { body } = await guarded.admin('GET', '/limits');
  const strikes = (body.sources as Record<string, unknown>[]).filter(({ limit }) => limit === 'ban.after');
  assert.deepEqual(
    strikes.map(({ used }) => Math.round(Number(used))),
    [1],
  );
});

test('a message with many recipients beyond their rate has gone beyond one limit, the next message beyond another', async (t) => {
  const limits = { source: { recipient_rate: '1/1h' }, ban: { after: '2/1h' } };
  const guarded = await Guarded.open(t, { limits });
  const client = await guarded.greeted();
  const recipients = Array.from({ length: 5 }, (_, i) => `RCPT TO:<u${i}@local.example>`);
  const codes = async () =>
    (await client.sayAll('MAIL FROM:<s@sender.example>', ...recipients)).map((reply) => reply.slice(0, 3));
  assert.deepEqual(await codes(), ['250', '250', '450', '450', '450', '450']);
  assert.equal(await guarded.metric('postern_bans'), 0);
  await client.say('RSET');
  assert.deepEqual(await codes(), ['250', '450', '450', '450', '450', '450']);
  assert.equal(await guarded.metric('postern_bans'), 1);
});
