// What every store answers, wherever its counts are: the same questions to memory and to Redis.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../../src/limits/store.ts';
import { asked, charge, entry, HOUR, MINUTE, strike } from './questions.ts';

export interface Bench {
  readonly store: Store;
  now(): number;
  /** Lets time go by. */
  pass(ms: number): Promise<void>;
  /** Whether it was late or away meanwhile, as on a busy machine, and something else counted in its place: then nothing was shown. */
  wasLost?(): boolean;
  done(): Promise<void>;
}

const ATTEMPTS = 5;

/** `skip`: the reason why there is no such store here. */
export function answersLikeAStore(name: string, make: () => Promise<Bench>, skip: string | false = false): void {
  const check = (sentence: string, body: (bench: Bench) => Promise<void>): void => {
    test(`${name}: ${sentence}`, { skip }, async () => {
      for (let attempt = 1; ; attempt++) {
        const bench = await make();
        try {
          await body(bench);
          return;
        } catch (error) {
          if (attempt === ATTEMPTS || bench.wasLost?.() !== true) throw error;
        } finally {
          await bench.done();
        }
      }
    });
  };

  check('a bucket takes its limit and not one more', async ({ store, now }) => {
    const question = asked([charge('a', 3, HOUR)]);
    for (const left of [2, 1, 0])
      assert.deepEqual(await store.take(question, now()), { refused: -1, left, banned: 'no' });
    assert.deepEqual(await store.take(question, now()), { refused: 0, left: 0, banned: 'no' });
  });

  check('what has leaked out has room again', async ({ store, now, pass }) => {
    const question = asked([charge('a', 2, 6_000)]);
    await store.take(question, now());
    await store.take(question, now());
    assert.equal((await store.take(question, now())).refused, 0);
    await pass(3_000);
    assert.equal((await store.take(question, now())).refused, -1);
    assert.equal((await store.take(question, now())).refused, 0);
  });

  check('all buckets are charged or none, and the first without room is named', async ({ store, now }) => {
    await store.take(asked([charge('b', 1, HOUR)]), now());
    const both = asked([charge('a', 5, HOUR), charge('b', 1, HOUR)]);
    assert.equal((await store.take(both, now())).refused, 1);
    assert.deepEqual(await store.take(asked([charge('a', 5, HOUR, 0)]), now()), { refused: -1, left: 5, banned: 'no' });
  });

  check('a cost of 0 asks and takes nothing', async ({ store, now }) => {
    const look = asked([charge('a', 1, HOUR, 0)]);
    for (let i = 0; i < 3; i++) assert.equal((await store.take(look, now())).refused, -1);
    assert.equal((await store.take(asked([charge('a', 1, HOUR)]), now())).refused, -1);
    assert.equal((await store.take(look, now())).refused, 0);
  });

  check('what is charged without asking may overflow, and then nothing fits', async ({ store, now, pass }) => {
    store.charge([charge('a', 100, 4_000, 150)], now());
    const look = asked([charge('a', 100, 4_000, 0)]);
    assert.deepEqual(await store.take(look, now()), { refused: 0, left: 0, banned: 'no' });
    await pass(2_800);
    assert.equal((await store.take(look, now())).refused, -1);
  });

  check('octets are counted exactly up to many', async ({ store, now }) => {
    const limit = 2 ** 31;
    store.charge([charge('a', limit, HOUR, limit - 1)], now());
    const { left } = await store.take(asked([charge('a', limit, HOUR, 0)]), now());
    // Within the moment between the two something leaks; never does less fit than that.
    assert.ok(left >= 1 && left < (limit / HOUR) * 5_000, `${left}`);
  });

  check('a changed limit acts at the next question, on what is in the bucket', async ({ store, now }) => {
    for (let i = 0; i < 4; i++) await store.take(asked([charge('a', 10, HOUR)]), now());
    assert.deepEqual(await store.take(asked([charge('a', 5, 2 * HOUR, 0)]), now()), {
      refused: -1,
      left: 1,
      banned: 'no',
    });
    assert.equal((await store.take(asked([charge('a', 4, HOUR, 0)]), now())).refused, 0);
  });

  check('after so many exceeded limits the source is banned, and nothing is charged to who is', async (bench) => {
    const { store, now, pass } = bench;
    const question = asked([charge('a', 1, HOUR)], ['192.0.2.1/32'], strike('192.0.2.1/32', 2, 3_000, 1));
    assert.equal((await store.take(question, now())).banned, 'no');
    assert.deepEqual(await store.take(question, now()), { refused: 0, left: 0, banned: 'no' });
    assert.deepEqual(await store.take(question, now()), { refused: 0, left: 0, banned: 'now' });
    assert.equal((await store.take(question, now())).banned, 'was');
    const other = asked([charge('b', 1, HOUR)], ['192.0.2.1/32']);
    assert.equal((await store.take(other, now())).banned, 'was');
    assert.deepEqual(await store.enter(entry('192.0.2.1/32'), now()), { refused: 'ban', banned: 'was' });
    await pass(3_010);
    assert.equal((await store.take(other, now())).refused, -1);
    assert.deepEqual(await store.enter(entry('192.0.2.1/32'), now()), { refused: null, banned: 'no' });
  });

  check('a source, the share of one, and a connector have so many connections and not one more', async (bench) => {
    const { store, now } = bench;
    const limits = { ofSource: 3, ofConnector: 5, percent: 100 };
    const enter = async (source: string, more = {}) =>
      (await store.enter(entry(source, { ...limits, ...more }), now())).refused;
    assert.equal(await enter('a'), null);
    assert.equal(await enter('a'), null);
    assert.equal(await enter('a'), null);
    assert.equal(await enter('a'), 'source');
    assert.equal(await enter('b', { percent: 50 }), null); // half of the two that are left
    assert.equal(await enter('b', { percent: 50 }), 'percent');
    assert.equal(await enter('c', { percent: 1 }), null); // one is always a source's share
    assert.equal(await enter('d', { percent: 1 }), 'connector');
    store.leave({ connector: 'internet', source: 'a' });
    assert.equal(await enter('d'), null);
    assert.equal(await enter('e'), 'connector');
  });

  check('a source is counted for each connector by itself', async ({ store, now }) => {
    await store.enter(entry('a', { seat: { connector: 'lan', source: 'a' } }), now());
    assert.equal((await store.enter(entry('a', { ofSource: 1 }), now())).refused, null);
    assert.equal((await store.enter(entry('a', { ofSource: 1 }), now())).refused, 'source');
  });

  check(
    'a connection for which there is no place is charged to no rate, one that comes too fast has no place',
    async (bench) => {
      const { store, now } = bench;
      const rate = charge('a', 2, HOUR);
      assert.equal((await store.enter(entry('a', { charges: [rate], ofSource: 0 }), now())).refused, 'source');
      assert.equal((await store.enter(entry('a', { charges: [rate], ofSource: 2 }), now())).refused, null);
      assert.equal((await store.enter(entry('a', { charges: [rate], ofSource: 3 }), now())).refused, null);
      assert.equal((await store.enter(entry('a', { charges: [rate], ofSource: 3 }), now())).refused, 'rate');
      assert.deepEqual((await store.view(5, now())).open, [{ connector: 'internet', source: 'a', open: 2 }]);
    },
  );

  check('what is only observed is counted all the same', async ({ store, now }) => {
    assert.equal((await store.enter(entry('a', { ofSource: 0, force: true }), now())).refused, 'source');
    assert.deepEqual((await store.view(5, now())).open, [{ connector: 'internet', source: 'a', open: 1 }]);
  });

  check('connections that a limit refuses too often are a strike, those of a full connector are not', async (bench) => {
    const { store, now } = bench;
    const hit = strike('a', 2, MINUTE, 0);
    const full = entry('a', { ofConnector: 0, strike: hit });
    for (let i = 0; i < 3; i++)
      assert.deepEqual(await store.enter(full, now()), { refused: 'connector', banned: 'no' });
    const own = entry('a', { ofSource: 0, strike: hit });
    assert.deepEqual(await store.enter(own, now()), { refused: 'source', banned: 'no' });
    assert.deepEqual(await store.enter(own, now()), { refused: 'source', banned: 'now' });
    assert.deepEqual(await store.enter(own, now()), { refused: 'ban', banned: 'was' });
  });

  check('faults that follow at once are one strike, where the question says so', async ({ store, now, pass }) => {
    const once = charge('a', 1, 2_000, 1, 'sender');
    const own = entry('a', { ofSource: 0, strike: { ...strike('a', 2, MINUTE, 0), once } });
    for (let i = 0; i < 6; i++) assert.deepEqual(await store.enter(own, now()), { refused: 'source', banned: 'no' });
    await pass(2_000);
    assert.deepEqual(await store.enter(own, now()), { refused: 'source', banned: 'now' });
    assert.deepEqual(await store.enter(own, now()), { refused: 'ban', banned: 'was' });
  });

  check(
    'who only has not what others have taken is not struck; who goes beyond the share of one alone is',
    async (bench) => {
      const { store, now } = bench;
      const limits = { ofConnector: 4, percent: 50, strike: strike('a', 1, MINUTE, 0) };
      for (const other of ['b', 'c', 'd']) await store.enter(entry(other), now());
      assert.deepEqual(await store.enter(entry('a', limits), now()), { refused: null, banned: 'no' });
      for (let i = 0; i < 3; i++)
        assert.deepEqual(await store.enter(entry('a', limits), now()), { refused: 'percent', banned: 'no' });
      for (const other of ['b', 'c', 'd']) store.leave({ connector: 'internet', source: other });
      assert.deepEqual(await store.enter(entry('a', limits), now()), { refused: null, banned: 'no' });
      assert.deepEqual(await store.enter(entry('a', limits), now()), { refused: 'percent', banned: 'now' });
    },
  );

  check('the operator bans, sees the ban, and lifts it', async ({ store, now }) => {
    const ban = { network: '192.0.2.0/24', for: HOUR, by: 'operator' } as const;
    assert.equal(await store.ban(ban, now()), true);
    assert.equal(await store.ban({ ...ban, for: MINUTE }, now()), false);
    const [seen] = (await store.view(5, now())).bans;
    assert.deepEqual([seen?.network, seen?.by], ['192.0.2.0/24', 'operator']);
    assert.ok((seen?.for ?? 0) > HOUR - 5_000, 'a shorter ban does not cut a longer one short');
    assert.equal((await store.take(asked([], ['192.0.2.7/32', '192.0.2.0/24']), now())).banned, 'was');
    assert.equal(await store.lift('192.0.2.0/24', now()), true);
    assert.equal(await store.lift('192.0.2.0/24', now()), false);
    assert.equal((await store.take(asked([], ['192.0.2.7/32', '192.0.2.0/24']), now())).banned, 'no');
  });

  check('the operator sees the fullest buckets first, and no more than asked for', async ({ store, now }) => {
    for (const [name, times] of [
      ['few', 1],
      ['most', 3],
      ['some', 2],
    ] as const)
      for (let i = 0; i < times; i++) await store.take(asked([charge(name, 10, HOUR)]), now());
    const { uses } = await store.view(2, now());
    assert.deepEqual(
      uses.map(({ key, used, limit, window }) => [key.split('\0').at(-1), Math.round(used), limit, window]),
      [
        ['most', 3, 10, HOUR],
        ['some', 2, 10, HOUR],
      ],
    );
  });

  check('questions and answers are plain data', async ({ store, now }) => {
    const question = structuredClone(asked([charge('a', 1, HOUR)], ['n'], strike('n', 1, HOUR, 1)));
    const answer = await store.take(question, now());
    assert.deepEqual(structuredClone(answer), answer);
    const entered = await store.enter(structuredClone(entry('a')), now());
    assert.deepEqual(structuredClone(entered), entered);
  });
}
