// Of several threads one answer, and for whom a session waits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeReports, type ServerReport } from '../../src/proxy/server-reports.ts';
import { sessionsOf } from '../../src/serve/live-report.ts';
import { mergeFound, type NumberedSnapshot, tallySessions } from '../../src/serve/live-sessions.ts';

const up = (forMs: number | null, sessions = 0): ServerReport => ({ server: 'a:25', up: true, forMs, sessions });
const down = (forMs: number, sessions = 0): ServerReport => ({ ...up(forMs, sessions), up: false, why: 'refused' });

test('a server is down where one thread has it down, since the first of these, with the sessions of all', () => {
  assert.deepEqual(mergeReports([up(9_000, 3), down(50, 1), down(700, 2)]), [down(700, 6)]);
  assert.deepEqual(mergeReports([down(50, 1), up(9_000, 3)]), [down(50, 4)]);
});

test('it is up since no thread has seen it otherwise, and unknown where none has asked', () => {
  assert.deepEqual(mergeReports([up(9_000), up(null), up(60)]), [up(60)]);
  assert.deepEqual(mergeReports([up(null), up(null)]), [up(null)]);
});

test('a server of two upstreams is one, and says of which', () => {
  const relay = { ...down(10, 2), upstreams: ['relay'] };
  assert.deepEqual(mergeReports([up(9_000, 3), relay]), [{ ...down(10, 5), upstreams: ['default', 'relay'] }]);
});

test('the oldest sessions of all threads are shown', () => {
  const session = (worker: number, openForMs: number) => ({ worker, openForMs }) as NumberedSnapshot;
  const parts = [
    { open: 5, sessions: [session(1, 30), session(1, 10)], more: false },
    { open: 2, sessions: [session(2, 40), session(2, 20)], more: false },
  ];
  const ages = (most: number) => mergeFound(parts, most).sessions.map(({ openForMs }) => openForMs);
  assert.deepEqual(ages(3), [40, 30, 20]);
  assert.equal(mergeFound(parts, 3).open, 7);
  assert.deepEqual([mergeFound(parts, 3).more, mergeFound(parts, 4).more], [true, false]);
});

test('a connector may be called as what every object of JavaScript has', async () => {
  const names = ['toString', '__proto__'];
  const none = await tallySessions([]);
  for (const name of names) assert.equal(none.byConnector[name] ?? 0, 0);
  const open = names.map((connector) => ({ outline: { phase: 'command', connector } }));
  const { byConnector } = await tallySessions(open as unknown as Parameters<typeof tallySessions>[0]);
  assert.deepEqual(Object.entries(byConnector), [
    ['toString', 1],
    ['__proto__', 1],
  ]);
  const values = names.map((connector) => ({ value: 2, labels: { connector } }));
  const measured = [{ name: 'postern_sessions_by_connector', help: '', type: 'gauge', aggregator: 'sum', values }];
  assert.equal(JSON.stringify(sessionsOf([measured, measured]).by_connector), '{"toString":4,"__proto__":4}');
});
