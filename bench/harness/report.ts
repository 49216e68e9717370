// Medians and markdown: a number here never stands without its machine and its command.

import { cpus, release } from 'node:os';
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

export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  console.log(`| ${head.join(' | ')} |`);
  console.log(`|${head.map((_, column) => (column === 0 ? '---' : '--:')).join('|')}|`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
}

export function printMachine(): void {
  const processors = cpus();
  const day = new Date().toISOString().slice(0, 10);
  const command = ['node', `bench/${process.argv[1]?.split('/').at(-1)}`, ...process.argv.slice(2)].join(' ');
  console.log(
    `\n${day}, ${processors.length} × ${processors[0]?.model.trim()}, Linux ${release()}, Node ${process.versions.node}: \`${command}\`\n`,
  );
}

export interface Flags {
  readonly rounds: number;
  readonly quick: boolean;
  /** Of comma-separated lists; empty = all. */
  readonly load: readonly string[];
  readonly proxy: readonly string[];
  readonly node: readonly string[];
  /** The src/main.ts of another checkout, measured beside this one as `other`. */
  readonly main: string | undefined;
  /** log.messages of `quiet`, which is this Postern once more. */
  readonly messages: string | undefined;
}

/** --rounds N, --quick, --load A,B, --proxy haproxy,postern, --node=--cpu-prof,…, --main FILE, --messages none */
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
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds wants a number of rounds');
  const list = (text: string) => text.split(',').filter((word) => word !== '');
  const { load, proxy, node, main, messages, quick } = values;
  return { rounds, quick, load: list(load), proxy: list(proxy), node: list(node), main, messages };
}
