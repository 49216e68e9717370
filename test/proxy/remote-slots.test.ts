// UpstreamSlots at the upstream for threads that ask another one for them.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { RemoteSlots, type SlotCalls, SlotServer } from '../../src/proxy/remote-slots.ts';
import { UpstreamSlots } from '../../src/proxy/upstream-slots.ts';
import { WorkerChannel } from '../../src/serve/worker-channel.ts';

function threadOf(t: TestContext, slots: UpstreamSlots): { remote: RemoteSlots; slotServer: SlotServer } {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const slotServer = new SlotServer(slots);
  new WorkerChannel(port2, slotServer.calls);
  return { remote: new RemoteSlots(new WorkerChannel<SlotCalls>(port1, {})), slotServer };
}

test('two threads have no more places than there are, and one that is given back is free for both', async (t) => {
  const slots = new UpstreamSlots(2, 0);
  const [one, two] = [threadOf(t, slots).remote, threadOf(t, slots).remote];
  const leave = await one.take();
  assert.notEqual(leave, null);
  assert.notEqual(await two.take(), null);
  assert.equal(await two.take(), null);
  leave?.();
  await one.take(); // behind it
  assert.equal(await two.take(), null);
});

test('who waits in one thread gets the place that another gives back', async (t) => {
  const slots = new UpstreamSlots(1, 60_000);
  const [one, two] = [threadOf(t, slots).remote, threadOf(t, slots).remote];
  const leave = await one.take();
  const waiting = two.take();
  leave?.();
  assert.notEqual(await waiting, null);
});

test('the places of a thread that ends are free, and so is one that it still waited for', async (t) => {
  const slots = new UpstreamSlots(2, 60_000);
  const [one, two] = [threadOf(t, slots), threadOf(t, slots)];
  await one.remote.take();
  await one.remote.take();
  const waiting = one.slotServer.calls.takePlace();
  one.slotServer.end();
  await waiting;
  assert.notEqual(await two.remote.take(), null);
  assert.notEqual(await two.remote.take(), null);
});
