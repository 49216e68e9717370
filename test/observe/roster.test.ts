import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Roster } from '../../src/observe/roster.ts';

class One {
  row = -1;
  readonly name: number;

  constructor(name: number) {
    this.name = name;
  }
}

const names = (roster: Roster<One>): number[] => Array.from(roster, ({ name }) => name);

test('a roster has what came and is not gone, in the order in which it came', () => {
  const roster = new Roster<One>();
  const ones = Array.from({ length: 1000 }, (_, name) => new One(name));
  for (const one of ones) roster.add(one);
  for (const one of ones) if (one.name % 7 !== 3) roster.delete(one);
  for (const one of ones.slice(0, 500)) roster.delete(one); // some for the second time
  const left = ones.filter(({ name }) => name >= 500 && name % 7 === 3).map(({ name }) => name);
  assert.deepEqual(names(roster), left);
  assert.equal(roster.size, left.length);
  const late = new One(1000);
  roster.add(late);
  assert.deepEqual(names(roster), [...left, 1000]);
});

test('who reads a roster while others come and go sees each that stays once', () => {
  const roster = new Roster<One>();
  const ones = Array.from({ length: 300 }, (_, name) => new One(name));
  for (const one of ones) roster.add(one);
  const seen: number[] = [];
  for (const { name } of roster) {
    seen.push(name);
    if (name === 100) for (const one of ones) if (one.name !== 299 && one.name !== 50) roster.delete(one);
    if (name === 299) roster.add(new One(300));
  }
  assert.deepEqual(
    seen.slice(0, 101),
    ones.slice(0, 101).map(({ name }) => name),
  );
  assert.deepEqual(seen.slice(101), [299, 300]);
  for (let name = 301; name < 400; name++) {
    const one = new One(name);
    roster.add(one);
    roster.delete(one);
  }
  assert.deepEqual(names(roster), [50, 299, 300]);
});
