// A ban, and a policy that no longer serves them, while twenty sessions are in mail data: each message ends with the server's word,
// and what comes behind it hears 421. With the counts in memory, in another thread, and in Redis.

import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'node:test';
import { noRedis, startRedis } from '../real/redis-server.ts';
import { type Client, Guarded, type GuardedOptions } from './guarded.ts';

const SESSIONS = 20;
const redis = noRedis === false ? await startRedis() : null;
after(() => redis?.stop());

const PLACES: Readonly<Record<string, { readonly config: object; readonly skip: false | string }>> = {
  'in memory': { config: {}, skip: false },
  'in another thread': { config: { workers: 2 }, skip: false },
  'in Redis': { config: { state: `redis://127.0.0.1:${redis?.port}/0` }, skip: noRedis },
};

async function inMailData(guarded: Guarded): Promise<Client[]> {
  const clients = await Promise.all(Array.from({ length: SESSIONS }, () => guarded.greeted()));
  await Promise.all(
    clients.map(async (client) => {
      for (const line of ['MAIL FROM:<s@sender.example>', 'RCPT TO:<user@local.example>', 'DATA'])
        assert.match(await client.say(line), /^[23]/);
      await client.smtp.write(Buffer.from('Subject: a half\r\n\r\n'));
    }),
  );
  return clients;
}

const restOfMessage = (client: Client): Promise<string> => client.say('the other half\r\n.');

for (const [where, { config, skip }] of Object.entries(PLACES)) {
  describe(`with the counts ${where}`, { skip }, () => {
    beforeEach(async () => void (await redis?.ask('FLUSHALL')));

    it('a ban ends sessions behind the message that they are in', async (t) => {
      const guarded = await Guarded.open(t, { config });
      const clients = await inMailData(guarded);
      const other = await guarded.greeted('192.0.2.2');
      assert.equal((await guarded.admin('POST', '/bans', { source: '192.0.2.1', for: '10m' })).status, 201);
      assert.match((await guarded.connect()).greeting, /^421 4\.7\.0 .*suspended/);
      for (const reply of await Promise.all(clients.map(restOfMessage))) assert.match(reply, /^250/);
      for (const client of clients) assert.match(await client.hear(), /^421 4\.7\.0 .*suspended/);
      assert.match(await other.message(), /^250/);
      assert.equal(await guarded.metric('postern_messages_total{connector="internet"}'), SESSIONS + 1);
      assert.deepEqual((await guarded.admin('GET', '/limits')).body.connections, [
        { connector: 'internet', source: '192.0.2.2/32', open: 1 },
      ]);
    });

    it('a policy without their connector ends them at their next MAIL, and the counts live on', async (t) => {
      const limits = { source: { message_rate: `${SESSIONS + 1}/1h` } };
      const options: GuardedOptions = { config, limits };
      const guarded = await Guarded.open(t, options);
      const clients = await inMailData(guarded);
      await guarded.reload({ ...options, connector: { name: 'others', remote_ip_ranges: ['192.0.2.2'] } });
      for (const reply of await Promise.all(clients.map(restOfMessage))) assert.match(reply, /^250/);
      for (const client of clients) assert.match(await client.say('MAIL FROM:<s@sender.example>'), /^421 4\.3\.2/);
      await guarded.reload(options);
      const again = await guarded.greeted();
      assert.match(await again.message(), /^250/);
      assert.match(await again.message(), /^450/);
    });
  });
}
