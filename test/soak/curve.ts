// What the soak measured as a chart: memory and descriptors over the time, a colour for what went on. The grey lines are what V8's heaps
// take, and what they hold outside beside it; what is above them is the program itself and what is allocated natively.
//
// Drawn by vega-lite without a browser, as bench/harness/chart.ts does.

import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Sample } from './bed.ts';

const WIDTH = 640;
const MOST = 160; // points of each line

export interface Run {
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** A row for each run: what is resident; what of it V8's heaps and what they hold outside are; descriptors. */
export async function drawCurve(runs: readonly Run[]): Promise<string> {
  const rows = runs.flatMap(({ name, samples }) => {
    const all = Math.max(...samples.map(({ threads }) => threads));
    const step = Math.max(1, Math.ceil(samples.length / MOST));
    const some = samples.filter((_, at) => at % step === 0);
    return some.map(({ seconds, rssMiB, heap, external, threads, ...rest }) => {
      const known = threads === all ? { 'heaps of all threads': heap, 'heaps and outside': heap + external } : {};
      return { run: name, minutes: (seconds - (samples[0]?.seconds ?? 0)) / 60, resident: rssMiB, ...known, ...rest };
    });
  });
  const x = { field: 'minutes', type: 'quantitative', title: 'minutes' };
  const scene = { field: 'scene', type: 'nominal', legend: { title: null, orient: 'bottom', columns: 5 } };
  const memory = {
    layer: [
      {
        mark: { type: 'circle', size: 8 },
        encoding: { x, y: { field: 'resident', type: 'quantitative', title: 'MiB' }, color: scene },
      },
      ...['heaps of all threads', 'heaps and outside'].map((field) => ({
        transform: [{ filter: `isValid(datum['${field}'])` }],
        mark: { type: 'line', size: 1, color: '#888' },
        encoding: { x, y: { field, type: 'quantitative' } },
      })),
    ],
  };
  const descriptors = {
    mark: { type: 'circle', size: 8 },
    encoding: { x, y: { field: 'descriptors', type: 'quantitative', title: 'descriptors' }, color: scene },
  };
  const panels = runs.flatMap(({ name }) => [
    { title: name, transform: [{ filter: { field: 'run', equal: name } }], width: WIDTH, height: 180, ...memory },
    { transform: [{ filter: { field: 'run', equal: name } }], width: WIDTH, height: 70, ...descriptors },
  ]);
  const spec = {
    data: { values: rows },
    vconcat: panels,
    padding: 12,
    config: { font: 'sans-serif', background: 'white', axis: { gridColor: '#e5e5e5' } },
  } as unknown as TopLevelSpec;
  return new View(parse(compile(spec).spec), { renderer: 'none' }).toSVG();
}

/** Least squares over the second half, MiB an hour: of resident memory, and of what no heap knows of, while every thread told of itself. Null where there are too few. */
export function growth(samples: readonly Sample[]): { readonly resident: number; readonly beside: number } | null {
  const all = Math.max(...samples.map(({ threads }) => threads));
  const known = samples.filter(({ threads }) => threads === all);
  const half = known.slice(Math.floor(known.length / 2));
  if (half.length < 100) return null;
  return {
    resident: slope(half, ({ rssMiB }) => rssMiB),
    beside: slope(half, ({ rssMiB, heap, external }) => rssMiB - heap - external),
  };
}

function slope(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const mean = (one: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + one(sample), 0) / samples.length;
  const [x, y] = [mean(({ seconds }) => seconds), mean(of)];
  const over = samples.reduce((sum, { seconds }) => sum + (seconds - x) ** 2, 0);
  const both = samples.reduce((sum, sample) => sum + (sample.seconds - x) * (of(sample) - y), 0);
  return over === 0 ? 0 : Math.round((both / over) * 3600 * 10) / 10;
}
