// Runs Stryker over one file of the source after the other, with the tests of its folder, and prints which mutants live that
// nobody has explained.
//
// What is known is kept in .cache/mutants/ (known.ts): a run that was cut goes on.

import { globSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Stryker } from '@stryker-mutator/core';
import { digestOf } from './known.ts';
import { type Explained, mutationOf, readExplained } from './mutation.ts';
import type { Asked } from './node-test-runner.ts';

const ROOT = join(import.meta.dirname, '../..');
const KEPT = '.cache/mutants';

/** By the folder of a file: the tests that run in one process, in a moment. */
const TESTS: Readonly<Record<string, readonly string[]>> = {
  smtp: ['test/smtp/!(dialogues-sockets).test.ts', 'test/advisories/*.test.ts'],
  policy: ['test/policy/*.test.ts'],
  limits: ['test/limits/{gcra,keys,memory-store}.test.ts'],
};

/** What else may decide whether a mutant lives. */
const AROUND = ['src/**/*.ts', 'test/{helpers,transcripts}/**/*.{ts,txt}', 'test/policy/*.ts', 'test/limits/*.ts'];

/** So that a mutant that lives costs seconds: dialogues are cut at fewer places, properties tried less often. */
const QUICK = { POSTERN_FUZZ_RUNS: '60', POSTERN_RUNS: '60', POSTERN_CUTS: '20000' };

/** The most dangerous first. */
const FILES = [
  ...'client-octets mail-data path command dialogue execute answers session data-commands reply reply-queue'
    .split(' ')
    .map((name) => `src/smtp/${name}.ts`),
  ...'judge domains ranges rules name-set range-table'.split(' ').map((name) => `src/policy/${name}.ts`),
  ...'transaction capabilities sasl login starttls bytes replies'.split(' ').map((name) => `src/smtp/${name}.ts`),
  ...'gcra keys memory-store'.split(' ').map((name) => `src/limits/${name}.ts`),
];

/** True when every file has the score that we want. */
export async function mutate(wanted: readonly string[]): Promise<boolean> {
  mkdirSync(join(ROOT, KEPT), { recursive: true });
  let isGood = true;
  for (const file of wanted.length === 0 ? FILES : wanted) isGood = (await mutateFile(file)) && isGood;
  return isGood;
}

async function mutateFile(file: string): Promise<boolean> {
  const folder = /^src\/(\w+)\//.exec(file)?.[1] ?? '';
  const patterns = TESTS[folder];
  if (patterns === undefined) throw new Error(`${file}: mutants are made in ${Object.keys(TESTS).join(', ')} of src/`);
  const tests = patterns.flatMap((pattern) => globSync(pattern, { cwd: ROOT }).toSorted());
  const explained = readExplained().get(file) ?? [];
  const kept = join(KEPT, `${folder}-${basename(file, '.ts')}`);
  const asked: Asked = {
    tests,
    source: join(ROOT, file),
    known: join(ROOT, `${kept}.known.jsonl`),
    paces: join(ROOT, KEPT, `${folder}.paces.json`),
    digest: digestOf(ROOT, [...tests, ...AROUND]),
    explained: explained.map(({ mutation }) => mutation),
  };
  process.env.POSTERN_MUTANTS = JSON.stringify(asked);
  for (const [name, value] of Object.entries(QUICK)) process.env[name] ??= value;
  await new Stryker({
    mutate: [file],
    testRunner: 'node-test',
    plugins: [join(import.meta.dirname, 'node-test-runner.ts')],
    coverageAnalysis: 'perTest',
    concurrency: 1,
    reporters: ['json'],
    jsonReporter: { fileName: `${kept}.json` },
    tempDirName: `.cache/stryker-${process.pid}`,
    tsconfigFile: 'none', // it would be read with an interface that TypeScript 7 has not got
    ignorePatterns: ['.cache', 'dist', 'docs', 'bench', 'deploy', 'findings', 'build', 'packages', 'test/real'],
    timeoutMS: 20_000,
    timeoutFactor: 2,
    dryRunTimeoutMinutes: 10,
    logLevel: 'warn',
    warnings: false,
  } as ConstructorParameters<typeof Stryker>[0]).runMutationTest();
  return tell(file, `${kept}.json`, explained);
}

interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>;
}
interface Point {
  readonly line: number;
  readonly column: number;
}
interface Mutant {
  readonly status: string;
  readonly replacement?: string;
  readonly statusReason?: string;
  readonly location: { readonly start: Point; readonly end: Point };
}

/** Prints a row of the table, and under it what lives; true when the score is the one that we want. */
function tell(file: string, report: string, explained: readonly Explained[]): boolean {
  const [found] = Object.values((JSON.parse(readFileSync(join(ROOT, report), 'utf8')) as Report).files);
  const { source, mutants } = found ?? { source: '', mutants: [] };
  const names = mutants.map(({ location: { start, end }, replacement }) =>
    mutationOf(source, { start: fromZero(start), end: fromZero(end) }, replacement ?? ''),
  );
  const isExplained = new Set(explained.map(({ mutation }) => mutation));
  let dead = 0;
  let known = 0;
  const alive: string[] = [];
  for (const [i, { status, statusReason, location }] of mutants.entries()) {
    const name = names[i] ?? '';
    if (status === 'Killed' || status === 'Timeout') dead++;
    else if (isExplained.has(name)) known++;
    else
      alive.push(
        `    ${location.start.line} ${status}: ${name}${statusReason === undefined ? '' : ` (${statusReason})`}`,
      );
  }
  const all = mutants.length;
  const score = (100 * dead) / Math.max(1, all - known);
  console.log(`| ${file} | ${all} | ${dead} | ${known} | ${alive.length} | ${score.toFixed(1)} % |`);
  for (const line of alive) console.log(line);
  const stale = [...isExplained].filter((mutation) => !names.includes(mutation));
  for (const mutation of stale) console.log(`    explained, but there is no such mutant: ${mutation}`);
  return score >= 95 && stale.length === 0;
}

function fromZero({ line, column }: Point): Point {
  return { line: line - 1, column: column - 1 };
}
