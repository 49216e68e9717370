// What the soak measured, as JSON and as a chart: resident memory and descriptors over the time, a colour for what went on.
//
// Drawn by vega-lite without a browser, as bench/harness/chart.ts does.

import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Sample } from './bed.ts';

const WIDTH = 720;
const MOST = 400; // points of the chart

export async function drawCurve(samples: readonly Sample[]): Promise<string> {
  const step = Math.max(1, Math.ceil(samples.length / MOST));
  const values = samples
    .filter((_, at) => at % step === 0)
    .map(({ seconds, ...rest }) => ({ minutes: seconds / 60, ...rest }));
  const x = { field: 'minutes', type: 'quantitative', title: 'minutes' };
  const color = { field: 'scene', type: 'nominal', legend: { title: null, orient: 'bottom', columns: 5 } };
  const panel = (field: string, title: string, height: number): object => ({
    width: WIDTH,
    height,
    mark: { type: 'circle', size: 8 },
    encoding: { x, y: { field, type: 'quantitative', title, scale: { zero: true } }, color },
  });
  const spec = {
    data: { values },
    vconcat: [panel('rssMiB', 'resident memory, MiB', 220), panel('descriptors', 'open descriptors', 120)],
    padding: 12,
    config: { font: 'sans-serif', background: 'white', axis: { gridColor: '#e5e5e5' } },
  } as unknown as TopLevelSpec;
  return new View(parse(compile(spec).spec), { renderer: 'none' }).toSVG();
}

/** Least squares over quiet moments: MiB an hour. Null where there are too few. */
export function growth(samples: readonly Sample[]): number | null {
  const quiet = samples.filter(({ scene }) => scene === 'quiet');
  const half = quiet.slice(Math.floor(quiet.length / 2));
  if (half.length < 10) return null;
  const mean = (of: (sample: Sample) => number): number => half.reduce((sum, one) => sum + of(one), 0) / half.length;
  const [x, y] = [mean(({ seconds }) => seconds), mean(({ rssMiB }) => rssMiB)];
  const over = half.reduce((sum, { seconds }) => sum + (seconds - x) ** 2, 0);
  const both = half.reduce((sum, { seconds, rssMiB }) => sum + (seconds - x) * (rssMiB - y), 0);
  return over === 0 ? null : Math.round((both / over) * 3600 * 10) / 10;
}
