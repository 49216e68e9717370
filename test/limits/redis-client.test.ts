// When Redis is there and when it is away, and that nobody waits for it. What is asked, and what comes of the answers:
// redis-store.test.ts and redis-answers.test.ts.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createServer } from 'node:tls';
import { type RedisAddress, RedisClient, type RedisSecrets, waitBefore } from '../../src/limits/redis-client.ts';
import { makePair } from '../helpers/certificates.ts';
import { type Found, RedisStandIn } from '../helpers/redis-stand-in.ts';
import { noRedis, startRedis } from '../real/redis-server.ts';
import { missing } from '../real/tools.ts';
import { until } from './redis-node.ts';

const PATIENCE = 2_000; // ms that an answer may take: the machine may be busy
const SHORT = 600; // where one is not to come in time

interface Watched {
  readonly client: RedisClient;
  /** `begin`, `there`, `away: WHY`, in their order. */
  readonly events: string[];
  /** What `begin` comes to. */
  begun: () => boolean | Promise<boolean>;
  /** Waits until an event was told so often. */
  seen(event: string, times?: number): Promise<void>;
}

function watch(
  t: TestContext,
  address: RedisAddress,
  patience = PATIENCE,
  secrets: Partial<RedisSecrets> = {},
): Watched {
  const events: string[] = [];
  const watched: Watched = {
    client: new RedisClient(
      address,
      { password: null, ca: null, ...secrets },
      {
        begin: async () => {
          events.push('begin');
          return watched.begun();
        },
        there: () => void events.push('there'),
        away: (why) => void events.push(`away: ${why}`),
      },
      patience,
    ),
    events,
    begun: () => true,
    seen: (event, times = 1) => until(() => events.filter((one) => one === event).length >= times),
  };
  t.after(() => watched.client.close());
  return watched;
}

async function standIn(t: TestContext): Promise<RedisStandIn> {
  const redis = await RedisStandIn.open();
  t.after(() => redis.close());
  return redis;
}

/** An answer that comes when the test says so. */
function owed(): { found: Promise<Found>; pay(found: Found): void } {
  let pay = (_: Found): void => {};
  const found = new Promise<Found>((resolve) => {
    pay = resolve;
  });
  return { found, pay: (answer) => pay(answer) };
}

const TLS_HANDSHAKE = 0x16;
const LATE = `away: no answer within ${SHORT} ms`;

test('a server is there when what must be said first was answered, and a question gets its answer', async (t) => {
  const redis = await standIn(t);
  redis.answer = ({ keys, args }) => [...keys, ...args];
  const { client, events, seen } = watch(t, redis.address);
  assert.equal(client.why, 'not connected yet');
  assert.equal(client.isThere, false);
  await seen('there');
  assert.equal(client.isThere, true);
  assert.deepEqual(await client.ask('take', ['one', 'two'], [3, 'four']), ['one', 'two', '3', 'four']);
  assert.deepEqual(redis.heard, [{ question: 'take', keys: ['one', 'two'], args: ['3', 'four'] }]);
  assert.deepEqual(events, ['begin', 'there'], 'and nothing was begun anew');
  assert.deepEqual(redis.said, ['client setname postern']);
});

test('a server is asked under the name, with the password and in the database that it was given', async (t) => {
  const redis = await standIn(t);
  const { seen } = watch(t, { ...redis.address, user: 'gate', database: 3 }, PATIENCE, { password: 'secret' });
  await seen('there');
  assert.deepEqual(redis.said, ['auth gate secret', 'select 3', 'client setname postern']);
});

test('a server is not there when what must be said first was not answered', async (t) => {
  const redis = await standIn(t);
  const watched = watch(t, redis.address);
  watched.begun = () => false;
  await watched.seen('begin');
  await delay(20);
  assert.equal(watched.client.isThere, false);
  assert.deepEqual(watched.events, ['begin']);
});

/** It has begun, and is answered when the function is called. */
async function held(watched: ReturnType<typeof watch>): Promise<() => void> {
  let end = (): void => {};
  watched.begun = () =>
    new Promise((resolve) => {
      end = () => resolve(true);
    });
  await watched.seen('begin');
  return () => end();
}

test('a connection that ends while that is said makes nothing there', async (t) => {
  const redis = await standIn(t);
  const watched = watch(t, redis.address);
  const end = await held(watched);
  redis.close();
  await until(() => watched.client.why.includes('REFUSED'));
  end();
  await delay(5);
  assert.deepEqual(watched.events, ['begin']);
});

test('questions of one moment go in one piece', async (t) => {
  const redis = await standIn(t);
  redis.answer = ({ args }) => Number(args[0]);
  const { client, seen } = watch(t, redis.address);
  await seen('there');
  const answers = await Promise.all([1, 2, 3].map((n) => client.ask('take', ['key'], [n])));
  assert.deepEqual(answers, [1, 2, 3]);
});

test('who waits for an answer too long gets none, and the server is away until it has answered', async (t) => {
  const redis = await standIn(t);
  const { client, events, seen } = watch(t, redis.address, SHORT);
  await seen('there');
  const { found, pay } = owed();
  redis.answer = () => found;
  const began = performance.now();
  const first = client.ask('take', ['key'], [1]);
  await delay(SHORT / 2);
  const second = client.ask('take', ['key'], [2]);
  assert.equal(await first, null);
  assert.ok(performance.now() - began >= SHORT, 'not sooner');
  assert.equal(await second, null, 'nobody else waits for it');
  assert.equal(client.isThere, false);
  await delay(SHORT);
  assert.deepEqual(events, ['begin', 'there', LATE]);
  pay(5);
  await seen('there', 2);
  redis.answer = () => 7;
  assert.equal(await client.ask('take', ['key'], [3]), 7);
  assert.deepEqual(events, ['begin', 'there', LATE, 'begin', 'there']);
  assert.equal(redis.taken, 1, 'over the same connection');
});

test('answers that come in time go on being waited for, each for its own time', async (t) => {
  const redis = await standIn(t);
  const { client, events, seen } = watch(t, redis.address, SHORT);
  await seen('there');
  redis.answer = ({ args }) => delay(0.4 * SHORT, Number(args[0]));
  for (let n = 0; n < 2; n++) assert.equal(await client.ask('take', ['key'], [n]), n);
  redis.answer = () => new Promise(() => {});
  const began = performance.now();
  assert.equal(await client.ask('take', ['key'], [9]), null);
  assert.ok(performance.now() - began >= SHORT, 'not sooner');
  assert.deepEqual(events, ['begin', 'there', LATE]);
});

test('one that refuses a question is away, is left, and is asked over a new connection', async (t) => {
  const redis = await standIn(t);
  const { client, events, seen } = watch(t, redis.address);
  await seen('there');
  redis.answer = ({ args }) => (args[0] === '1' ? new Error('OOM command not allowed') : 1);
  const [first] = await Promise.all([1, 2, 3].map((n) => client.ask('take', ['key'], [n])));
  assert.equal(first, null);
  await delay(5);
  assert.deepEqual(events, ['begin', 'there', 'away: OOM command not allowed']);
  assert.equal(client.why, 'OOM command not allowed');
  redis.answer = () => 1;
  await seen('there', 2);
  assert.equal(redis.taken, 2);
  redis.answer = () => new Error('OOM once more');
  await client.ask('take', ['key'], [1]);
  redis.answer = () => 1;
  await seen('there', 3);
  assert.equal(redis.taken, 3);
});

test('one that hangs up is away, and is asked over a new connection what is asked then, and nothing twice', async (t) => {
  const redis = await standIn(t);
  const { client, events, seen } = watch(t, redis.address);
  await seen('there');
  redis.answer = () => new Promise(() => {});
  const asked = client.ask('take', ['key'], [1]);
  await until(() => redis.heard.length === 1);
  redis.hangUp();
  assert.equal(await asked, null);
  redis.answer = () => 1;
  await seen('there', 2);
  assert.deepEqual(events.slice(2), ['away: it closed the connection', 'begin', 'there']);
  assert.equal(await client.ask('take', ['key'], [2]), 1);
  assert.deepEqual(
    redis.heard.map(({ args }) => args[0]),
    ['1', '2'],
  );
});

test('one that cannot be reached is away, says why, and is there soon after it can be', async (t) => {
  const redis = await standIn(t);
  redis.close();
  const { client, events, seen } = watch(t, redis.address);
  assert.equal(await client.ask('take', ['key'], [1]), null, 'nobody waits, and nothing is kept for later');
  await until(() => client.why.includes('ECONNREFUSED'));
  await redis.listen();
  await seen('there');
  assert.deepEqual(events, ['begin', 'there']);
  assert.deepEqual(redis.heard, []);
});

test('one that takes a connection and says nothing is left after 2 s, before it was there and behind that, and no other', async (t) => {
  const good = watch(t, (await standIn(t)).address);
  const [silent, stalled] = [await standIn(t), await standIn(t)];
  silent.isFrozen = true;
  const [first, second] = [watch(t, silent.address), watch(t, stalled.address, SHORT)];
  await second.seen('there');
  const { found, pay } = owed();
  stalled.answer = () => found;
  assert.equal(await second.client.ask('take', ['key'], [1]), null);
  await delay(1_000);
  assert.deepEqual([silent.ended, stalled.ended], [0, 0]);
  await until(() => silent.ended === 1 && stalled.ended === 1);
  assert.equal(first.client.why, 'it does not answer');
  silent.isFrozen = false;
  stalled.answer = () => 1;
  pay(1);
  await Promise.all([first.seen('there'), second.seen('there', 2)]);
  assert.deepEqual(first.events, ['begin', 'there']);
  assert.deepEqual(second.events, ['begin', 'there', LATE, 'begin', 'there']);
  assert.deepEqual(good.events, ['begin', 'there']);
});

for (const kind of ['single', 'sentinel', 'cluster'] as const) {
  test(`a Redis that is ${kind} is asked for as such, where it was said to be, over TLS as well`, async (t) => {
    const redis = await standIn(t);
    watch(t, { ...redis.address, kind, name: 'limits' });
    const first = { single: 'client setname', sentinel: 'sentinel get-master-addr-by-name limits', cluster: 'cluster' };
    await until(() => redis.said.some((line) => line.toLowerCase().startsWith(first[kind])));
    const secret = await standIn(t);
    watch(t, { ...secret.address, kind, name: 'limits', tls: true });
    await until(() => secret.first === TLS_HANDSHAKE);
  });
}

test('a master that Sentinels name over TLS is asked over TLS as well', { skip: missing(['openssl']) }, async (t) => {
  const [sentinel, master] = [await standIn(t), await standIn(t)];
  sentinel.master = master.port;
  const { cert, key } = makePair({ subject: '/CN=sentinel', names: 'IP:127.0.0.1' });
  const before = createServer({ cert, key }, (secured) => {
    const behind = connect(sentinel.port, '127.0.0.1', () => secured.pipe(behind).pipe(secured));
    behind.on('error', () => {});
    secured.on('error', () => {});
  }).listen(0, '127.0.0.1');
  t.after(() => before.close());
  await once(before, 'listening');
  const hosts = [{ host: '127.0.0.1', port: (before.address() as AddressInfo).port }];
  watch(t, { ...sentinel.address, kind: 'sentinel', hosts, name: 'limits', tls: true }, PATIENCE, { ca: cert });
  await until(() => master.first !== null);
  assert.equal(master.first, TLS_HANDSHAKE);
});

test('who has closed it hears nothing more of it, and it hears nothing more', async (t) => {
  const redis = await standIn(t);
  const { client, events, seen } = watch(t, redis.address);
  await seen('there');
  redis.answer = () => new Promise(() => {});
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const asked = client.ask('take', ['key'], [1]);
  await until(() => redis.heard.length === 1);
  const began = performance.now();
  await client.close();
  assert.equal(await asked, null);
  assert.ok(performance.now() - began < PATIENCE / 2, 'at once');
  assert.equal(client.isThere, false);
  assert.equal(await client.ask('take', ['key'], [2]), null);
  await until(() => redis.ended === 1);
  await delay(150);
  assert.deepEqual(events, ['begin', 'there']);
  assert.equal(redis.taken, 1);
  assert.equal(redis.heard.length, 1);
  assert.ok(timers() <= before, 'and no process waits for it');
});

test('a closed one that had begun is not there when that is answered', async (t) => {
  const redis = await standIn(t);
  const watched = watch(t, redis.address);
  const end = await held(watched);
  void watched.client.close();
  end();
  await delay(5);
  assert.deepEqual(watched.events, ['begin']);
});

test('it is tried again after a tenth of a second, then after twice as long each time, and every two seconds at last', () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 5_000].map(waitBefore), [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000]);
});

test('a server that dies with many questions unanswered is left once, not once for each', {
  skip: noRedis,
}, async (t) => {
  const redis = await startRedis();
  const warnings: string[] = [];
  const warned = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  const hosts = [{ host: '127.0.0.1', port: redis.port }];
  const single = { kind: 'single', hosts, name: '', database: 0, user: null, tls: false } as const;
  const { client, seen } = watch(t, single, 75);
  await seen('there');
  redis.freeze();
  const answers = Array.from({ length: 20 }, () => client.ask('take', ['key'], [1]));
  await Promise.all(answers); // nobody waits for it
  await redis.kill();
  await delay(50);
  await client.close();
  await redis.stop();
  assert.deepEqual(warnings, []);
});
