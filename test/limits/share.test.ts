// So many buckets of a kind at a time, and who has a place keeps it as long as it lasts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Share } from '../../src/limits/share.ts';

test('as many have a place as there are, and who has one keeps it', () => {
  const share = new Share(2);
  assert.ok(share.admits('a', 0, 100));
  assert.ok(share.admits('b', 0, 100));
  assert.equal(share.size, 2);
  assert.ok(!share.admits('c', 0, 100), 'it is full');
  assert.ok(!share.admits('c', 99, 100));
  assert.ok(share.admits('a', 99, 100), 'it has its place');
  assert.equal(share.size, 2);
});

test('a place is free at the moment at which its bucket is empty', () => {
  const share = new Share(2);
  share.admits('a', 0, 100);
  share.admits('b', 50, 100);
  assert.ok(share.admits('c', 100, 100));
  assert.equal(share.size, 2);
  assert.ok(!share.admits('a', 149, 100), 'b and c are there');
  assert.ok(share.admits('a', 150, 100));
});

test('a bucket that lasts longer keeps its place longer, and one without a place gets none by that', () => {
  const share = new Share(1);
  share.admits('a', 0, 100);
  share.lasts('a', 50, 100);
  share.lasts('b', 50, 100);
  assert.equal(share.size, 1);
  assert.ok(!share.admits('b', 149, 100));
  assert.ok(share.admits('b', 150, 100));
});

test('where there is no place the sixteen oldest are looked at, and the others at the next', () => {
  const share = new Share(17);
  for (let i = 0; i < 16; i++) share.admits(`long ${i}`, 0, 1_000);
  share.admits('short', 0, 1);
  assert.ok(!share.admits('one', 10, 100), 'the short one was not looked at');
  assert.equal(share.size, 17);
  assert.ok(share.admits('one', 10, 100), 'and now it was');
  assert.equal(share.size, 17);
});
