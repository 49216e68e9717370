// Calls from one thread to another, here over the two ports of a channel.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { type Calls, WorkerChannel } from '../../src/serve/worker-channel.ts';

/** A line whose other side answers with these. */
function lineTo<Theirs extends Calls>(t: TestContext, theirs: Theirs): WorkerChannel<Theirs> & { messages(): number } {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  new WorkerChannel(port2, theirs);
  let messages = 0;
  port2.on('message', () => {
    messages++;
  });
  return Object.assign(new WorkerChannel<Theirs>(port1, {}), { messages: () => messages });
}

test('calls answer with what the other side returns, now or later', async (t) => {
  const channel = lineTo(t, {
    double: (n: number) => 2 * n,
    later: async (word: string) => `${word}!`,
  });
  assert.equal(await channel.call('double', 21), 42);
  assert.equal(await channel.call('later', 'soon'), 'soon!');
});

test('a late answer does not hold up the ones behind it', async (t) => {
  let answer = (_value: string): void => {};
  const channel = lineTo(t, {
    slow: () =>
      new Promise<string>((resolve) => {
        answer = resolve;
      }),
    fast: () => 'fast',
  });
  const slow = channel.call('slow');
  assert.equal(await channel.call('fast'), 'fast');
  answer('slow');
  assert.equal(await slow, 'slow');
});

test('what is called in one turn crosses as one message, in its order', async (t) => {
  const heard: number[] = [];
  const channel = lineTo(t, {
    hear: (n: number) => {
      heard.push(n);
    },
  });
  for (let n = 0; n < 99; n++) channel.tell('hear', n);
  await channel.call('hear', 99);
  assert.deepEqual(
    heard,
    Array.from({ length: 100 }, (_, n) => n),
  );
  assert.equal(channel.messages(), 1);
});

test('a fault on the other side rejects the call with its sentence, and the line lives on', async (t) => {
  const channel = lineTo(t, {
    fails: () => {
      throw new Error('no room');
    },
    failsLater: async () => {
      throw new Error('no room later');
    },
    works: () => 'yes',
  });
  await assert.rejects(channel.call('fails'), { message: 'no room' });
  await assert.rejects(channel.call('failsLater'), { message: 'no room later' });
  assert.equal(await channel.call('works'), 'yes');
});

test('who waits when the line ends hears why, and so does who calls later', async (t) => {
  const channel = lineTo(t, { never: () => new Promise<void>(() => {}) });
  const waiting = channel.call('never');
  channel.end('worker 2 ended');
  await assert.rejects(waiting, { message: 'worker 2 ended' });
  await assert.rejects(channel.call('never'), { message: 'worker 2 ended' });
});
