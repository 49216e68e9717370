// What a node asks of Redis, and what it makes of the answers. What the scripts find there: redis-store.test.ts. Redis that is away:
// redis-away.test.ts.

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import type { Entry, Taken } from '../../src/limits/store.ts';
import type { Found } from '../helpers/redis-stand-in.ts';
import { asked, charge, entry, HOUR, MINUTE, strike } from './questions.ts';
import { BANS, NODES, Node } from './redis-node.ts';

const digest = (text: string): string => hash('sha256', text, 'base64url');
/** As nodes of every version call them. */
const bucket = (name: string, kind = 'source', rate = 'message_rate'): string =>
  `postern:{limits}:${kind}.${rate}:${digest(`${kind}.${rate}\0internet\0${name}`)}`;
const seat = (source: string): string => `postern:{limits}:open:${digest(`internet\0${source}`)}`;
const CONNECTOR_SEATS = `postern:{limits}:open:${digest('internet')}`;

test('a question goes to Redis whole, under names that say nothing of a peer', async (t) => {
  const node = await Node.open(t);
  const hit = strike('192.0.2.1/32', 3, MINUTE, 1);
  const once = charge('192.0.2.1', 1, 2_000, 1, 'sender');
  const networks = ['192.0.2.1/32', '192.0.2.0/24'];
  const both = [charge('one', 5, HOUR), charge('two', 7, MINUTE, 0)];
  await node.store.take(asked(both, networks, { ...hit, once }), node.now);
  await node.store.take(asked(both, networks, hit), node.now);
  await node.store.take(asked([]), node.now);
  const buckets = [...BANS, bucket('one'), bucket('two')];
  const struck = [...buckets, bucket('192.0.2.1/32', 'source', 'strikes')];
  const args = ['2', '5', `${HOUR}`, '1', '7', `${MINUTE}`, '0', '2', ...networks];
  const strikes = ['3', `${MINUTE}`, '1', '192.0.2.1/32', `${MINUTE}`];
  assert.deepEqual(node.takeHeard(), [
    { question: 'take', keys: [...struck, bucket('192.0.2.1', 'sender')], args: [...args, ...strikes, '1', '2000'] },
    { question: 'take', keys: struck, args: [...args, ...strikes] },
    { question: 'take', keys: BANS, args: ['0', '0'] },
  ]);
});

test('what Redis answers is the answer', async (t) => {
  const node = await Node.open(t);
  const two = [charge('a', 9, HOUR), charge('b', 9, HOUR)];
  const hit = strike('n', 3, MINUTE, 2);
  for (const [charges, found, taken] of [
    [two, [-1, 0, 5, 3], { refused: -1, left: 5, banned: 'no' }],
    [two, [0, 0, 0, 3], { refused: 0, left: 0, banned: 'no' }],
    [two, [1, 0, 5, 0], { refused: 1, left: 5, banned: 'no' }],
    [two, [0, 0, -4, 3], { refused: 0, left: 0, banned: 'no' }],
    [two, [-1, 2, 5, 3], { refused: -1, left: 5, banned: 'was' }],
    [[], [-1, 0], { refused: -1, left: 0, banned: 'no' }],
  ] as const) {
    node.answers({ take: found as Found });
    assert.deepEqual(await node.store.take(asked(charges, [], hit), node.now), taken);
    assert.equal(node.store.bans(node.now), 0);
  }
  node.answers({ take: [0, 1, 0, 3] });
  assert.deepEqual(await node.store.take(asked(two, [], hit), node.now), { refused: 0, left: 0, banned: 'now' });
  await node.loses();
  const { bans } = await node.store.view(5, node.now);
  assert.deepEqual(bans, [{ network: 'n', for: MINUTE, by: 'limits' }], 'and this node knows it as well');
});

test('a connection is asked for whole, and what Redis answers is the answer', async (t) => {
  const node = await Node.open(t);
  const limits = { ofSource: 4, ofConnector: 90, percent: 50, charges: [charge('a', 5, HOUR)] };
  assert.deepEqual(await node.store.enter(entry('a', limits), node.now), { refused: null, banned: 'no' });
  await node.store.enter(entry('b', { force: true, strike: strike('b', 2, MINUTE, 0) }), node.now);
  const [first, second] = node.takeHeard();
  const name = first?.args[0] ?? '';
  assert.match(name, /^[0-9a-f-]{36}$/);
  const places = (source: string): string[] => [...BANS, NODES, CONNECTOR_SEATS, seat(source)];
  const args = [name, '4', '90', '50', '0', '1', '5', `${HOUR}`, '1', '1', 'a'];
  assert.deepEqual(first, { question: 'enter', keys: [...places('a'), bucket('a')], args });
  const unlimited = `${2 ** 53}`;
  const strikes = ['2', `${MINUTE}`, '0', 'b', `${MINUTE}`];
  assert.deepEqual(second, {
    question: 'enter',
    keys: [...places('b'), bucket('b', 'source', 'strikes')],
    args: [name, unlimited, unlimited, '100', '1', '0', '1', 'b', ...strikes],
  });
  for (const [found, entered] of [
    [['percent', 0], { refused: 'percent', banned: 'no' }],
    [['source', 1], { refused: 'source', banned: 'now' }],
    [['ban', 2], { refused: 'ban', banned: 'was' }],
  ] as const) {
    node.answers({ enter: found });
    const wanted = entry('c', { strike: strike('c', 2, MINUTE, 0) });
    assert.deepEqual(await node.store.enter(wanted, node.now), entered);
  }
  assert.equal(node.store.bans(node.now), 1);
});

test('a connection that leaves is uncounted in Redis and here', async (t) => {
  const node = await Node.open(t);
  await node.store.enter(entry('a'), node.now);
  const name = node.takeHeard()[0]?.args[0] as string;
  node.store.leave({ connector: 'internet', source: 'a' });
  const keys = [CONNECTOR_SEATS, seat('a')];
  assert.deepEqual(await node.heard('move'), { question: 'move', keys, args: [name, '-1'] });
  assert.deepEqual((await node.store.view(5, node.now)).open, []);
});

test('only who has a place is counted here', async (t) => {
  const node = await Node.open(t, { enter: ['source', 0] });
  await node.store.enter(entry('refused'), node.now);
  await node.store.enter(entry('observed', { force: true }), node.now);
  node.answers({});
  await node.store.enter(entry('let in'), node.now);
  await node.loses();
  const { open } = await node.store.view(5, node.now);
  assert.deepEqual(open.map(({ source }) => source).toSorted(), ['let in', 'observed']);
});

test('what is charged without asking is told to Redis', async (t) => {
  const node = await Node.open(t);
  node.store.charge([charge('a', 5, HOUR, 3), charge('b', 7, MINUTE)], node.now);
  const args = ['5', `${HOUR}`, '3', '7', `${MINUTE}`, '1'];
  assert.deepEqual(await node.heard('charge'), { question: 'charge', keys: [bucket('a'), bucket('b')], args });
});

test('bans are put and lifted in Redis and here, and Redis says whether there was one', async (t) => {
  const node = await Node.open(t);
  const ban = { network: '192.0.2.0/24', for: 90.5, by: 'operator' } as const;
  for (const found of [1, 0]) {
    node.answers({ ban: found, lift: found });
    assert.equal(await node.store.ban(ban, node.now), found === 1);
    assert.equal(node.store.bans(node.now), 1);
    assert.equal(await node.store.lift('192.0.2.0/24', node.now), found === 1);
    assert.equal(node.store.bans(node.now), 0);
  }
  assert.deepEqual(node.takeHeard().slice(0, 2), [
    { question: 'ban', keys: BANS, args: ['192.0.2.0/24', '91', 'operator'] },
    { question: 'lift', keys: BANS, args: ['192.0.2.0/24'] },
  ]);
});

test('the operator sees what this node has seen as it stands for all of them, the fullest first', async (t) => {
  const node = await Node.open(t);
  const limits = { a: 10, b: 100, c: 10 };
  for (const [name, limit] of Object.entries(limits))
    await node.store.take(asked([charge(name, limit, HOUR)]), node.now);
  for (const source of ['x', 'y', 'y']) await node.store.enter(entry(source), node.now);
  await node.store.ban({ network: 'n', for: HOUR, by: 'operator' }, node.now);
  const { uses: own } = await node.store.view(5, node.now);
  const of = (name: string) => own.findIndex(({ key }) => key.endsWith(`\0${name}`));
  const levels: string[] = [];
  levels[of('a')] = '4';
  levels[of('b')] = '50.5';
  levels[of('c')] = '3';
  node.redis.heard.length = 0;
  // y has most connections here, x has most in all
  node.answers({ look: [...levels, '2', '9'], beat: [1, 'other', 1, 'n', `${HOUR}`, 'operator'] });
  const { uses, open, bans } = await node.store.view(5, node.now);
  assert.deepEqual(
    uses.map(({ key, used, limit, window }) => [key.at(-1), used, limit, window]),
    [
      ['b', 50.5, 100, HOUR],
      ['a', 4, 10, HOUR],
      ['c', 3, 10, HOUR],
    ],
  );
  assert.deepEqual(open, [
    { connector: 'internet', source: 'x', open: 9 },
    { connector: 'internet', source: 'y', open: 2 },
  ]);
  assert.deepEqual(bans, [{ network: 'n', for: HOUR, by: 'operator' }]);
  const [beat] = node.redis.heardOf('beat');
  const [look] = node.redis.heardOf('look');
  assert.deepEqual([beat?.question, beat?.args[1]], ['beat', ''], 'all bans are asked for first');
  const names = own.map(({ key }) => bucket(key.at(-1) ?? ''));
  assert.deepEqual(look, {
    question: 'look',
    keys: [NODES, ...names, seat('y'), seat('x')],
    args: ['3', ...own.flatMap(({ limit }) => [`${limit}`, `${HOUR}`])],
  });
  assert.equal((await node.store.view(1, node.now)).uses.length, 1);
});

test('the operator sees a thousand of each at most', async (t) => {
  const node = await Node.open(t);
  node.store.charge(
    Array.from({ length: 1_001 }, (_, i) => charge(`${i}`, 9, HOUR)),
    node.now,
  );
  assert.equal((await node.store.view(5_000, node.now)).uses.length, 1_000);
});

const full = (sender: string, cost = 1) => charge(sender, 2, HOUR, cost, 'sender');

/** A node that has one place for senders in Redis, which somebody else has. */
async function crowded(t: Parameters<typeof Node.open>[0]): Promise<Node> {
  const node = await Node.open(t, {}, 1);
  await node.store.take(asked([full('other')]), node.now);
  node.redis.heard.length = 0;
  return node;
}

test('who has no place in Redis is counted here, where Redis lets pass what else was asked', async (t) => {
  const node = await crowded(t);
  const ask = (): Promise<Taken> | Taken =>
    node.store.take(asked([full('late'), charge('a', 9, HOUR)], ['n']), node.now);
  assert.deepEqual(await ask(), { refused: -1, left: 1, banned: 'no' });
  assert.deepEqual(node.takeHeard(), [
    { question: 'take', keys: [...BANS, bucket('a')], args: ['1', '9', `${HOUR}`, '1', '1', 'n'] },
  ]);
  node.answers({ take: [0, 0, 0] });
  assert.deepEqual(await ask(), { refused: 1, left: 1, banned: 'no' }, 'by its place in the question');
  node.answers({ take: [-1, 2, 5] });
  assert.deepEqual(await ask(), { refused: -1, left: 1, banned: 'was' });
  node.answers({});
  assert.deepEqual(await ask(), { refused: -1, left: 0, banned: 'no' }, 'what was refused was not charged');
  node.redis.heard.length = 0;
  assert.deepEqual(await ask(), { refused: 0, left: 0, banned: 'no' });
  assert.deepEqual(node.takeHeard(), [], 'where there is no room here nothing is asked');
  assert.deepEqual(node.told, ['up', 'full: sender']);
});

test('a bucket here that has room for one takes no more than one', async (t) => {
  const node = await crowded(t);
  assert.deepEqual((await node.store.take(asked([full('late', 3)]), node.now)).refused, 0);
  assert.deepEqual((await node.store.take(asked([full('late', 2)]), node.now)).refused, -1);
  assert.deepEqual((await node.store.take(asked([full('late', 0)]), node.now)).refused, 0);
});

test('a strike counts the faults that Redis is asked of, and is not asked where it has no place', async (t) => {
  const node = await crowded(t);
  const hit = strike('n', 3, MINUTE, 3);
  const connector = charge('', 9, HOUR, 1, 'connector');
  const login = charge('n', 9, HOUR, 1, 'login');
  await node.store.take(asked([full('late'), connector, login, { ...connector }], [], hit), node.now);
  assert.deepEqual(node.takeHeard()[0]?.args.slice(-6), ['0', '3', `${MINUTE}`, '2', 'n', `${MINUTE}`]);
  const poor = { ...hit, charge: { ...hit.charge, key: full('late').key } };
  await node.store.take(asked([connector], [], poor), node.now);
  assert.deepEqual(node.takeHeard()[0], {
    question: 'take',
    keys: [...BANS, bucket('', 'connector')],
    args: ['1', '9', `${HOUR}`, '1', '0'],
  });
});

test('a connection is counted here where it has no place in Redis', async (t) => {
  const node = await crowded(t);
  const enter = async (more: Partial<Entry> = {}) =>
    (await node.store.enter(entry('a', { charges: [full('late')], ...more }), node.now)).refused;
  assert.equal(await enter(), null);
  node.answers({ enter: ['source', 0] });
  assert.equal(await enter(), 'source');
  node.answers({});
  assert.equal(await enter(), null, 'who was refused was not charged');
  node.redis.heard.length = 0;
  assert.equal(await enter(), 'rate');
  assert.deepEqual(node.takeHeard(), []);
  node.answers({ enter: ['connector', 0] });
  assert.equal(await enter({ force: true }), 'connector', 'what is only observed is asked for all the same');
  assert.equal(node.takeHeard().length, 1);
  await node.loses();
  assert.equal((await node.store.view(5, node.now)).open[0]?.open, 3);
});

test('what is charged without asking is told to Redis as far as it has a place there, and counted here', async (t) => {
  const node = await crowded(t);
  node.store.charge([full('late', 2), full('other')], node.now);
  const heard = await node.heard('charge');
  assert.deepEqual(heard.keys, [bucket('other', 'sender')]);
  node.redis.heard.length = 0;
  node.store.charge([full('late')], node.now);
  assert.equal((await node.store.take(asked([full('late', 0)]), node.now)).refused, 0);
  node.store.leave({ connector: 'internet', source: 'a' });
  await node.heard('move');
  assert.equal(node.takeHeard().length, 1, 'nothing else');
});

test('a connector always has a place', async (t) => {
  const node = await Node.open(t, {}, 0);
  await node.store.take(asked([charge('', 9, HOUR, 1, 'connector')]), node.now);
  assert.deepEqual(node.takeHeard()[0]?.keys, [...BANS, bucket('', 'connector')]);
  assert.deepEqual(node.told, ['up']);
});

test('a place is free when its bucket is empty, by the room that Redis found', async (t) => {
  const node = await Node.open(t, {}, 1);
  const isShared = async (name: string): Promise<boolean> => {
    node.redis.heard.length = 0;
    await node.store.take(asked([charge(name, 4, 1_000, 1, 'login')]), node.now);
    return node.takeHeard()[0]?.keys.length === BANS.length + 1;
  };
  node.answers({ take: [-1, 0, 1] }); // 3 of 4 are in it
  assert.equal(await isShared('first'), true);
  node.now += 749;
  assert.equal(await isShared('second'), false);
  node.now += 1;
  assert.equal(await isShared('second'), true);
});

test('a place of a bucket that takes nothing is free behind its window', async (t) => {
  const node = await Node.open(t, {}, 1);
  const none = asked([charge('first', 0, 1_000, 1, 'login')]);
  node.answers({ take: [0, 0, 0] });
  await node.store.take(none, node.now);
  for (const [ms, shared] of [
    [999, false],
    [1, true],
  ] as const) {
    node.now += ms;
    node.redis.heard.length = 0;
    await node.store.take(asked([charge('second', 9, HOUR, 1, 'login')]), node.now);
    assert.equal(node.takeHeard()[0]?.keys.length === BANS.length + 1, shared);
  }
});

test('that a share is full is said again after ten minutes, and not sooner', async (t) => {
  const node = await crowded(t);
  const late = (): unknown => node.store.take(asked([full('late', 0)]), node.now);
  await late();
  node.now += 599_999;
  await late();
  assert.deepEqual(node.told, ['up', 'full: sender']);
  node.now += 1;
  await late();
  assert.deepEqual(node.told, ['up', 'full: sender', 'full: sender']);
});
