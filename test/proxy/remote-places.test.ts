// Places at the upstream for threads that ask another one for them.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { Line } from '../../src/commands/line.ts';
import { Places } from '../../src/proxy/places.ts';
import { Lodger, type PlaceCalls, RemotePlaces } from '../../src/proxy/remote-places.ts';

function threadOf(t: TestContext, places: Places): { remote: RemotePlaces; lodger: Lodger } {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const lodger = new Lodger(places);
  new Line(port2, lodger.calls);
  return { remote: new RemotePlaces(new Line<PlaceCalls>(port1, {})), lodger };
}

test('two threads have no more places than there are, and one that is given back is free for both', async (t) => {
  const places = new Places(2, 0);
  const [one, two] = [threadOf(t, places).remote, threadOf(t, places).remote];
  const leave = await one.take();
  assert.notEqual(leave, null);
  assert.notEqual(await two.take(), null);
  assert.equal(await two.take(), null);
  leave?.();
  await one.take(); // behind it
  assert.equal(await two.take(), null);
});

test('who waits in one thread gets the place that another gives back', async (t) => {
  const places = new Places(1, 60_000);
  const [one, two] = [threadOf(t, places).remote, threadOf(t, places).remote];
  const leave = await one.take();
  const waiting = two.take();
  leave?.();
  assert.notEqual(await waiting, null);
});

test('the places of a thread that ends are free, and so is one that it still waited for', async (t) => {
  const places = new Places(2, 60_000);
  const [one, two] = [threadOf(t, places), threadOf(t, places)];
  await one.remote.take();
  await one.remote.take();
  const waiting = one.lodger.calls.takePlace();
  one.lodger.end();
  await waiting;
  assert.notEqual(await two.remote.take(), null);
  assert.notEqual(await two.remote.take(), null);
});
