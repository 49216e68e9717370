// The tarpit: a 5yz waits, in its place, for who has not logged in; nothing else does.
//
// A wait is measured from below only: how much longer it took is the machine's affair.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { DEFAULT_PROFILE, Harness } from '../helpers/harness.ts';
import { Guarded } from './guarded.ts';

const TARPIT = 150;
const limits = { tarpit: `${TARPIT}ms` };

/** Milliseconds that it took, and what came of it. */
async function timed<T>(what: Promise<T>): Promise<[number, T]> {
  const before = performance.now();
  const found = await what;
  return [performance.now() - before + 2, found]; // a timer may be early by a fraction
}

test('our refusals and those of the server behind wait, and what is no 5yz does not', async (t) => {
  const guarded = await Guarded.open(t, { limits, backend: { reply: { VRFY: '550 5.1.1 nobody' } } });
  const client = await guarded.greeted();
  await client.say('MAIL FROM:<s@sender.example>');
  for (const line of ['RCPT TO:<x@foreign.example>', 'VRFY nobody', 'FROB']) {
    const [ms, reply] = await timed(client.say(line));
    assert.match(reply, /^5/);
    assert.ok(ms >= TARPIT, `${line}: ${ms} ms`);
  }
});

test('every 5yz of a pipeline waits in its place, and what is behind waits with it', async (t) => {
  const guarded = await Guarded.open(t, { limits });
  const client = await guarded.greeted();
  const [ms, replies] = await timed(
    client.sayAll(
      'MAIL FROM:<s@sender.example>',
      'RCPT TO:<a@foreign.example>',
      'RCPT TO:<user@local.example>',
      'RCPT TO:<b@foreign.example>',
      'NOOP',
    ),
  );
  assert.deepEqual(
    replies.map((reply) => reply.slice(0, 3)),
    ['250', '554', '250', '554', '250'],
  );
  assert.ok(ms >= 2 * TARPIT, `${ms} ms`);
});

test('who has logged in does not wait, a failed login does', async (t) => {
  const guarded = await Guarded.open(t, { limits: { tarpit: '1h' } });
  const client = await guarded.greeted();
  assert.match(await client.logIn('alice'), /^235/);
  await client.say('MAIL FROM:<s@sender.example>');
  assert.match(await client.say('RCPT TO:<x@foreign.example>'), /^554/);
  const other = await Guarded.open(t, { limits, backend: { reply: { AUTH: '535 5.7.8 no' } } });
  const [ms, reply] = await timed((await other.greeted()).logIn('alice'));
  assert.match(reply, /^535/);
  assert.ok(ms >= TARPIT, `${ms} ms`);
});

test('neither leaving nor one error too many gets a client past the wait', async (t) => {
  const guarded = await Guarded.open(t, { limits: { tarpit: `${TARPIT}ms`, session: { errors: 1 } } });
  const leaving = await guarded.greeted();
  const [ms] = await timed(
    (async () => {
      await leaving.smtp.write(
        Buffer.from('MAIL FROM:<s@sender.example>\r\nRCPT TO:<a@f.example>\r\nRCPT TO:<b@f.example>\r\n'),
      );
      leaving.smtp.finish();
      await leaving.smtp.end();
    })(),
  );
  assert.ok(ms >= 2 * TARPIT, `${ms} ms`);
  assert.equal(leaving.smtp.replies.filter(({ code }) => code === '554').length, 2);
  const clumsy = await guarded.greeted();
  const [longer, replies] = await timed(clumsy.sayAll('FROB', 'FROB', 'NOOP'));
  assert.deepEqual(
    replies.map((reply) => reply.slice(0, 3)),
    ['500', '421', ''],
  );
  assert.ok(longer >= TARPIT, `${longer} ms`);
});

test('a wait that is longer than every time-out ends no session', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { tarpit: '400ms' },
    config: { timeouts: { client_idle: '100ms', command: '100ms', upstream_reply: '100ms' } },
  });
  const client = await guarded.greeted();
  assert.match(await client.say('FROB'), /^500/);
  assert.match(await client.say('NOOP'), /^250/);
});

test('a session in the tarpit ends when the firewall does', async (t) => {
  const guarded = await Guarded.open(t, { limits: { tarpit: '1h' } });
  const client = await guarded.greeted();
  await client.smtp.write(Buffer.from('FROB\r\n'));
  await delay(20);
  await guarded.firewall.close();
  assert.match(await client.hear(), /^500/);
  assert.match(await client.hear(), /^421/);
});

test('nothing is read while a reply waits, and then everything in its order', () => {
  const harness = new Harness({ profile: { tarpit: 1 } });
  harness.upstreamSays('220 mail\r\n');
  harness.clientSays('FROB\r\nNOOP\r\nFROB\r\n');
  assert.equal(harness.tarpits, 1);
  assert.equal(harness.upstreamHeard, '');
  assert.equal(harness.holding, true);
  harness.waited();
  assert.equal(harness.upstreamHeard, 'NOOP\r\n');
  harness.upstreamSays('250 ok\r\n');
  assert.equal(harness.tarpits, 2);
  assert.equal(harness.clientHeard, '220 mail\r\n500 Command unrecognized\r\n250 ok\r\n500 Command unrecognized\r\n');
  harness.waited();
  assert.equal(harness.holding, false);
});

test('a session that must close does so when what waits is out', () => {
  const limits = { ...DEFAULT_PROFILE.limits, errors: 1 };
  const harness = new Harness({ profile: { tarpit: 1, limits } });
  harness.upstreamSays('220 mail\r\n');
  harness.clientSays('EHLO c\r\n');
  harness.upstreamSays('250-mail\r\n250 PIPELINING\r\n');
  harness.clientSays('NOOP\r\nFROB\r\nFROB\r\n');
  harness.upstreamSays('250 ok\r\n');
  assert.equal(harness.tarpits, 1);
  assert.equal(harness.closed, null);
  harness.waited();
  assert.match(JSON.stringify(harness.closed), /too many errors/);
});
