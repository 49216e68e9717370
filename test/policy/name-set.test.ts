// The set of names beside a Set of strings: the same, whatever is put in and asked, through every size at which it grows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NameSet } from '../../src/policy/name-set.ts';

test('it holds what was put in and nothing else, from none to two hundred thousand', () => {
  const names = new NameSet();
  assert.equal(names.has(''), false);
  const known = new Set<string>();
  for (let i = 0; i < 200_000; i++) {
    const name = i % 7 === 0 ? `user${i >> 1}@é.example` : `user${i}@mail${i % 10}.example`;
    names.add(name);
    known.add(name);
    assert.equal(names.has(name), true, name);
    if (i % 1000 === 0) assert.equal(names.size, known.size);
  }
  assert.equal(names.size, known.size);
  for (let i = 0; i < 200_000; i++) {
    for (const name of [`user${i >> 1}@é.example`, `user${i}@mail${(i + 1) % 10}.example`, `user${i}@mail`])
      assert.equal(names.has(name), known.has(name), name);
  }
});

test('the empty name, the longest one and one beyond octets are told apart', () => {
  const names = new NameSet();
  names.add('');
  names.add('x'.repeat(65_535));
  assert.deepEqual([names.has(''), names.has('x'.repeat(65_535)), names.has('x'.repeat(65_536))], [true, true, false]);
  names.add('\xfc');
  assert.equal(names.has('\u01fc'), false);
  assert.throws(() => names.add('\u01fc'), RangeError);
});
