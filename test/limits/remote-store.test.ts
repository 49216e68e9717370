// The counts of threads that ask another one: the very answers of its store, and the end of a thread.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { MemoryStore } from '../../src/limits/memory-store.ts';
import { RemoteStore, type StoreCalls, type StoreChannel, StoreServer } from '../../src/limits/remote-store.ts';
import type { Charge, Entry, Seat, Store } from '../../src/limits/store.ts';
import { WorkerChannel } from '../../src/serve/worker-channel.ts';
import { answersLikeAStore } from './store-contract.ts';

answersLikeAStore('remote', async () => {
  let now = 0;
  const { port1, port2 } = new MessageChannel();
  new WorkerChannel(port2, new StoreServer(new MemoryStore(), () => now).calls);
  return {
    store: new RemoteStore(new WorkerChannel<StoreCalls>(port1, {})),
    now: () => -1, // it is not the asker's that counts
    pass: async (ms) => {
      now += ms;
    },
    done: async () => port1.close(),
  };
});

const SEAT: Seat = { connector: 'internet', source: '192.0.2.1/32' };

function charge(limit: number): Charge {
  return { key: 'source.message_rate\0internet\x00192.0.2.1/32', limit, window: 60_000, cost: 1 };
}

function asked(limit: number) {
  return { networks: [SEAT.source], charges: [charge(limit)], strike: null };
}

function entry(ofSource: number, more: Partial<Entry> = {}): Entry {
  const limits = { ofSource, ofConnector: Number.POSITIVE_INFINITY, percent: 100, force: false };
  return { networks: [], charges: [], strike: null, seat: SEAT, ...limits, ...more };
}

function tenantOf(t: TestContext, store: Store): { remote: Store; storeServer: StoreServer } {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const storeServer = new StoreServer(store, () => 1_000);
  new WorkerChannel(port2, storeServer.calls);
  return { remote: new RemoteStore(new WorkerChannel<StoreCalls>(port1, {})), storeServer };
}

test('a limit is exact over two threads, however they interleave', async (t) => {
  const store = new MemoryStore();
  const threads = [tenantOf(t, store).remote, tenantOf(t, store).remote];
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => threads[i % 2]?.take(asked(37), 0)));
  assert.equal(answers.filter((taken) => taken?.refused === -1).length, 37);
});

test('the clock is that of the thread that keeps the counts', async (t) => {
  const { remote } = tenantOf(t, new MemoryStore());
  await remote.take(asked(1), 0);
  assert.equal((await remote.take(asked(1), 1e9)).refused, 0);
});

test('connections of two threads are counted together, and one that leaves makes room', async (t) => {
  const store = new MemoryStore();
  const [one, two] = [tenantOf(t, store).remote, tenantOf(t, store).remote];
  assert.equal((await one.enter(entry(2), 0)).refused, null);
  assert.equal((await two.enter(entry(2), 0)).refused, null);
  assert.equal((await one.enter(entry(2), 0)).refused, 'source');
  two.leave(SEAT);
  await two.view(1, 0);
  assert.equal((await one.enter(entry(2), 0)).refused, null);
});

test('the connections of a thread that ends are uncounted, those of the others stay', async (t) => {
  const store = new MemoryStore();
  const [one, two] = [tenantOf(t, store), tenantOf(t, store)];
  for (let i = 0; i < 3; i++) await one.remote.enter(entry(9), 0);
  await one.remote.enter(entry(0, { force: true }), 0);
  await one.remote.enter(entry(0), 0);
  await two.remote.enter(entry(9), 0);
  one.remote.leave(SEAT);
  await one.remote.view(1, 0);
  assert.deepEqual(store.view(9, 0).open, [{ ...SEAT, open: 4 }]);
  one.storeServer.end();
  assert.deepEqual(store.view(9, 0).open, [{ ...SEAT, open: 1 }]);
});

test('a connection that is let in when its thread is gone already is uncounted at once', async (t) => {
  const store = new MemoryStore();
  let letIn = (): void => {};
  const slow: Store = Object.assign(Object.create(store), {
    enter: (wanted: Entry, now: number) =>
      new Promise((resolve) => {
        letIn = () => resolve(store.enter(wanted, now));
      }),
    leave: (seat: Seat) => store.leave(seat),
  });
  const { storeServer } = tenantOf(t, slow);
  const entered = storeServer.calls.enter(entry(9));
  storeServer.end();
  letIn();
  await entered;
  assert.deepEqual(store.view(9, 0).open, []);
});

test('a thread cannot uncount what it has not', async (t) => {
  const store = new MemoryStore();
  const [one, two] = [tenantOf(t, store).remote, tenantOf(t, store).remote];
  await one.enter(entry(9), 0);
  two.leave(SEAT);
  await two.view(1, 0);
  assert.deepEqual(store.view(9, 0).open, [{ ...SEAT, open: 1 }]);
});

test('a ban that one thread puts holds in the other, until it is lifted', async (t) => {
  const store = new MemoryStore();
  const [one, two] = [tenantOf(t, store).remote, tenantOf(t, store).remote];
  assert.equal(await one.ban({ network: SEAT.source, for: 60_000, by: 'operator' }, 0), true);
  assert.equal((await two.take(asked(9), 0)).banned, 'was');
  assert.equal((await two.view(9, 0)).bans.length, 1);
  assert.equal(await two.lift(SEAT.source, 0), true);
  assert.equal((await one.take(asked(9), 0)).banned, 'no');
});

test('a thread that ends leaves the places that it had, each as often as it had it, and no other', () => {
  const left: string[] = [];
  let refused: 'source' | null = null;
  const store = {
    enter: () => ({ refused, banned: 'no' }),
    leave: ({ connector, source }: Seat) => left.push(`${connector} ${source}`),
  } as unknown as Store;
  const server = new StoreServer(store, () => 0);
  const { enter, leave } = server.calls;
  const at = (connector: string, source: string): Seat => ({ connector, source });
  for (const source of ['a', 'a', 'b', 'c']) void enter(entry(9, { seat: at('internet', source) }));
  void enter(entry(9, { seat: at('lan', 'a') }));
  refused = 'source';
  void enter(entry(9, { seat: at('internet', 'd') }));
  void enter(entry(9, { seat: at('internet', 'e'), force: true }));
  leave(at('internet', 'c'));
  leave(at('internet', 'c'));
  leave(at('internet', 'd'));
  assert.deepEqual(left.splice(0), ['internet c'], 'who has no place leaves none');
  server.end();
  assert.deepEqual(left.splice(0).sort(), ['internet a', 'internet a', 'internet b', 'internet e', 'lan a']);
  server.end();
  assert.deepEqual(left, []);
});

test('the thread that asks keeps no bans', () => {
  const channel = { call: () => Promise.reject(new Error('nobody asks')), tell: () => {} } as unknown as StoreChannel;
  assert.equal(new RemoteStore(channel).bans(), 0);
});
