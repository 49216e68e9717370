// `npm run bench -- [QUESTION…] [--install] [--vs COMMIT] [--json FILE] [--write] [flags of the questions]`
//
// Asks the questions one after the other, each in a process of its own (bench/QUESTION.ts; without a name: loads).
//   --install     gets the peers
//   --vs COMMIT   measures that commit in the same turns, as `other`
//   --json FILE   what was measured, by question
//   --write       keeps it in bench/last.json, and writes what is made of it: the last run in bench/README.md, bench/chart.svg and the
//                 capacity of docs/gateway-under-load.md. Without a question it writes these anew of what is kept.
// All other flags go to each question. What they mean stands in bench/README.md.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { install } from './harness/install.ts';
import { keepReports, readReports } from './harness/kept.ts';
import { checkOut } from './harness/other-commit.ts';
import { builtMain } from './harness/program.ts';
import type { Report } from './harness/report.ts';
import { writePages } from './harness/written.ts';

const OURS = new Set(['--install', '--write']);
const OURS_WITH_VALUE = new Set(['--vs', '--json']);
const WITH_VALUE = new Set(['--rounds', '--load', '--proxy', '--main', '--messages', '--seconds']);

interface Asked {
  readonly questions: string[];
  readonly ours: Map<string, string>;
  readonly passed: string[];
}

function readArguments(args: readonly string[]): Asked {
  const asked: Asked = { questions: [], ours: new Map(), passed: [] };
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    const value = args[at + 1];
    if (OURS.has(arg)) asked.ours.set(arg, '');
    else if (!arg.startsWith('--')) asked.questions.push(arg);
    else if (!OURS_WITH_VALUE.has(arg) && !WITH_VALUE.has(arg)) asked.passed.push(arg);
    else if (value === undefined) throw new Error(`${arg} wants a value`);
    else {
      at++;
      if (OURS_WITH_VALUE.has(arg)) asked.ours.set(arg, value);
      else asked.passed.push(arg, value);
    }
  }
  return asked;
}

function ask(question: string, flags: readonly string[]): Report {
  const program = join(import.meta.dirname, `${question}.ts`);
  if (!existsSync(program)) throw new Error(`no question ${question}: bench/README.md lists them`);
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  try {
    const file = join(folder, 'report.json');
    const { status } = spawnSync(process.execPath, [program, ...flags, '--json', file], { stdio: 'inherit' });
    if (status !== 0) throw new Error(`${question} ended with ${status}`);
    return JSON.parse(readFileSync(file, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(): Promise<void> {
  const { questions, ours, passed } = readArguments(process.argv.slice(2));
  const writes = ours.has('--write');
  if (ours.has('--install')) {
    if (!install()) process.exitCode = 1;
    if (questions.length === 0) return;
  }
  builtMain(); // once for all
  const vs = ours.get('--vs');
  const flags = vs === undefined ? passed : [...passed, '--main', checkOut(vs)];
  const asked = questions.length > 0 || writes ? questions : ['loads'];
  const reports: Report[] = [];
  for (const question of asked) {
    const found = ask(question, flags);
    const command = vs === undefined ? found.command : `npm run bench -- ${process.argv.slice(2).join(' ')}`;
    const report = { ...found, command };
    reports.push(report);
    if (writes) await writePages(keepReports([report])); // at once: a long run may be cut
  }
  const json = ours.get('--json');
  if (json !== undefined) {
    const found = Object.fromEntries(reports.map((report) => [report.question, report]));
    writeFileSync(json, `${JSON.stringify(found, null, 1)}\n`);
  }
  if (writes && reports.length === 0) await writePages(readReports());
}

try {
  await run();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}
