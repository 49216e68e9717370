// The picture that `postern status` shows, as golden text: screen-80.txt and screen-120.txt.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { drawStatus } from '../../src/status/screen.ts';
import { formatAge, formatCount, formatOctets } from '../../src/status/words.ts';
import { LIST, STATUS } from './snapshot.ts';

const plainly = (_: string, text: string): string => text;
const size = (columns: number, rows = Number.POSITIVE_INFINITY) => ({ columns, rows });

for (const columns of [80, 120]) {
  test(`at ${columns} columns`, () => {
    const golden = readFileSync(new URL(`./screen-${columns}.txt`, import.meta.url), 'utf8');
    const lines = drawStatus(STATUS, LIST, size(columns), plainly);
    assert.equal(`${lines.join('\n')}\n`, golden);
  });
}

test('no line is wider than the terminal, whatever its width, and no more lines than it has', () => {
  for (let columns = 20; columns < 200; columns++) {
    for (const line of drawStatus(STATUS, LIST, size(columns), plainly)) assert.ok(line.length <= columns, line);
  }
  for (const rows of [22, 23, 24, 25, 30]) {
    const lines = drawStatus(STATUS, LIST, size(120, rows), plainly);
    assert.ok(lines.length <= rows, `${lines.length} lines of ${rows}`);
  }
});

test('nothing that a peer chose is an order to the terminal', () => {
  const lines = drawStatus(STATUS, LIST, size(160), plainly).join('\n');
  assert.doesNotMatch(lines, /[\0-\x09\x0b-\x1f\x7f\u202e]/);
  assert.match(lines, /\?\[31mred\?\?/);
});

test('a server that is down is red, a warning yellow', () => {
  const marked = (colour: string, text: string): string => `<${colour}>${text}`;
  const lines = drawStatus(STATUS, LIST, size(120), marked);
  assert.ok(lines.some((line) => line.startsWith('<red>10.0.0.11:25')));
  assert.ok(lines.some((line) => line.startsWith('<yellow>WARNING')));
  assert.ok(lines.some((line) => line.startsWith('10.0.0.10:25')));
});

test('where there are several upstreams each server says of which it is', () => {
  const [first, second] = STATUS.servers;
  assert.ok(first !== undefined && second !== undefined);
  const servers = [first, { ...second, upstreams: ['default', 'relay'] }];
  const lines = drawStatus({ ...STATUS, servers }, LIST, size(120), plainly);
  const at = lines.findIndex((line) => line.startsWith('SERVER'));
  assert.match(lines[at] ?? '', /^SERVER +UPSTREAM +STATE/);
  assert.match(lines[at + 1] ?? '', /^10\.0\.0\.10:25 +default +up/);
  assert.match(lines[at + 2] ?? '', /^10\.0\.0\.11:25 +default, relay +down/);
  assert.doesNotMatch(drawStatus(STATUS, LIST, size(120), plainly).join('\n'), /UPSTREAM/);
});

test('a firewall that nobody uses has a short picture', () => {
  const idle = { ...STATUS, warnings: [], sessions: { open: 0, by_phase: {}, by_connector: {} } };
  const lines = drawStatus(idle, { open: 0, more: false, sessions: [] }, size(80), plainly);
  assert.equal(lines.at(-1), 'sessions  0');
});

test('durations, counts and octets are short', () => {
  const ages = [0, 59_999, 60_000, 3_599_999, 3_600_000, 86_399_999, 86_400_000, -5].map(formatAge);
  assert.deepEqual(ages, ['0 s', '59 s', '1 min', '59 min', '1 h 0 min', '23 h 59 min', '1 d 0 h', '0 s']);
  assert.deepEqual([0, 999, 1_000, 1_234_567].map(formatCount), ['0', '999', '1 000', '1 234 567']);
  const octets = [0, 999, 1_000, 1_024, 1_258_291, 2 ** 40].map(formatOctets);
  assert.deepEqual(octets, ['0 B', '999 B', '1.0 KiB', '1.0 KiB', '1.2 MiB', '1.0 TiB']);
});
