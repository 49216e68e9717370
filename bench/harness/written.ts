// Writes what is made of the kept reports: the last run in bench/README.md, the chart beside it, and the capacity of
// docs/gateway-under-load.md. Nothing is measured here.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatCapacity } from './capacity.ts';
import { drawChart } from './chart.ts';
import type { Reports } from './kept.ts';
import { formatTable, type Report } from './report.ts';
import { writeSection } from './sections.ts';

const bench = join(import.meta.dirname, '..');
/** Questions in the order in which one would read them. */
const HEADINGS: Readonly<Record<string, string>> = {
  loads: 'Whole loads',
  sweep: 'More and more of one thing',
  storm: 'A storm of connections',
  bdat: 'BDAT',
  delay: 'Added delay',
  tls: 'TLS towards clients',
  pipelined: 'Pipelining, and a flood of refused recipients',
  idle: 'Memory of idle sessions',
  start: 'From start to listening',
  'redis-rate': 'What one Redis answers',
  failover: 'When a Redis falls under load',
};
const QUIET = 0.5; // load average at which nobody else was at work

/** `provisional` where others worked on the machine. */
export function whereMeasured({ day, machine, command, busy }: Report): string {
  const beside =
    busy > QUIET ? ` **Provisional**: others were at work (load average ${busy.toFixed(1)} when it began).` : '';
  return `${day}, ${machine}: \`${command}\`.${beside}`;
}

function formatReport(report: Report): string {
  const heading = `### ${HEADINGS[report.question] ?? report.question}`;
  return [heading, whereMeasured(report), ...report.tables.map(formatTable)].join('\n\n');
}

export async function writePages(reports: Reports): Promise<void> {
  const known = Object.keys(HEADINGS);
  const rank = ({ question }: Report): number => (known.includes(question) ? known.indexOf(question) : known.length);
  const ordered = Object.values(reports).toSorted((a, b) => rank(a) - rank(b));
  const svg = await drawChart(reports);
  if (svg !== null) writeFileSync(join(bench, 'chart.svg'), `${svg}\n`);
  const picture = svg === null ? [] : ['![What each proxy costs beside HAProxy, and over more and more](chart.svg)'];
  writeSection(join(bench, 'README.md'), 'last run', [...picture, ...ordered.map(formatReport)].join('\n\n'));
  writeSection(join(bench, '../docs/gateway-under-load.md'), 'capacity', formatCapacity(reports));
}
