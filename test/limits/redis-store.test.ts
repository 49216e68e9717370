// The store contract over a real Redis, and what it leaves there.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisAddress } from '../../src/limits/redis-client.ts';
import { type RedisEvents, RedisStore } from '../../src/limits/redis-store.ts';
import { noRedis, type RedisServer, startRedis } from '../real/redis-server.ts';
import { asked, charge, entry, HOUR, MINUTE, strike } from './questions.ts';
import { until } from './redis-node.ts';
import { answersLikeAStore } from './store-contract.ts';

const redis = noRedis === false ? await startRedis() : null;
const stores: RedisStore[] = [];
after(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await redis?.stop();
});

/** Redis was late or away, as on a busy machine, and nodes counted by themselves, which is another test's matter: then once more. */
let wasLost = false;

const SECRETS = { password: null, ca: null };

function addressOf({ port }: Pick<RedisServer, 'port'>): RedisAddress {
  return { kind: 'single', hosts: [{ host: '127.0.0.1', port }], name: '', database: 0, user: null, tls: false };
}

const now = (): number => performance.now();
const PATIENCE = 1_000; // ms that an answer may take: the machine may be busy

async function node(
  server: Pick<RedisServer, 'port'> = redis as RedisServer,
  banned: string[] = [],
  downs: string[] = [],
): Promise<RedisStore> {
  const events: RedisEvents = {
    up: () => {},
    full: () => {},
    down: (why) => {
      wasLost = true;
      downs.push(why);
    },
    banned: ({ network }) => void banned.push(network),
  };
  const store = new RedisStore(addressOf(server), SECRETS, events, now, undefined, PATIENCE);
  stores.push(store);
  await store.opened(2_000);
  assert.equal(store.isUp, true);
  return store;
}

answersLikeAStore(
  'Redis',
  async () => {
    await redis?.ask('FLUSHALL');
    wasLost = false;
    const store = await node();
    return { store, now, pass: (ms) => delay(ms + 2), wasLost: () => wasLost, done: () => store.close() };
  },
  noRedis,
);

async function nodeNames(): Promise<string[]> {
  const answer = await (redis as RedisServer).ask('ZRANGE', 'postern:{limits}:nodes', '0', '-1');
  return answer.split('\r\n').filter((line) => /^[0-9a-f-]{36}$/.test(line));
}

const check = (sentence: string, body: () => Promise<void>): void => {
  test(sentence, { skip: noRedis }, async () => {
    for (let attempt = 1; ; attempt++) {
      wasLost = false;
      await redis?.ask('FLUSHALL');
      try {
        await body();
        return;
      } catch (error) {
        if (attempt === 5 || !wasLost) throw error;
      }
    }
  });
};

check('four nodes that ask at once let pass the limit together, and not one more', async () => {
  const nodes = await Promise.all([node(), node(), node(), node()]);
  const question = asked([charge('a', 100, HOUR)]);
  const answers = await Promise.all(
    Array.from({ length: 400 }, (_, i) => (nodes[i % 4] as RedisStore).take(question, now())),
  );
  await Promise.all(nodes.map((one) => one.close()));
  assert.equal(answers.filter(({ refused }) => refused === -1).length, 100);
});

check('connections are counted over all nodes, and those of a node that ends count no more', async () => {
  const [one, two] = await Promise.all([node(), node()]);
  const wanted = entry('a', { ofSource: 2 });
  assert.equal((await one.enter(wanted, now())).refused, null);
  assert.equal((await two.enter(wanted, now())).refused, null);
  assert.equal((await two.enter(wanted, now())).refused, 'source');
  assert.deepEqual((await two.view(5, now())).open, [{ connector: 'internet', source: 'a', open: 2 }]);
  await one.close();
  assert.equal((await two.enter(wanted, now())).refused, null);
  assert.equal((await two.enter(wanted, now())).refused, 'source');
  await two.close();
});

check('what a node counted without Redis counts for all when it is back, where that is more', async () => {
  const [one, two] = await Promise.all([node(), node()]);
  const take = async (store: RedisStore, name: string, cost: number): Promise<number> =>
    (await store.take(asked([charge(name, 9, HOUR, cost)]), now())).left;
  await take(two, 'a', 3);
  await take(two, 'b', 1);
  await (redis as RedisServer).ask('CLIENT', 'KILL', 'TYPE', 'normal');
  await until(() => !one.isUp);
  assert.deepEqual([await take(one, 'a', 2), await take(one, 'b', 5)], [7, 4]);
  await until(() => one.isUp && two.isUp);
  await take(one, 'a', 0); // behind what it tells Redis
  assert.deepEqual([await take(two, 'a', 0), await take(two, 'b', 0)], [6, 4]);
  await Promise.all([one.close(), two.close()]);
});

check('a ban of one node holds on the other, which hears of it, and so does its end', async () => {
  const heard: string[] = [];
  const [one, two] = await Promise.all([node(), node(redis as RedisServer, heard)]);
  const hit = strike('192.0.2.1/32', 1, MINUTE, 1);
  assert.equal((await one.take(asked([charge('a', 0, HOUR)], ['192.0.2.1/32'], hit), now())).banned, 'now');
  assert.equal((await two.take(asked([], ['192.0.2.1/32']), now())).banned, 'was');
  await two.view(5, now());
  assert.deepEqual(heard, ['192.0.2.1/32']);
  assert.equal(two.bans(now()), 1);
  assert.equal(await one.lift('192.0.2.1/32', now()), true);
  await two.view(5, now());
  assert.equal(two.bans(now()), 0);
  await Promise.all([one.close(), two.close()]);
});

check('a node that begins later hears of a ban for as long as it lasts', async () => {
  const store = await node();
  const left = async (key: string): Promise<number> =>
    Number((await (redis as RedisServer).ask('PTTL', `postern:{limits}:${key}`)).slice(1));
  await store.ban({ network: 'n', for: 8_760 * HOUR, by: 'operator' }, now());
  assert.ok((await left('bans:version')) + 1_000 > (await left('bans')));
  await store.lift('other', now());
  assert.ok((await left('bans:version')) + 1_000 > (await left('bans')));
  await store.close();
});

check('every key begins with postern:, holds no word of a peer, and ends by itself', async () => {
  const store = await node();
  const secret = 'mallory';
  await store.take(asked([charge(secret, 5, HOUR)], ['192.0.2.1/32'], strike(secret, 1, MINUTE, 1)), now());
  await store.take(asked([charge(secret, 0, HOUR)], ['192.0.2.1/32'], strike(secret, 1, MINUTE, 1)), now());
  await store.enter(entry(`${secret} source`), now());
  await store.view(5, now());
  const keys = (await (redis as RedisServer).ask('KEYS', '*')).split('\r\n').filter((line) => /^[a-z]/.test(line));
  assert.ok(keys.length >= 6, keys.join(' '));
  for (const key of keys) {
    assert.match(key, /^postern:\{limits\}:/);
    assert.doesNotMatch(key, /mallory/);
    assert.ok(Number((await (redis as RedisServer).ask('PTTL', key)).slice(1)) > 0, `${key} has no end`);
  }
  await store.close();
});

check('a node that was thought dead puts what it has open under a new name', async () => {
  const [store, other] = await Promise.all([node(), node()]);
  await store.enter(entry('a'), now());
  const wanted = entry('a', { ofSource: 1 });
  assert.equal((await other.enter(wanted, now())).refused, 'source');
  await (redis as RedisServer).ask('ZREM', 'postern:{limits}:nodes', ...(await nodeNames()));
  assert.equal((await other.enter(wanted, now())).refused, null, 'the dead have no connections');
  other.leave(wanted.seat);
  await store.view(5, now()); // it says that it lives, and hears that it was thought dead
  assert.equal((await other.enter(wanted, now())).refused, 'source');
});

check(
  'what peers invent has a share of so many keys, and beyond it this node counts by itself and says so once',
  async () => {
    const full: string[] = [];
    const events = { up: () => {}, down: () => {}, banned: () => {}, full: (kind: string) => void full.push(kind) };
    const store = new RedisStore(addressOf(redis as RedisServer), SECRETS, events, now, 10, PATIENCE);
    stores.push(store);
    await store.opened(2_000);
    const once = (i: number) => asked([charge(`invented${i}@x.example`, 1, HOUR, 1, 'sender')]);
    const keys = async (): Promise<number> =>
      (await (redis as RedisServer).ask('KEYS', 'postern:{limits}:sender*')).match(/sender/g)?.length ?? 0;
    for (let i = 0; i < 100; i++) assert.equal((await store.take(once(i), now())).refused, -1, `the first of ${i}`);
    assert.equal(await keys(), 10);
    for (let i = 0; i < 100; i++) assert.equal((await store.take(once(i), now())).refused, 0, `the second of ${i}`);
    for (let i = 100; i < 150; i++) store.charge(once(i).charges, now());
    assert.equal(await keys(), 10);
    assert.deepEqual(full, ['sender']);
    const both = asked([
      charge('192.0.2.1', 3, HOUR),
      charge('stranger@x.example', 1, HOUR, 1, 'sender'),
      charge('', 9, HOUR, 1, 'connector'),
    ]);
    assert.equal((await store.take(both, now())).refused, -1);
    assert.equal((await store.take(both, now())).refused, 1, 'the stranger has had his one');
    const source = asked([charge('192.0.2.1', 3, HOUR)]);
    assert.deepEqual(
      await store.take(source, now()),
      { refused: -1, left: 1, banned: 'no' },
      'and nothing else was charged',
    );
  },
);

check('a place in the share is free again when the bucket is empty', async () => {
  const events = { up: () => {}, down: () => {}, banned: () => {}, full: () => {} };
  const store = new RedisStore(addressOf(redis as RedisServer), SECRETS, events, now, 5, PATIENCE);
  stores.push(store);
  await store.opened(2_000);
  const brief = (i: number) => asked([charge(`user${i}`, 1, 20, 1, 'login')]);
  for (let i = 0; i < 5; i++) await store.take(brief(i), now());
  await delay(30);
  await store.take(asked([charge('late', 1, HOUR, 1, 'login')]), now());
  const found = await (redis as RedisServer).ask('KEYS', 'postern:{limits}:login*');
  assert.equal(found.match(/login/g)?.length, 1);
});
