// Calls from one thread to another, here over the two ports of a channel.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { type Calls, Line } from '../../src/commands/line.ts';

/** A line whose other side answers with these. */
function lineTo<Theirs extends Calls>(t: TestContext, theirs: Theirs): Line<Theirs> & { messages(): number } {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  new Line(port2, theirs);
  let messages = 0;
  port2.on('message', () => {
    messages++;
  });
  return Object.assign(new Line<Theirs>(port1, {}), { messages: () => messages });
}

test('calls answer with what the other side returns, now or later', async (t) => {
  const line = lineTo(t, {
    double: (n: number) => 2 * n,
    later: async (word: string) => `${word}!`,
  });
  assert.equal(await line.call('double', 21), 42);
  assert.equal(await line.call('later', 'soon'), 'soon!');
});

test('a late answer does not hold up the ones behind it', async (t) => {
  let answer = (_value: string): void => {};
  const line = lineTo(t, {
    slow: () =>
      new Promise<string>((resolve) => {
        answer = resolve;
      }),
    fast: () => 'fast',
  });
  const slow = line.call('slow');
  assert.equal(await line.call('fast'), 'fast');
  answer('slow');
  assert.equal(await slow, 'slow');
});

test('what is called in one turn crosses as one message, in its order', async (t) => {
  const heard: number[] = [];
  const line = lineTo(t, {
    hear: (n: number) => {
      heard.push(n);
    },
  });
  for (let n = 0; n < 99; n++) line.tell('hear', n);
  await line.call('hear', 99);
  assert.deepEqual(
    heard,
    Array.from({ length: 100 }, (_, n) => n),
  );
  assert.equal(line.messages(), 1);
});

test('a fault on the other side rejects the call with its sentence, and the line lives on', async (t) => {
  const line = lineTo(t, {
    fails: () => {
      throw new Error('no room');
    },
    failsLater: async () => {
      throw new Error('no room later');
    },
    works: () => 'yes',
  });
  await assert.rejects(line.call('fails'), { message: 'no room' });
  await assert.rejects(line.call('failsLater'), { message: 'no room later' });
  assert.equal(await line.call('works'), 'yes');
});

test('who waits when the line ends hears why, and so does who calls later', async (t) => {
  const line = lineTo(t, { never: () => new Promise<void>(() => {}) });
  const waiting = line.call('never');
  line.end('worker 2 ended');
  await assert.rejects(waiting, { message: 'worker 2 ended' });
  await assert.rejects(line.call('never'), { message: 'worker 2 ended' });
});
