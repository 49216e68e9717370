// What the bench writes of what it measured: sections between markers, and the page on capacity. Nothing is measured here.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatCapacity, needFor } from '../../bench/harness/capacity.ts';
import { drawChart } from '../../bench/harness/chart.ts';
import { readReports } from '../../bench/harness/kept.ts';
import { cpuMs } from '../../bench/harness/processes.ts';
import { withSection } from '../../bench/harness/sections.ts';

const SLOPES = { session: 500, message: 100, base: 100, idle: 10, questions: 4, seats: 2, redis: 50 };

test('86.4 million messages a day are 4 000 a second at the peak, with the cores, memory and questions that follow', () => {
  assert.deepEqual(needFor(86.4, SLOPES), {
    peak: 4_000,
    cores: 4, // 2.0 s of CPU a second, 60 % busy
    nodes: 1,
    sessions: 40_000,
    memory: 100 + 3 * 45 + 400,
    questions: 16_000,
    ofRedis: 0.8,
  });
  assert.equal(needFor(864, SLOPES).cores, 34);
  assert.equal(needFor(864, SLOPES).nodes, 9);
});

test('the capacity says what was not measured yet, and not a number', () => {
  assert.match(formatCapacity({}), /^not measured yet: loads \(A, postern, CPU µs\/session\); .*redis-rate/);
});

test('a section is replaced between its markers, and nothing else', () => {
  const text = 'a\n<!-- one: command -->\nold\n<!-- /one -->\nb\n';
  assert.equal(withSection(text, 'one', 'new'), 'a\n<!-- one: command -->\n\nnew\n\n<!-- /one -->\nb\n');
  assert.throws(() => withSection(text, 'two', ''), /no markers/);
});

test('the chart is an SVG of every proxy that was measured, and the kept figures are in both pages', async () => {
  const reports = readReports();
  const svg = (await drawChart(reports)) ?? '';
  assert.match(svg, /^<svg/);
  for (const name of ['pipe', 'postern', 'nginx']) assert.ok(svg.includes(`>${name}<`), name);
  const page = (name: string): string => readFileSync(join(import.meta.dirname, '../..', name), 'utf8');
  assert.ok(page('docs/gateway-under-load.md').includes(formatCapacity(reports).trim()));
  for (const { command } of Object.values(reports)) assert.ok(page('bench/README.md').includes(command), command);
});

test('the CPU of a process that is gone is none, and ours is some', () => {
  assert.equal(cpuMs(2 ** 22), 0);
  assert.ok(cpuMs(process.pid) > 0);
});
