// How long from the start of the program to its first listening port? From the source, from dist/, and as the one file.
//
//   npm run build && npm run package linux-x64 && node bench/start.ts [--rounds N]
//
// The clock begins before the process is made and ends with the line that says that it listens. The three take turns. What
// the first round finds on disk and not in memory is not counted: it is thrown away. What is not built is left out, and named. A bare Node is the yardstick: on a machine that is
// busy all four take longer.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { printMachine, printTable } from './harness/report.ts';

const ROOT = join(import.meta.dirname, '..');
const GOAL_MS = 150;
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '20' } } });

const [one] = globSync(`packages/postern-*-${process.platform}-${process.arch}`, { cwd: ROOT });
const ways: readonly (readonly [string, readonly string[]])[] = [
  ['a bare Node that says a word', [process.execPath, '-e', "process.stderr.write('listening on')"]],
  ['source (src/main.ts)', [process.execPath, join(ROOT, 'src/main.ts')]],
  ['dist/main.js', [process.execPath, join(ROOT, 'dist/main.js')]],
  ['one file', [join(ROOT, one ?? 'packages/postern')]],
];
const there = ways.filter(([name, command]) => {
  const isThere = command.includes('-e') || existsSync(command.at(-1) as string);
  if (!isThere) process.stderr.write(`${name}: not built\n`);
  return isThere;
});

const FLAGS = ['run', '--listen', '127.0.0.1:0', '--upstream', '192.0.2.1:25', '--accepted-domain', 'example.com'];

/** Milliseconds until it says that it listens. */
async function started([program = '', ...args]: readonly string[]): Promise<number> {
  const begin = performance.now();
  const child = spawn(program, [...args, ...FLAGS, '--admin', '127.0.0.1:0'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  for await (const text of child.stderr.setEncoding('utf8')) {
    said += text;
    if (said.includes('listening on')) break;
  }
  const took = performance.now() - begin;
  if (!said.includes('listening on')) throw new Error(`${program} did not start: ${said}`);
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return took;
}

const times = new Map<string, number[]>(there.map(([name]) => [name, []]));
for (let round = 0; round <= Number(values.rounds); round++)
  for (const [name, command] of there) {
    const took = await started(command);
    if (round > 0) times.get(name)?.push(took);
  }

const rows = [...times].map(([name, taken]) => {
  const sorted = taken.toSorted((a, b) => a - b);
  const at = (share: number): string => `${Math.round(sorted[Math.floor((sorted.length - 1) * share)] as number)}`;
  return [name, at(0), at(0.5), at(0.9), Number(at(0.5)) <= GOAL_MS ? 'yes' : 'no'];
});
printMachine();
printTable(['started from', 'best ms', 'median ms', '90 % ms', `median ≤ ${GOAL_MS} ms`], rows);
