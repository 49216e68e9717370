// Who has how many connections open: exact behind any order of coming and going.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpenConnections } from '../../src/limits/open-connections.ts';

const seat = (source: string, connector = 'internet') => ({ connector, source });
const wanted = (source: string, more = {}) => ({
  ...{ seat: seat(source), ofSource: Number.POSITIVE_INFINITY, ofConnector: Number.POSITIVE_INFINITY, percent: 100 },
  ...more,
});

test('each that leaves gives back one place, and who never came gives back none', () => {
  const open = new OpenConnections();
  for (const source of ['a', 'a', 'a', 'b']) open.enter(seat(source));
  open.enter(seat('a', 'lan'));
  open.leave(seat('a'));
  open.leave(seat('c'));
  open.leave(seat('a', 'nowhere'));
  assert.deepEqual(
    [...open.all()],
    [
      { ...seat('a'), open: 2 },
      { ...seat('b'), open: 1 },
      { ...seat('a', 'lan'), open: 1 },
    ],
  );
  assert.equal(open.reached(wanted('a', { ofSource: 2 })), 'source');
  assert.equal(open.reached(wanted('a', { ofConnector: 3 })), 'connector');
  assert.equal(open.reached(wanted('a', { ofSource: 3, ofConnector: 4 })), null);
  open.leave(seat('b'));
  assert.deepEqual(
    [...open.all()].map(({ source }) => source),
    ['a', 'a'],
    'who has none is not named',
  );
  for (const source of ['a', 'a', 'b']) open.leave(seat(source));
  open.leave(seat('a', 'lan'));
  assert.deepEqual([...open.all()], []);
  assert.equal(open.reached(wanted('a', { ofConnector: 0 })), 'connector');
});

test('those that have most are named first, and so many of them', () => {
  const open = new OpenConnections();
  for (const source of ['one', 'three', 'two', 'three', 'two', 'three']) open.enter(seat(source));
  const top = (most: number): string[] => open.top(most).map(({ source }) => source);
  assert.deepEqual([top(5), top(2), top(0)], [['three', 'two', 'one'], ['three', 'two'], []]);
});

test('all hundred hundredths are no share, and one that has nothing is never at fault for its share', () => {
  const open = new OpenConnections();
  assert.equal(open.isOwnFault('percent', wanted('a', { ofConnector: 1, percent: 50 })), false);
  for (let i = 0; i < 2; i++) open.enter(seat('a'));
  assert.equal(open.reached(wanted('a', { ofConnector: 2 })), 'connector');
  assert.equal(open.reached(wanted('a', { ofConnector: 2, percent: 99 })), 'percent');
});

test('the share of a source is of what others leave; its own fault is what would be too much with nobody else there', () => {
  const open = new OpenConnections();
  const half = wanted('a', { ofConnector: 10, percent: 50 });
  for (let i = 0; i < 4; i++) open.enter(seat('b'));
  for (let i = 0; i < 2; i++) open.enter(seat('a'));
  assert.equal(open.reached(half), null);
  open.enter(seat('a'));
  assert.equal(open.reached(half), 'percent');
  assert.equal(open.isOwnFault('percent', half), false);
  for (let i = 0; i < 2; i++) open.enter(seat('a'));
  assert.equal(open.isOwnFault('percent', half), true);
  for (const [reached, isOwn] of [
    ['source', true],
    ['rate', true],
    ['ban', true],
    ['connector', false],
  ] as const)
    assert.equal(open.isOwnFault(reached, wanted('z')), isOwn, reached);
});
