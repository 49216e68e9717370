// Medians, markdown, and what `--json FILE` writes: a number here never stands without its machine and its command.

import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** The value below which `share` of the sorted values lie. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The same, another one first in every round: who runs behind whom must not matter. */
export function inTurn<T>(all: readonly T[], round: number): T[] {
  const first = round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** One measured number: the median of its rounds. Two are comparable when all but `proxy`, `at` and the values are the same. */
export interface Figure {
  readonly load: string;
  readonly proxy: string;
  /** Where on a sweep. */
  readonly at?: number;
  readonly unit: string;
  readonly value: number;
  readonly rounds: readonly number[];
}

/** What one run of one question found. */
export interface Report {
  readonly question: string;
  readonly day: string;
  readonly machine: string;
  readonly command: string;
  /** Load average of the last minute when it began: above the number of processors times a half, others were at work. */
  readonly busy: number;
  readonly tables: readonly Table[];
  readonly figures: readonly Figure[];
}

const busy = loadavg()[0] ?? 0;
const tables: Table[] = [];
const figures: Figure[] = [];

export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  tables.push({ head, rows });
  console.log(formatTable({ head, rows }));
}

export function formatTable({ head, rows }: Table): string {
  const rule = `|${head.map((_, column) => (column === 0 ? '---' : '--:')).join('|')}|`;
  return [`| ${head.join(' | ')} |`, rule, ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n');
}

/** Keeps it for `--json`; gives the median. */
export function figure(of: Omit<Figure, 'value'>): number {
  const value = median(of.rounds);
  if (Number.isFinite(value)) figures.push({ ...of, value });
  return value;
}

const question = basename(process.argv[1] ?? '', '.ts');
const day = new Date().toISOString().slice(0, 10);
const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Linux ${release()}, Node ${process.versions.node}`;

/** As one would type it: without what the runner adds. */
function commandLine(): string {
  const args = process.argv.slice(2).filter((arg, at, all) => arg !== '--json' && all[at - 1] !== '--json');
  return ['node', `bench/${question}.ts`, ...args].join(' ');
}

export function printMachine(): void {
  console.log(`\n${day}, ${machine}, load ${busy.toFixed(1)}: \`${commandLine()}\`\n`);
}

function writeReport(file: string): void {
  const report: Report = { question, day, machine, command: commandLine(), busy, tables, figures };
  writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`);
}

export interface Flags {
  readonly rounds: number;
  readonly quick: boolean;
  /** Of comma-separated lists; empty = all. */
  readonly load: readonly string[];
  readonly proxy: readonly string[];
  readonly node: readonly string[];
  /** The dist/main.js of another checkout, measured beside this one as `other`. */
  readonly main: string | undefined;
  /** log.messages of `quiet`, which is this Postern once more. */
  readonly messages: string | undefined;
}

/** --rounds N, --quick, --load A,B, --proxy haproxy,postern, --node=--cpu-prof,…, --main FILE, --messages none, --json FILE */
export function readFlags(args = process.argv.slice(2)): Flags {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      load: { type: 'string', default: '' },
      proxy: { type: 'string', default: '' },
      node: { type: 'string', default: '' },
      main: { type: 'string' },
      messages: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds wants a number of rounds');
  const list = (text: string) => text.split(',').filter((word) => word !== '');
  const { load, proxy, node, main, messages, quick, json } = values;
  if (json !== undefined) process.once('exit', (code) => code === 0 && writeReport(json));
  return { rounds, quick, load: list(load), proxy: list(proxy), node: list(node), main, messages };
}
