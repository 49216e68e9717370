// The chart of bench/README.md, drawn by vega-lite without a browser: what each unit costs beside HAProxy, and the sweeps.
//
// An SVG on white, so that it reads on a dark page as well. Not here: which figures there are (report.ts), and their words.

import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import { measured, type Reports } from './kept.ts';
import type { Figure } from './report.ts';

const WIDTH = 720;
const ORDER = ['haproxy', 'rawpipe', 'pipe', 'postern', 'other', 'nginx', 'postfix', 'haraka'];
const COLOURS = ['#7a7a7a', '#b8b8b8', '#9c9c9c', '#c2410c', '#f59e0b', '#2563eb', '#0f766e', '#7c3aed'];
const COLOUR = {
  field: 'proxy',
  type: 'nominal',
  scale: { domain: ORDER, range: COLOURS },
  legend: { title: null, orient: 'bottom' },
} as const;

/** The CPU of each load ÷ HAProxy's, a bar for each proxy. */
function bars(reports: Reports): object[] {
  const figures = reports.loads?.figures.filter(({ unit }) => unit.startsWith('CPU')) ?? [];
  const values = figures.flatMap(({ load, proxy, unit, value }) => {
    const floor = measured(reports, 'loads', { load, proxy: 'haproxy', unit });
    return floor === null || proxy === 'haproxy' ? [] : [{ load, proxy, ratio: value / floor }];
  });
  if (values.length === 0) return [];
  const y = { field: 'proxy', type: 'nominal', sort: ORDER, title: null };
  const scale = { type: 'log', domain: [0.5, 100] };
  const axis = { values: [1, 3, 10, 30, 100], format: 'd' };
  const x = { field: 'ratio', type: 'quantitative', scale, axis, title: 'CPU ÷ HAProxy' };
  return [
    {
      title: 'What a session (A) or a message (B to D) costs, beside HAProxy in TCP mode',
      data: { values },
      facet: { column: { field: 'load', title: null } },
      spec: {
        width: 150,
        height: { step: 18 },
        layer: [
          { mark: { type: 'point', filled: true, size: 90 }, encoding: { x, y, color: COLOUR } },
          { mark: { type: 'rule', color: '#7a7a7a', strokeDash: [3, 3] }, encoding: { x: { datum: 1 } } },
          {
            mark: { type: 'text', align: 'left', dx: 9, fontSize: 10 },
            encoding: { x, y, text: { field: 'ratio', type: 'quantitative', format: '.2f' } },
          },
        ],
      },
    },
  ];
}

const SWEEPS: Readonly<Record<string, string>> = {
  size: 'octets of a message',
  sessions: 'sessions at a time',
  policy: 'entries of the policy',
  recipients: 'recipients of a message',
};

function sweep(name: string, figures: readonly Figure[]): object {
  const values = figures.map(({ proxy, at, value }) => ({ proxy, at, value }));
  const axis = { type: 'quantitative', scale: { type: 'log', nice: false } };
  // What should stay as it is begins at nothing, or noise looks like a mountain.
  const height = name === 'policy' ? { type: 'quantitative', scale: { zero: true } } : axis;
  return {
    width: (WIDTH - 160) / 2,
    height: 160,
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'at', ...axis, title: SWEEPS[name], axis: { format: '~s', tickCount: 5 } },
      y: { field: 'value', ...height, title: figures[0]?.unit, axis: { format: '~s', tickCount: 4 } },
      color: COLOUR,
    },
  };
}

function sweeps(reports: Reports): object[] {
  const found = Object.keys(SWEEPS).flatMap((name) => {
    const figures = reports.sweep?.figures.filter(({ load, unit }) => load === name && unit.startsWith('CPU')) ?? [];
    return figures.length === 0 ? [] : [sweep(name, figures)];
  });
  return found.length === 0 ? [] : [{ title: 'The same over more and more', concat: found, columns: 2 }];
}

/** Null when there is nothing to draw. */
export async function drawChart(reports: Reports): Promise<string | null> {
  const vconcat = [...bars(reports), ...sweeps(reports)];
  if (vconcat.length === 0) return null;
  const style = { font: 'sans-serif', background: 'white', axis: { gridColor: '#e5e5e5' }, title: { anchor: 'start' } };
  const spec = {
    vconcat,
    padding: 12,
    config: style,
    resolve: { scale: { color: 'shared' } },
  } as unknown as TopLevelSpec;
  return new View(parse(compile(spec).spec), { renderer: 'none' }).toSVG();
}
