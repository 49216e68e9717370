import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../src/limits/memory-store.ts';
import { asked, charge, HOUR, MINUTE, strike } from './questions.ts';
import { answersLikeAStore } from './store-contract.ts';

answersLikeAStore('memory', async () => {
  let now = 0;
  return {
    store: new MemoryStore(),
    now: () => now,
    pass: async (ms) => {
      now += ms;
    },
    done: async () => {},
  };
});

test('a look keeps a bucket among those in use, and makes none', () => {
  const store = new MemoryStore(4);
  store.take(asked([charge('a', 1, HOUR, 0)]), 0);
  assert.equal(store.size, 0);
});

test('no more buckets are kept than it was told to keep, however many sources come', () => {
  const store = new MemoryStore(100);
  for (let source = 0; source < 10_000; source++) store.take(asked([charge(`source ${source}`, 5, HOUR)]), source);
  assert.ok(store.size <= 100 && store.size >= 50, `${store.size}`);
});

test('every kind has its own room: invented senders push out no source', () => {
  const store = new MemoryStore(100);
  store.take(asked([charge('patient', 1, HOUR)]), 0);
  for (let i = 0; i < 10_000; i++) store.take(asked([charge(`sender ${i}`, 5, HOUR, 1, 'sender')]), 1);
  assert.ok(store.size <= 26, `${store.size}`);
  assert.equal(store.take(asked([charge('patient', 1, HOUR)]), 2).refused, 0);
});

test('a flooder that goes on asking is refused through any number of fresh sources', () => {
  const store = new MemoryStore(1_000);
  const flooder = asked([charge('flooder', 10, HOUR)]);
  let passed = 0;
  for (let i = 0; i < 100_000; i++) {
    if (i % 100 === 0 && store.take(flooder, 0).refused === -1) passed++;
    store.take(asked([charge(`fresh ${i}`, 10, HOUR)]), 0);
  }
  assert.equal(passed, 10);
});

test('a flooder that rests while a flood of its fresh sources goes by does not start anew', () => {
  const store = new MemoryStore(1_000);
  const flooder = asked([charge('flooder', 10, HOUR)]);
  for (let i = 0; i < 10; i++) assert.equal(store.take(flooder, 0).refused, -1);
  for (let i = 0; i < 50_000; i++) store.take(asked([charge(`fresh ${i}`, 10, HOUR)]), 0);
  assert.equal(store.take(flooder, 1_000).refused, 0);
});

test('an exhausted bucket that was left alone goes only where many others are as exhausted', () => {
  for (const [others, refused] of [
    [100, -1],
    [30, 0],
  ] as const) {
    const store = new MemoryStore(200);
    const exhausted = ['first', ...Array.from({ length: others }, (_, i) => `more ${i}`)];
    for (const name of exhausted) for (let n = 0; n < 2; n++) store.take(asked([charge(name, 2, HOUR)]), 0);
    for (let i = 0; i < 1_000; i++) store.take(asked([charge(`fresh ${i}`, 2, HOUR)]), 0);
    assert.equal(store.take(asked([charge('first', 2, HOUR)]), 0).refused, refused, `${others} others`);
  }
});

test('the oldest of those that say nothing any more goes first', () => {
  const store = new MemoryStore(4);
  store.take(asked([charge('long', 1, HOUR)]), 0);
  for (const name of ['a', 'b', 'c']) store.take(asked([charge(name, 1, MINUTE)]), 0);
  store.take(asked([charge('d', 1, MINUTE)]), 2 * MINUTE);
  assert.equal(store.take(asked([charge('long', 1, HOUR)]), 2 * MINUTE).refused, 0);
});

test('bans are bounded: the one that was needed longest ago goes', () => {
  const store = new MemoryStore();
  for (let i = 0; i < 100_001; i++) store.ban({ network: `net ${i}`, for: HOUR, by: 'operator' }, 0);
  assert.equal(store.bans(0), 100_000);
  assert.equal(store.take(asked([], ['net 0']), 0).banned, 'no');
  assert.equal(store.take(asked([], ['net 1']), 0).banned, 'was');
});

test('the count of bans is of those that hold still', () => {
  const store = new MemoryStore();
  store.ban({ network: 'a', for: 10, by: 'operator' }, 0);
  store.ban({ network: 'b', for: 20, by: 'operator' }, 0);
  assert.deepEqual([store.bans(9), store.bans(10), store.bans(20)], [2, 1, 0]);
});

test('the operator sees the bans that hold still, how long, and so many of them', () => {
  const store = new MemoryStore();
  for (const [network, time] of [
    ['a', 10],
    ['b', 20],
    ['c', 30],
  ] as const)
    store.ban({ network, for: time, by: 'operator' }, 5);
  const bans = (most: number, now: number) => store.view(most, now).bans.map((ban) => [ban.network, ban.for, ban.by]);
  assert.deepEqual(bans(5, 15).toSorted(), [
    ['b', 10, 'operator'],
    ['c', 20, 'operator'],
  ]);
  assert.deepEqual([bans(2, 5).length, bans(0, 5).length], [2, 0]);
});

test('the operator sees no bucket that has leaked out', () => {
  const store = new MemoryStore();
  store.take(asked([charge('a', 2, MINUTE)]), 0);
  assert.equal(store.view(10, 0).uses.length, 1);
  assert.equal(store.view(10, MINUTE).uses.length, 0);
});

test('a strike is charged for the faults of a source and for nothing else', () => {
  const store = new MemoryStore();
  const mine = charge('mine', 0, MINUTE);
  const connector = charge('all', 0, MINUTE, 1, 'connector');
  const hit = strike('a', 1, MINUTE, 1);
  assert.deepEqual(store.take(asked([connector], ['a'], { ...hit, faults: 0 }), 0).banned, 'no');
  assert.deepEqual(store.take(asked([mine], ['a'], hit), 0).banned, 'now');
});

test('what others found in a bucket is taken over, and an untouched one takes no room', () => {
  const store = new MemoryStore();
  const ten = charge('a', 10, HOUR);
  store.settle([ten], [10], 0);
  assert.equal(store.size, 0);
  assert.equal(store.left(ten, 0), 10);
  assert.equal(store.bucket(ten.key, 0), null);
  store.settle([ten, charge('b', 10, HOUR)], [3], 0);
  assert.equal(store.left(ten, 0), 3);
  assert.equal(store.size, 1, 'nobody said how much is in the other');
  assert.equal(store.bucket(ten.key, 0)?.level, 7 * HOUR);
  store.settle([ten], [5], 0);
  assert.equal(store.left(ten, 0), 5);
  assert.equal(store.bucket(ten.key, HOUR), null, 'it has leaked out');
  store.settle([ten], [3], HOUR);
  store.settle([ten], [10], HOUR);
  assert.equal(store.left(ten, HOUR), 10);
  assert.equal(store.bucket(ten.key, HOUR), null);
});

test('what is charged without asking adds up', () => {
  const store = new MemoryStore();
  const one = charge('a', 10, HOUR);
  store.charge([one], 0);
  store.charge([one], 0);
  assert.equal(store.left(one, 0), 8);
});

test('connections that were open before are counted, and each is told', () => {
  const store = new MemoryStore();
  const seat = { connector: 'internet', source: '192.0.2.1/32' };
  store.seat(seat);
  store.seat(seat);
  assert.deepEqual([...store.seats()], [{ ...seat, open: 2 }]);
  store.leave(seat);
  assert.deepEqual([...store.seats()], [{ ...seat, open: 1 }]);
});

test('who is banned is asked nothing, and no place without strikes bans nobody', () => {
  const store = new MemoryStore();
  const networks = ['192.0.2.1/32'];
  store.ban({ network: '192.0.2.1/32', for: MINUTE, by: 'operator' }, 0);
  const asking = { ...asked([charge('a', 10, HOUR)]), networks };
  assert.deepEqual(store.take(asking, 0), { refused: -1, left: 0, banned: 'was' });
  const seat = { connector: 'internet', source: '192.0.2.2/32' };
  const entry = { ...asked([]), seat, ofSource: 0, ofConnector: 10, percent: 100, force: false };
  assert.deepEqual(store.enter(entry, 0), { refused: 'source', banned: 'no' });
});

test('a ban for limits that were exceeded is told from one of the operator', () => {
  const store = new MemoryStore();
  const source = '192.0.2.1/32';
  const question = asked([charge('a', 0, HOUR)], [source], strike(source, 1, MINUTE, 1));
  assert.equal(store.take(question, 0).banned, 'now');
  assert.deepEqual(
    store.view(10, 0).bans.map(({ by }) => by),
    ['limits'],
  );
});
