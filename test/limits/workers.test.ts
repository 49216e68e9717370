// Limits over several worker threads: one count for the whole process, whichever worker a client met.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Client, Guarded } from './guarded.ts';

const RATE = '450 4.7.1 Too much mail from 192.0.2.1, try again later';

async function greeted(guarded: Guarded, count: number): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => guarded.greeted()));
}

function count<T>(answers: readonly T[], wanted: (answer: T) => boolean): number {
  return answers.filter(wanted).length;
}

for (const workers of [2, 4]) {
  describe(`with ${workers} workers`, () => {
    test('a source has its connections and not one more, and each that ends makes room for one', async (t) => {
      const guarded = await Guarded.open(t, { config: { workers }, limits: { source: { connections: 10 } } });
      const connect = () => Promise.all(Array.from({ length: 40 }, () => guarded.connect()));
      const letIn = (await connect()).filter(({ greeting }) => greeting.startsWith('220'));
      assert.equal(letIn.length, 10);
      assert.match((await guarded.connect('192.0.2.2')).greeting, /^220/);
      for (const { client } of letIn.slice(0, 4)) {
        await client.quit();
        await client.smtp.end();
      }
      await guarded.metric('postern_sessions'); // every worker has told what it had to tell
      assert.equal(
        count(await connect(), ({ greeting }) => greeting.startsWith('220')),
        4,
      );
    });

    test('a source sends its rate of messages and not one more, all workers together', async (t) => {
      const guarded = await Guarded.open(t, { config: { workers }, limits: { source: { message_rate: '37/1h' } } });
      const clients = await greeted(guarded, 20);
      const answers = (
        await Promise.all(
          clients.map(async (client) => {
            const heard: string[] = [];
            for (let i = 0; i < 5; i++) heard.push(await client.mail());
            return heard;
          }),
        )
      ).flat();
      assert.equal(
        count(answers, (answer) => answer.startsWith('250')),
        37,
      );
      assert.equal(
        count(answers, (answer) => answer === RATE),
        63,
      );
      assert.match(await (await guarded.greeted('192.0.2.2')).mail(), /^250/);
      assert.equal(await guarded.metric('postern_limited_total{kind="source",key="message_rate"}'), 63);
    });
  });
}

test('a harvester learns no more in a pipeline than one by one, though the counts answer late', async (t) => {
  const guarded = await Guarded.open(t, {
    config: { workers: 2 },
    limits: { source: { rejected_recipient_rate: '10/1h' } },
    backend: { reply: { RCPT: '550 5.1.1 no such user' } },
  });
  const client = await guarded.greeted();
  const guesses = Array.from({ length: 200 }, (_, i) => `RCPT TO:<u${i}@local.example>`);
  const [, ...replies] = await client.sayAll('MAIL FROM:<s@sender.example>', ...guesses);
  assert.equal(
    count(replies, (reply) => reply.startsWith('550')),
    10,
  );
  assert.equal(
    count(replies, (reply) => reply.startsWith('450')),
    190,
  );
});

test('an operator bans a source in all workers: its idle sessions end, and no worker lets it in', async (t) => {
  const guarded = await Guarded.open(t, { config: { workers: 2 } });
  const idle = await greeted(guarded, 20);
  const other = await guarded.greeted('192.0.2.2');
  assert.equal((await guarded.admin('POST', '/bans', { source: '192.0.2.1', for: '10m' })).status, 201);
  for (const client of idle) assert.match(await client.hear(), /^421 4\.7\.0 .*suspended/);
  for (let i = 0; i < 10; i++) assert.match((await guarded.connect()).greeting, /^421/);
  assert.match(await other.say('NOOP'), /^250/);
  assert.equal(await guarded.metric('postern_bans'), 1);
  assert.equal((await guarded.admin('DELETE', '/bans/192.0.2.1')).status, 200);
  assert.match((await guarded.connect()).greeting, /^220/);
  assert.equal(await guarded.metric('postern_bans'), 0);
});

test('limits exceeded in one worker ban a source in all of them, and the log says so once', async (t) => {
  const guarded = await Guarded.open(t, {
    config: { workers: 2 },
    limits: { source: { message_rate: '1/1h' }, ban: { after: '3/1h', for: '1h' } },
  });
  const clients = await greeted(guarded, 20);
  const [first] = clients as [Client];
  for (const wanted of ['250', '450', '450']) assert.ok((await first.mail()).startsWith(wanted));
  await first.mail(); // one too many
  for (const client of clients.slice(1)) assert.match(await client.hear(), /^421 4\.7\.0 .*suspended/);
  assert.match((await guarded.connect()).greeting, /^421/);
  assert.equal(await guarded.metric('postern_bans'), 1);
  assert.equal(guarded.logged('banned').length, 1);
});

test('GET /limits shows what all workers have', async (t) => {
  const guarded = await Guarded.open(t, { config: { workers: 2 }, limits: { source: { message_rate: '100/1h' } } });
  const clients = await greeted(guarded, 20);
  await Promise.all(clients.map((client) => client.mail()));
  const { body } = await guarded.admin('GET', '/limits');
  assert.deepEqual(body.connections, [{ connector: 'internet', source: '192.0.2.1/32', open: 20 }]);
  assert.equal(Math.round(Number((body.sources as Record<string, unknown>[])[0]?.used)), 20);
});

test('the servers behind see no more sessions than they take, all workers together', async (t) => {
  const guarded = await Guarded.open(t, {
    config: { workers: 4 },
    upstream: { max_connections: 7, max_wait: '300ms' },
  });
  const found = await Promise.all(Array.from({ length: 30 }, () => guarded.connect()));
  assert.equal(
    count(found, ({ greeting }) => greeting.startsWith('220')),
    7,
  );
  assert.equal(
    count(found, ({ greeting }) => greeting.startsWith('421 4.3.2')),
    23,
  );
  assert.equal(await guarded.metric('postern_limited_total{kind="door",key="upstream_connections"}'), 23);
});

test('who waits for a place in one worker gets the one that is given back in another', async (t) => {
  const guarded = await Guarded.open(t, { config: { workers: 4 }, upstream: { max_connections: 8, max_wait: '1h' } });
  const first = await greeted(guarded, 8);
  const waiting = Array.from({ length: 8 }, () => guarded.connect());
  assert.equal(await guarded.metric('postern_sessions'), 8);
  for (const client of first) await client.quit();
  for (const { greeting } of await Promise.all(waiting)) assert.match(greeting, /^220/);
});
