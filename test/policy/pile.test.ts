// A list in pieces, as long as it may be.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pile } from '../../src/policy/pile.ts';
import { atOnce } from '../../src/policy/steps.ts';

test('what is put on a pile lies there in its order, however much it is', () => {
  for (const count of [0, 1, 255, 256, 257, 4095, 4096, 4097, 10_000]) {
    const pile = new Pile<number>();
    for (let i = 0; i < count; i++) assert.equal(pile.push(i), i + 1);
    assert.deepEqual(
      atOnce(pile.toArray()),
      Array.from({ length: count }, (_, i) => i),
    );
    assert.equal(pile.length, count);
    assert.equal(pile.at(count - 1), count === 0 ? undefined : count - 1);
  }
});
