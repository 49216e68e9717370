// UpstreamSlots at the upstream for threads that ask another one for them.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel, Worker } from 'node:worker_threads';
import { RemoteSlots, type SlotCalls, SlotServer } from '../../src/proxy/remote-slots.ts';
import { AllSlots } from '../../src/proxy/upstream-slots.ts';
import { WorkerChannel } from '../../src/serve/worker-channel.ts';
import type { SlotsThread } from './slots-thread.ts';

function places(limit: number, patience: number): AllSlots {
  return new AllSlots([
    { name: 'default', limit, patience },
    { name: 'relay', limit, patience },
  ]);
}

function threadOf(t: TestContext, slots: AllSlots): { remote: RemoteSlots; slotServer: SlotServer } {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const slotServer = new SlotServer(slots);
  new WorkerChannel(port2, slotServer.calls);
  return { remote: new RemoteSlots(new WorkerChannel<SlotCalls>(port1, {})), slotServer };
}

test('two threads have no more places than there are, and one that is given back is free for both', async (t) => {
  const slots = places(2, 0);
  const [one, two] = [threadOf(t, slots).remote, threadOf(t, slots).remote];
  const leave = await one.take('default');
  assert.notEqual(leave, null);
  assert.notEqual(await two.take('default'), null);
  assert.equal(await two.take('default'), null);
  leave?.();
  await one.take('default'); // behind it
  assert.equal(await two.take('default'), null);
});

test('who waits in one thread gets the place that another gives back', async (t) => {
  const slots = places(1, 60_000);
  const [one, two] = [threadOf(t, slots).remote, threadOf(t, slots).remote];
  const leave = await one.take('default');
  const waiting = two.take('default');
  leave?.();
  assert.notEqual(await waiting, null);
});

test('the places of a thread that ends are free, and so is one that it still waited for', async (t) => {
  const slots = places(2, 60_000);
  const [one, two] = [threadOf(t, slots), threadOf(t, slots)];
  await one.remote.take('default');
  await one.remote.take('default');
  const waiting = one.slotServer.calls.takePlace('default');
  one.slotServer.end();
  await waiting;
  assert.notEqual(await two.remote.take('default'), null);
  assert.notEqual(await two.remote.take('default'), null);
});

test('each upstream has places of its own, and a place goes back to where it came from', async (t) => {
  const slots = places(1, 0);
  const { remote, slotServer } = threadOf(t, slots);
  const leave = await remote.take('default');
  assert.equal(await remote.take('default'), null);
  assert.notEqual(await remote.take('relay'), null);
  leave?.();
  assert.notEqual(await remote.take('default'), null);
  assert.equal(await remote.take('relay'), null);
  slotServer.end();
  assert.notEqual(await slots.take('relay'), null);
  assert.equal(await slots.take('elsewhere'), null);
});

test('a reload gives more places to who waits for one, and fewer take nobody out', async () => {
  const slots = new AllSlots([{ name: 'default', limit: 1, patience: 60_000 }]);
  const first = await slots.take('default');
  const waiting = slots.take('default');
  slots.change([{ name: 'default', limit: 2, patience: 60_000 }]);
  const second = await waiting;
  slots.change([{ name: 'default', limit: 1, patience: 0 }]);
  assert.equal(await slots.take('default'), null);
  second?.();
  assert.equal(await slots.take('default'), null, 'the one place is taken still');
  first?.();
  assert.notEqual(await slots.take('default'), null);
});

for (const patience of [60_000, 0])
  test(`three threads at once never have more places than there are, and lose none (patience ${patience})`, async (t) => {
    const limit = 5;
    const slots = new AllSlots([{ name: 'default', limit, patience }]);
    const inside = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
    const workerData: SlotsThread = { limit, times: 2_000, sessions: 4, inside };
    const channels = [1, 2, 3].map(() => {
      const thread = new Worker(new URL('./slots-thread.ts', import.meta.url), { workerData });
      t.after(() => thread.terminate());
      return new WorkerChannel<{ go(): Promise<number> }>(thread, new SlotServer(slots).calls);
    });
    const nones = await Promise.all(channels.map((channel) => channel.call('go')));
    if (patience > 0) assert.deepEqual(nones, [0, 0, 0]);
    assert.deepEqual([...new Int32Array(inside)], [0, 0], 'more had one than there are');
    for (let place = 0; place < limit; place++) assert.equal(typeof slots.take('default'), 'function');
    slots.change([{ name: 'default', limit, patience: 0 }]);
    assert.equal(slots.take('default'), null);
  });
