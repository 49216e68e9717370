// The last report of each question, in bench/last.json: what the tables of bench/README.md, the chart and the page on
// capacity are made of. Figures of several machines never meet in one table: a report is replaced whole.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure, Report } from './report.ts';

export const LAST = join(import.meta.dirname, '../last.json');

export type Reports = Readonly<Record<string, Report>>;

export function readReports(): Reports {
  return existsSync(LAST) ? JSON.parse(readFileSync(LAST, 'utf8')) : {};
}

/** With these in place of those that asked the same. */
export function keepReports(newer: readonly Report[]): Reports {
  const all = { ...readReports(), ...Object.fromEntries(newer.map((report) => [report.question, report])) };
  writeFileSync(LAST, `${JSON.stringify(all, null, 1)}\n`);
  return all;
}

/** The median of one figure; null when nobody measured it. */
export function measured(reports: Reports, question: string, of: Partial<Figure>): number | null {
  const wanted = Object.entries(of) as [keyof Figure, unknown][];
  const found = reports[question]?.figures.find((figure) => wanted.every(([key, value]) => figure[key] === value));
  return found?.value ?? null;
}
