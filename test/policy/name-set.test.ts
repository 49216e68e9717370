// The set of names beside a Set of strings: the same, whatever is put in and asked, through every size at which it grows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf, NameSet } from '../../src/policy/name-set.ts';

const RUNS = Number(process.env.POSTERN_RUNS ?? 1000);
const COUNT = 200 * RUNS;

test('it holds what was put in and nothing else, from none to hundreds of thousands', () => {
  const names = new NameSet();
  assert.equal(names.has(''), false);
  const known = new Set<string>();
  for (let i = 0; i < COUNT; i++) {
    const name = i % 7 === 0 ? `user${i >> 1}@é.example` : `user${i}@mail${i % 10}.example`;
    names.add(name);
    known.add(name);
    assert.equal(names.has(name), true, name);
    if (i % 1000 === 0) assert.equal(names.size, known.size);
  }
  assert.equal(names.size, known.size);
  for (let i = 0; i < COUNT; i++) {
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
  assert.throws(() => names.add('\u01fc'), /^RangeError: a name that is no string of octets$/);
  names.add('\xff');
  assert.deepEqual([names.has('\xff'), names.has('\u01ff')], [true, false]);
});

test('sets of the same names have the same sum, in whatever order they came, and others have another', () => {
  const all = Array.from({ length: 6_000 }, (_, i) => `user${i}@mail.example`);
  const setOf = (names: readonly string[]): NameSet => {
    const set = new NameSet();
    for (const name of names) set.add(name);
    return set;
  };
  const sum = setOf(all).sum;
  assert.equal(setOf(all.toReversed()).sum, sum);
  assert.equal(setOf([...all, ...all]).sum, sum);
  assert.notEqual(setOf(all.slice(1)).sum, sum);
  assert.notEqual(setOf([...all, 'x']).sum, sum);
  assert.equal(setOf(['a']).sum, hashOf('a') | 0);
});

// A name begins where its chunk has room for it: the sizes about the end of one.
test('names of every length stand beside each other whole', () => {
  const names = new NameSet();
  const nameOf = (i: number): string => `${i}`.padEnd(i % 300, 'x');
  for (let i = 0; i < 2_000; i++) names.add(nameOf(i));
  assert.equal(names.size, new Set(Array.from({ length: 2_000 }, (_, i) => nameOf(i))).size);
  for (let i = 0; i < 2_000; i++) assert.ok(names.has(nameOf(i)), nameOf(i));
  assert.ok(!names.has('2000') && !names.has('0x'));
});

test('behind a name that is longer than any address others are found', () => {
  const names = new NameSet();
  names.add('y'.repeat(1_100 * RUNS));
  names.add('z');
  assert.deepEqual([names.has('z'), names.has('y')], [true, false]);
});

test('names of one hash are told apart', () => {
  assert.equal(hashOf('1e56rtr'), hashOf('0f94688'));
  const names = new NameSet();
  names.add('1e56rtr');
  assert.deepEqual([names.has('1e56rtr'), names.has('0f94688')], [true, false]);
  names.add('0f94688');
  assert.deepEqual([names.size, names.has('1e56rtr'), names.has('0f94688')], [2, true, true]);
  names.add('c92xdojk');
  assert.deepEqual(
    [hashOf('c92xdojk') === hashOf(''), names.has('')],
    [true, false],
    'nor is one the beginning of another',
  );
});
