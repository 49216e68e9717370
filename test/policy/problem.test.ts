// Where something stands in the document, as people read it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPath } from '../../src/policy/problem.ts';

test('a place in the document is written with dots between names and brackets about numbers', () => {
  assert.equal(
    formatPath(['connectors', 1, 'rules', 0, 'allow', 'sources', 2]),
    'connectors[1].rules[0].allow.sources[2]',
  );
  assert.equal(formatPath(['accepted_domains']), 'accepted_domains');
  assert.equal(formatPath([]), '');
});
