// Long work in steps: what comes of it, and that it gives way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce, first, STEP } from '../../src/policy/steps.ts';

test('the first that it holds for is found, a share at a time', () => {
  const list = Array.from({ length: 3 * STEP }, (_, i) => i);
  assert.equal(atOnce(first(list, (one) => one > 600)), 601);
  assert.equal(atOnce(first(list, () => false)), undefined);
  let looks = 0;
  const steps = first(list, () => ++looks < 0);
  steps.next();
  assert.equal(looks, STEP);
  assert.equal([...steps].length, 2, 'and twice more');
});
