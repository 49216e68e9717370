// The last hour of the page: counts by minute, who is refused most, and that neither grows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { History } from '../../src/status/history.ts';
import { type Example, type Refusals, RefusalTally } from '../../src/status/refusals.ts';
import type { Status } from '../../src/status/shapes.ts';

const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1);

const EXAMPLE: Example = {
  client_address: '192.0.2.1',
  local: '192.0.2.25:25',
  connector: 'internet',
  what: 'recipient',
  reason: 'no_rule',
  rule: null,
  helo: '',
  login: null,
  tls: false,
  tls_subject: [],
  sender: '',
  recipient: 'x@foreign.example',
};

function totals(messages: number, refused = 0, open = 0): Pick<Status, 'totals' | 'sessions'> {
  return {
    sessions: { open, by_phase: {}, by_connector: {} },
    totals: {
      sessions: 0,
      connections_refused: 0,
      messages,
      recipients_passed: 0,
      recipients_refused: refused,
      recipients_would_be_refused: 0,
      recipients_refused_by_server: 0,
      defects: 0,
      log_lines_lost: 0,
    },
  };
}

function refusals(...sources: string[]): Refusals {
  const tally = new RefusalTally();
  for (const source of sources) tally.add('refused', source, () => EXAMPLE);
  return tally.take();
}

test('counts each minute by itself, and what was before the first look not at all', () => {
  const history = new History();
  history.feed(START, totals(100), refusals());
  history.feed(START + 10_000, totals(103, 1, 7), refusals());
  history.feed(START + MINUTE, totals(105, 5), refusals());
  history.feed(START + 3 * MINUTE, totals(106, 5), refusals());
  const { minutes } = history.recent(START + 3 * MINUTE);
  assert.deepEqual(
    minutes.slice(-4).map(({ messages, refused, sessions }) => [messages, refused, sessions]),
    [
      [3, 1, 7],
      [2, 4, 0],
      [0, 0, 0],
      [1, 0, 0],
    ],
  );
});

test('keeps sixty minutes, however long it runs and however long nothing came', () => {
  const history = new History();
  for (let i = 0; i < 500; i++) history.feed(START + i * MINUTE, totals(i), refusals());
  assert.equal(history.recent(START + 499 * MINUTE).minutes.length, 60);
  const { minutes } = history.recent(START + 5_000 * MINUTE);
  assert.deepEqual([minutes.length, minutes.reduce((sum, { messages }) => sum + messages, 0)], [60, 0]);
});

test('a counter that fell, or a clock set back, takes nothing away', () => {
  const history = new History();
  history.feed(START, totals(10), refusals());
  history.feed(START + 1_000, totals(3), refusals());
  history.feed(START - 10 * MINUTE, totals(5), refusals());
  assert.equal(history.recent(START).minutes.at(-1)?.messages, 2);
});

test('who was refused most stands first, and is forgotten after an hour', () => {
  const history = new History();
  history.feed(START, totals(0), refusals('192.0.2.1', '192.0.2.2', '192.0.2.2'));
  history.feed(START + 30 * MINUTE, totals(0), refusals('192.0.2.1', '192.0.2.1'));
  const list = (minutes: number) =>
    history.recent(START + minutes * MINUTE).refused.map(({ source, count }) => [source, count]);
  assert.deepEqual(list(30), [
    ['192.0.2.1', 3],
    ['192.0.2.2', 2],
  ]);
  assert.deepEqual(list(61), [['192.0.2.1', 2]]);
  assert.deepEqual(list(91), []);
});

test('a flood of sources has its end, and does not wash out who is refused most', () => {
  const history = new History();
  const loud = Array<string>(50).fill('192.0.2.1');
  history.feed(START, totals(0), refusals(...loud));
  for (let i = 0; i < 20; i++) {
    const flood = Array.from({ length: 2_000 }, (_, j) => `10.${i}.${j >> 8}.${j & 255}`);
    const taken = refusals(...flood);
    assert.deepEqual([taken.sources.length, taken.others], [500, 1_500]);
    history.feed(START + i, totals(0), taken);
  }
  const { refused } = history.recent(START);
  assert.deepEqual([refused.length, refused[0]?.source, refused[0]?.count], [20, '192.0.2.1', 50]);
});
