// The bucket against a model that remembers every event as a fraction of whole numbers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Bucket, emptyAt, fill, leak, newBucket, type Rate, room, used } from '../../src/limits/gcra.ts';

/** Charges one event where it fits. */
function pass(bucket: Bucket, rate: Rate, now: number): boolean {
  leak(bucket, rate, now);
  if (room(bucket) < 1) return false;
  fill(bucket, 1);
  return true;
}

for (const rate of [
  { limit: 120, window: 60_000 },
  { limit: 7, window: 60_000 }, // no whole number of milliseconds each
  { limit: 1, window: 1 },
  { limit: 1000, window: 7 }, // many in a millisecond
  { limit: 1_000_000, window: 86_400_000 },
]) {
  test(`${rate.limit} in ${rate.window} ms: so many pass at once, and not one more`, () => {
    const bucket = newBucket(rate, 1_000);
    for (let i = 0; i < rate.limit; i++) assert.equal(pass(bucket, rate, 1_000), true, `${i}`);
    assert.equal(pass(bucket, rate, 1_000), false);
  });

  test(`${rate.limit} in ${rate.window} ms: a window later all of it has leaked, a millisecond before not all`, () => {
    const bucket = newBucket(rate, 0);
    fill(bucket, rate.limit);
    leak(bucket, rate, rate.window - 1);
    assert.ok(used(bucket) > 0);
    assert.equal(emptyAt(bucket), rate.window);
    leak(bucket, rate, rate.window);
    assert.equal(used(bucket), 0);
    assert.equal(room(bucket), rate.limit);
  });
}

test('the next fits when one has leaked, and not a millisecond before', () => {
  const rate = { limit: 60, window: 60_000 };
  const bucket = newBucket(rate, 0);
  fill(bucket, 60);
  assert.equal(pass(bucket, rate, 999), false);
  assert.equal(pass(bucket, rate, 1_000), true);
  assert.equal(pass(bucket, rate, 1_999), false);
});

test('nothing fits into a bucket that holds nothing', () => {
  const rate = { limit: 0, window: 1_000 };
  const bucket = newBucket(rate, 0);
  assert.equal(pass(bucket, rate, 0), false);
  assert.equal(pass(bucket, rate, 1_000_000), false);
});

test('what leaks nothing is forgotten after a window', () => {
  const bucket = newBucket({ limit: 0, window: 1_000 }, 5);
  assert.equal(emptyAt(bucket), 1_005);
  fill(bucket, 1);
  assert.equal(emptyAt(bucket), 1_005);
});

test('a clock that goes backwards counts as one that stands still', () => {
  const rate = { limit: 2, window: 1_000 };
  const bucket = newBucket(rate, 5_000);
  fill(bucket, 2);
  assert.equal(pass(bucket, rate, 1_000), false);
  assert.equal(pass(bucket, rate, 5_499), false);
  assert.equal(pass(bucket, rate, 5_500), true);
});

test('a clock that goes backwards charges nothing', () => {
  const rate = { limit: 2, window: 1_000 };
  const bucket = newBucket(rate, 0);
  fill(bucket, 2);
  leak(bucket, rate, 5_000);
  assert.equal(pass(bucket, rate, 3_000), true);
  assert.equal(pass(bucket, rate, 1_000), true);
  assert.equal(pass(bucket, rate, 5_000), false);
});

test('what overflowed must leak out before anything fits again', () => {
  const rate = { limit: 10, window: 1_000 };
  const bucket = newBucket(rate, 0);
  fill(bucket, 25);
  assert.equal(room(bucket), -15);
  assert.equal(pass(bucket, rate, 1_599), false);
  assert.equal(pass(bucket, rate, 1_600), true);
});

test('a changed rate finds as many events in the bucket as there were', () => {
  const bucket = newBucket({ limit: 10, window: 1_000 }, 0);
  fill(bucket, 8);
  leak(bucket, { limit: 20, window: 4_000 }, 0);
  assert.equal(used(bucket), 8);
  assert.equal(room(bucket), 12);
  leak(bucket, { limit: 5, window: 4_000 }, 0);
  assert.equal(room(bucket), -3);
});

// The model keeps, in BigInt, when the last event may be forgotten: TAT × limit, so that nothing is a fraction.
test('whatever comes when, it passes exactly what the model passes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.tuple(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5_000 })), fc.integer({ min: 1, max: 3 })), {
        maxLength: 200,
      }),
      (limit, window, steps) => {
        const bucket = newBucket({ limit, window }, 0);
        let tat = 0n; // × limit
        let now = 0;
        for (const [wait, cost] of steps) {
          now += wait;
          leak(bucket, { limit, window }, now);
          const passes = room(bucket) >= cost;
          if (passes) fill(bucket, cost);
          const at = BigInt(now) * BigInt(limit);
          const next = (tat > at ? tat : at) + BigInt(cost) * BigInt(window);
          const modelPasses = next - at <= BigInt(limit) * BigInt(window);
          if (modelPasses) tat = next;
          assert.equal(passes, modelPasses);
        }
      },
    ),
  );
});

test('over any stretch of time no more passes than its share and one bucket', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 5_000 }),
      fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 300 }),
      (limit, window, waits) => {
        const bucket = newBucket({ limit, window }, 0);
        const passed: number[] = [];
        let now = 0;
        for (const wait of waits) {
          now += wait;
          if (pass(bucket, { limit, window }, now)) passed.push(now);
        }
        for (let from = 0; from < passed.length; from++) {
          for (let to = from; to < passed.length; to++) {
            const stretch = (passed[to] as number) - (passed[from] as number);
            assert.ok((to - from + 1) * window <= limit * window + stretch * limit);
          }
        }
      },
    ),
  );
});
