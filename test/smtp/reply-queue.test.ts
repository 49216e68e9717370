// The queue of replies owed: its order, and the marks at which a session stops reading and goes on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QUEUE_LIMIT, ReplyQueue } from '../../src/smtp/reply-queue.ts';

const MAIL = 3;

test('is full at a thousand replies, and has room again at five hundred', () => {
  const queue = new ReplyQueue();
  for (let count = 1; count < QUEUE_LIMIT; count++) queue.expect(MAIL);
  assert.equal(queue.isFull, false);
  queue.expect(MAIL);
  assert.equal(queue.isFull, true);
  while (queue.length > QUEUE_LIMIT / 2 + 1) queue.shift();
  assert.equal(queue.isHalfEmpty, false);
  queue.shift();
  assert.equal(queue.isHalfEmpty, true);
});

test('is full at 32 KiB of replies of ours, and has room again at half of them', () => {
  const queue = new ReplyQueue();
  queue.expect(MAIL);
  for (let count = 0; count < 31; count++) queue.say(Buffer.alloc(1024));
  queue.say(Buffer.alloc(1023));
  assert.equal(queue.isFull, false);
  queue.say(Buffer.alloc(1));
  assert.equal(queue.isFull, true);
  queue.shift();
  for (let count = 0; count < 15; count++) queue.takeOurs();
  assert.equal(queue.isHalfEmpty, false);
  queue.takeOurs();
  assert.equal(queue.isHalfEmpty, true);
});

test('keeps its order and its counts far beyond its limit', () => {
  const queue = new ReplyQueue();
  queue.expect(-1);
  for (let kind = 0; kind < 3 * QUEUE_LIMIT; kind++) {
    queue.expect(kind);
    queue.shift();
    assert.equal(queue.peek(), kind);
    assert.equal(queue.length, 1);
    assert.equal(queue.isEmpty, false);
    assert.equal(queue.outstanding, 1);
  }
  assert.equal(queue.takeOurs(), null);
  queue.shift();
  assert.equal(queue.isEmpty, true);
  assert.equal(queue.peek(), -1);
});

test('replies of ours are taken in their order, each once', () => {
  const queue = new ReplyQueue();
  queue.say(Buffer.from('first'));
  queue.say(Buffer.from('second'));
  assert.deepEqual([queue.takeOurs(), queue.takeOurs(), queue.takeOurs()].map(String), ['first', 'second', 'null']);
  assert.equal(queue.isEmpty, true);
});
