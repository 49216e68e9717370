// Sessions whose limits are counted in a real Redis, with two firewalls: every answer comes later, and must be as exact.
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import { noRedis, startRedis } from '../real/redis-server.ts';
import { Guarded } from './guarded.ts';

const redis = noRedis === false ? await startRedis() : null;
after(() => redis?.stop());

const config = { state: `redis://127.0.0.1:${redis?.port}/0` };

const check = (sentence: string, body: (t: TestContext) => Promise<void>): void => {
  test(sentence, { skip: noRedis }, async (t) => {
    await redis?.ask('FLUSHALL');
    await body(t);
  });
};

check('a harvester learns no more in a pipeline than one by one', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { rejected_recipient_rate: '10/1h' } },
    backend: { reply: { RCPT: '550 5.1.1 no such user' } },
    config,
  });
  const client = await guarded.greeted();
  const guesses = Array.from({ length: 100 }, (_, i) => `RCPT TO:<u${i}@local.example>`);
  const [, ...replies] = await client.sayAll('MAIL FROM:<s@sender.example>', ...guesses);
  assert.deepEqual(
    replies.map((reply) => reply.slice(0, 3)),
    [...Array<string>(10).fill('550'), ...Array<string>(90).fill('450')],
  );
});

check('pipelined commands keep their order however late the counts answer', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '2/1h', recipient_rate: '3/1h' } },
    config,
  });
  const client = await guarded.greeted();
  const message = [
    'MAIL FROM:<>',
    'RCPT TO:<a@local.example>',
    'RCPT TO:<x@foreign.example>',
    'RCPT TO:<b@local.example>',
    'RSET',
  ];
  const replies = await client.sayAll(...message, ...message, ...message);
  assert.deepEqual(
    replies.map((reply) => reply.slice(0, 3)),
    ['250', '250', '554', '250', '250', '250', '250', '554', '450', '250', '450', '503', '503', '503', '250'],
  );
});

check('what one firewall lets in the other knows, and its bans end sessions there too', async (t) => {
  const limits = { source: { connections: 2, message_rate: '1/1h' }, ban: { after: '2/1h' } };
  const one = await Guarded.open(t, { limits, config });
  const two = await Guarded.open(t, { limits, config });
  const client = await one.greeted();
  const idle = await two.greeted();
  assert.match((await one.connect()).greeting, /^421 4\.7\.0 Too many/);
  assert.match(await client.mail(), /^250/);
  assert.match(await client.mail(), /^421 4\.7\.0 Service for 192\.0\.2\.1 is suspended/, 'the second strike');
  assert.match(await idle.hear(), /^421 4\.7\.0 Service for 192\.0\.2\.1 is suspended/);
  assert.match((await two.connect()).greeting, /suspended/);
  assert.equal((await two.admin('DELETE', '/bans/192.0.2.1')).status, 200);
  assert.match((await one.connect()).greeting, /^220/);
});

check('a client that leaves while the door asks takes no place', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { connections: 1 } }, config });
  for (let i = 0; i < 20; i++) {
    const { client } = await guarded.connect(`192.0.2.${i + 10}`);
    client.smtp.destroy();
  }
  for (let tries = 0; tries < 50; tries++) {
    const { body } = await guarded.admin('GET', '/limits');
    if ((body.connections as unknown[]).length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail('a place is taken for ever');
});
