// A node whose Redis goes and comes back: its own counts meanwhile, what Redis is told then, and what it tells of other nodes.

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { RedisStore } from '../../src/limits/redis-store.ts';
import { type Found, type Heard, plainly, RedisStandIn } from '../helpers/redis-stand-in.ts';
import { asked, charge, entry, HOUR, MINUTE, strike } from './questions.ts';
import { BANS, NODES, Node, SHORT, until } from './redis-node.ts';

const NEVER = new Promise<Found>(() => {});

/** Of what was heard, the only one of this kind; null where there is none. */
function only(heard: readonly Heard[], question: string): Heard | null {
  const found = heard.filter((one) => one.question === question);
  assert.ok(found.length <= 1);
  return found[0] ?? null;
}

/** `level limit window` of each bucket that Redis is told of. */
function merged(heard: readonly Heard[]): string[] {
  return heard
    .filter(({ question }) => question === 'merge')
    .flatMap(({ keys, args }) => keys.map((_, at) => args.slice(3 * at, 3 * at + 3).join(' ')));
}

test('who waits for a Redis that cannot be reached goes on without it after that time, and it is said once why', async (t) => {
  const redis = await RedisStandIn.open();
  redis.close();
  const node = new Node(t, redis);
  const began = performance.now();
  await node.store.opened(200);
  assert.ok(performance.now() - began >= 200);
  assert.match(node.told.join(), /^down: connect ECONNREFUSED [^,]*$/);
  await node.store.opened(1);
  assert.equal(node.told.length, 1);
  await node.finds();
  await node.store.opened(5_000); // at once
  assert.deepEqual(node.told.slice(1), ['up']);
  await node.loses();
  assert.deepEqual(node.told.slice(2), ['down: it closed the connection']);
});

test('a node goes on with the room that Redis found, and with the places that it gave', async (t) => {
  const node = await Node.open(t, { take: [-1, 0, 2] });
  const question = asked([charge('a', 9, HOUR)]);
  assert.deepEqual(await node.store.take(question, node.now), { refused: -1, left: 2, banned: 'no' });
  const wanted = entry('a', { ofSource: 2, charges: [charge('b', 9, HOUR)] });
  node.answers({ enter: ['', 0, 2] });
  await node.store.enter(wanted, node.now);
  await node.loses();
  for (const [refused, left] of [
    [-1, 1],
    [-1, 0],
    [0, 0],
  ])
    assert.deepEqual(node.store.take(question, node.now), { refused, left, banned: 'no' });
  assert.deepEqual(node.store.enter(wanted, node.now), { refused: null, banned: 'no' });
  assert.deepEqual(node.store.enter(wanted, node.now), { refused: 'source', banned: 'no' });
  node.store.leave(wanted.seat);
  assert.deepEqual(node.store.enter(wanted, node.now), { refused: null, banned: 'no' });
  assert.deepEqual(node.store.enter(wanted, node.now), { refused: 'rate', banned: 'no' });
});

test('a node as it is made in the product has the clock of its process', async (t) => {
  const redis = await RedisStandIn.open();
  redis.answer = (heard) => (heard.question === 'take' ? [-1, 0, 0] : plainly(heard));
  const events = { up: () => {}, down: () => {}, full: () => {}, banned: () => {} };
  const store = new RedisStore(redis.address, { password: null, ca: null }, events);
  t.after(() => store.close());
  await until(() => store.isUp);
  const brief = asked([charge('a', 1, 50)]);
  await store.take(brief, performance.now());
  redis.close();
  await until(() => !store.isUp);
  await delay(60);
  assert.equal((await store.take(brief, performance.now())).refused, -1);
});

test('a question that Redis owes is answered by the counts of this node', async (t) => {
  const node = await Node.open(t, { take: NEVER, enter: NEVER, ban: NEVER, lift: NEVER }, undefined, SHORT);
  const both = [
    node.store.take(asked([charge('a', 9, HOUR)]), node.now),
    node.store.enter(entry('a', { ofSource: 0 }), node.now),
    node.store.ban({ network: 'n', for: HOUR, by: 'operator' }, node.now),
    node.store.lift('n', node.now),
    node.store.lift('n', node.now),
  ];
  const answers = [{ refused: -1, left: 8, banned: 'no' }, { refused: 'source', banned: 'no' }, true, true, false];
  assert.deepEqual(await Promise.all(both), answers);
});

test('a Redis that owes an answer is asked nothing more until it has given it, and nobody waits for it', async (t) => {
  const { promise: owed, resolve: pay } = Promise.withResolvers<Found>();
  const node = await Node.open(t, { take: owed }, undefined, SHORT);
  const question = asked([charge('a', 9, HOUR)]);
  await node.store.take(question, node.now);
  node.redis.heard.length = 0;
  node.store.leave({ connector: 'internet', source: 'a' });
  await node.store.view(5, node.now);
  pay([-1, 0, 8]);
  const heard = (await node.isUp()).map((one) => one.question);
  assert.deepEqual(heard.slice(0, 3), ['begin', 'merge', 'beat']);
  node.answers({ take: NEVER });
  await node.store.take(question, node.now);
  let isClosed = false;
  void node.store.close().then(() => {
    isClosed = true;
  });
  await turn();
  assert.ok(isClosed);
});

test('the operator is shown the counts of this node where Redis owes them', async (t) => {
  const node = await Node.open(t, {}, undefined, SHORT);
  await node.store.take(asked([charge('a', 9, HOUR)]), node.now);
  node.answers({ look: NEVER });
  const { uses } = await node.store.view(5, node.now);
  assert.deepEqual(
    uses.map(({ used }) => used),
    [1],
  );
});

test('without Redis bans are put and lifted here, and it is told of those that are left when it is back', async (t) => {
  const node = await Node.open(t);
  await node.loses();
  const ban = { network: '192.0.2.0/24', for: HOUR, by: 'operator' } as const;
  assert.equal(node.store.ban(ban, node.now), true);
  assert.equal(node.store.ban(ban, node.now), false);
  assert.equal(node.store.ban({ ...ban, network: 'n' }, node.now), true);
  assert.equal(node.store.lift('n', node.now), true);
  assert.equal(node.store.lift('n', node.now), false);
  node.now += MINUTE;
  const heard = await node.finds();
  assert.deepEqual(only(heard, 'ban')?.args, ['192.0.2.0/24', `${HOUR - MINUTE}`, 'operator']);
});

test('what was counted without Redis is told to it when it is back, once, and as it stands then', async (t) => {
  const node = await Node.open(t);
  await node.loses();
  node.store.take(asked([charge('taken', 5, 1_000)]), node.now);
  node.store.take(asked([charge('asked', 5, 1_000, 0)]), node.now);
  node.store.charge([charge('charged', 6, 1_000, 2)], node.now);
  node.store.enter(entry('a', { charges: [charge('entered', 7, 1_000)] }), node.now);
  const hit = strike('n', 8, 1_000, 1);
  node.store.take(asked([charge('refused', 0, 1_000)], [], hit), node.now);
  node.store.take(asked([charge('brief', 100, 10)]), node.now);
  node.now += 100; // of each bucket so many hundreds have leaked as its limit is
  assert.deepEqual(merged(await node.finds()), [
    '500 5 1000', // 1000 less 100 × 5
    '1400 6 1000',
    '300 7 1000',
    '200 8 1000',
  ]);
  await node.loses();
  node.store.take(asked([charge('later', 1, 1_000)]), node.now);
  assert.deepEqual(merged(await node.finds()), ['1000 1 1000']);
});

test('what has a place in Redis no more is not told', async (t) => {
  const node = await Node.open(t, {}, 1);
  await node.loses();
  for (const name of ['a', 'b']) node.store.take(asked([charge(name, 5, HOUR, 1, 'sender')]), node.now);
  assert.equal(merged(await node.finds()).length, 1);
});

test('of twenty thousand buckets Redis is told at most, five hundred at a time', async (t) => {
  const long = 60_000; // ms: it is much to say on a busy machine
  const node = await Node.open(t, {}, undefined, long);
  await node.loses();
  node.store.charge(
    Array.from({ length: 20_001 }, (_, i) => charge(`${i}`, 5, HOUR)),
    node.now,
  );
  const heard = (await node.finds(long)).filter(({ question }) => question === 'merge');
  await until(() => heard.length + node.redis.heardOf('merge').length >= 40, long);
  const sizes = [...heard, ...node.redis.heardOf('merge')].map(({ keys, args }) => [keys.length, args.length]);
  assert.deepEqual(sizes, Array(40).fill([500, 1_500]));
});

test('what is open is put under a new name whenever Redis is there anew, and the old one counts no more', async (t) => {
  const redis = await RedisStandIn.open();
  const node = new Node(t, redis);
  const [first] = await node.isUp();
  const [before, name] = first?.args ?? [];
  assert.deepEqual([first?.question, first?.keys, before], ['begin', [NODES], '']);
  assert.match(name ?? '', /^[0-9a-f-]{36}$/);
  await node.loses();
  for (const source of ['a', 'a', 'b']) node.store.enter(entry(source), node.now);
  node.store.enter(entry('a', { seat: { connector: 'lan', source: 'a' } }), node.now);
  const [again] = await node.finds();
  assert.deepEqual(again?.question, 'begin');
  const { keys = [], args = [] } = again ?? {};
  assert.equal(args[0], name);
  assert.notEqual(args[1], name);
  assert.deepEqual(keys.length, 6);
  assert.equal(new Set(keys).size, 6);
  const [connector, a, b, lan, ofLan] = args.slice(2);
  assert.deepEqual([connector, a, b, lan, ofLan], ['3', '2', '1', '1', '1']);
});

test('a Redis that does not take what is open is not there', async (t) => {
  const node = new Node(t, await RedisStandIn.open(), undefined, SHORT);
  node.answers({ begin: NEVER });
  await until(() => node.redis.heardOf('begin').length > 0);
  await delay(2 * SHORT);
  assert.equal(node.store.isUp, false);
  assert.deepEqual(node.told, []);
});

test('each second a node says that it lives, and which bans it knows of', async (t) => {
  const node = new Node(t, await RedisStandIn.open());
  node.answers({ beat: [1, 'seventh', 0] });
  await until(() => node.redis.heardOf('beat').length === 1);
  await delay(2);
  node.answers({ beat: [1, 'eighth'] }); // and none are named
  await node.store.view(5, node.now);
  const heard = (): Heard[] => node.redis.heardOf('beat').filter(({ args }, at) => at === 0 || args[1] !== '');
  await until(() => heard().length === 2);
  const [first, second] = heard();
  assert.deepEqual(first?.keys, [...BANS, NODES]);
  assert.match(first?.args[0] ?? '', /^[0-9a-f-]{36}$/);
  assert.deepEqual(first?.args.slice(1), ['', '1000']);
  assert.deepEqual(second?.args.slice(1), ['seventh', '1000'], 'those that it has heard last');
});

test('bans of other nodes are heard, told, and held here as well; those that are over there are lifted', async (t) => {
  const node = await Node.open(t, {}, undefined, SHORT);
  const holds = async (network: string): Promise<boolean> => {
    const { bans } = await node.store.view(9, node.now);
    return bans.some((ban) => ban.network === network);
  };
  node.answers({ beat: [1, 'v2', 2, 'a', '60000', 'limits', 'b', '3600000', 'operator'] });
  assert.equal(await holds('a'), true);
  assert.deepEqual(node.banned, [
    { network: 'a', for: MINUTE, by: 'limits' },
    { network: 'b', for: HOUR, by: 'operator' },
  ]);
  assert.equal(await holds('b'), true);
  assert.equal(node.banned.length, 2, 'each is told once');
  node.answers({ beat: [1, 'v3', 1, 'b', '3600000', 'operator'] });
  assert.equal(await holds('a'), false);
  assert.equal(await holds('b'), true);
  node.answers({ beat: [1, 'v4', 7, 'c', '3600000', 'operator'] });
  assert.equal(await holds('c'), true);
  assert.equal(await holds('b'), true, 'the others were not all named');
  node.answers({ beat: [1, 'v4'] });
  assert.equal(await holds('c'), true, 'nothing has changed');
  node.answers({ beat: NEVER });
  assert.equal(await holds('c'), true);
});

test('a node that was thought dead begins anew, and one that was not does not', async (t) => {
  const node = await Node.open(t);
  await node.store.view(5, node.now);
  assert.equal(node.redis.heardOf('begin').length, 0);
  node.answers({ beat: [0, ''] });
  await node.store.enter(entry('a'), node.now);
  await node.store.view(5, node.now);
  assert.equal((await node.heard('begin')).keys.length, 3);
});

/** What Redis counts for this source under the last name of the node, by all that it has heard. */
function openIn(heard: readonly Heard[], source: string): number {
  const key = `postern:{limits}:open:${hash('sha256', `internet\0${source}`, 'base64url')}`;
  let [name, open] = ['', 0];
  for (const { question, keys, args } of heard) {
    if (question === 'begin')
      [name, open] = [args[1] ?? '', keys.includes(key) ? Number(args[1 + keys.indexOf(key)]) : 0];
    else if (!keys.includes(key) || args[0] !== name) continue;
    else if (question === 'enter') open++;
    else if (question === 'move') open += Number(args[1]);
  }
  return open;
}

for (const way of ['is back', 'had thought it dead'] as const)
  test(`who comes and goes while a node begins is counted in Redis as it is: one that ${way}`, async (t) => {
    const node = await Node.open(t);
    const { promise: begun, resolve } = Promise.withResolvers<Found>();
    for (let i = 0; i < 3; i++) await node.store.enter(entry('a'), node.now);
    node.answers({ begin: begun, ...(way === 'is back' ? {} : { beat: [0, ''] }) });
    if (way === 'is back') {
      await node.loses();
      node.redis.heard.length = 0;
      await node.redis.listen();
    }
    const entered = way === 'is back' ? null : node.store.enter(entry('b'), node.now);
    if (way !== 'is back') void node.store.view(5, node.now);
    await node.heard('begin');
    for (let i = 0; i < 2; i++) node.store.leave(entry('a').seat);
    await node.store.enter(entry('c'), node.now);
    await node.store.enter(entry('d'), node.now);
    node.store.leave(entry('d').seat);
    node.answers({});
    resolve(1);
    await entered;
    await until(() => node.store.isUp && openIn(node.redis.heard, 'a') === 1).catch(() => {});
    const open = ['a', 'b', 'c', 'd'].map((source) => openIn(node.redis.heard, source));
    assert.deepEqual(open, [1, entered === null ? 0 : 1, 1, 0]);
    assert.ok(
      node.redis.heardOf('move').every(({ args }) => args[1] !== '0'),
      'nothing is asked where nothing moved',
    );
    assert.equal(node.told.join().includes('down'), way === 'is back', 'nobody waited for the beginning');
    node.store.leave(entry('a').seat);
    node.store.leave(entry('c').seat);
    await until(() => openIn(node.redis.heard, 'c') === 0);
    assert.equal(openIn(node.redis.heard, 'a'), 0);
  });

test('a node that ends says so, and is not there any more', async (t) => {
  const node = await Node.open(t);
  await node.store.enter(entry('a'), node.now);
  const name = node.redis.heardOf('enter')[0]?.args[0] ?? '';
  await node.store.close();
  assert.deepEqual(node.redis.heardOf('end'), [{ question: 'end', keys: [NODES], args: [name] }]);
  assert.equal(node.store.isUp, false);
  assert.deepEqual(node.told, ['up']);
});
