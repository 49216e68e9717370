// Runs Stryker over one file of the source after the other, with the tests that fit its folder, and prints what lives.
//
// What is known of a file is kept in .cache/mutants/: a run that was cut goes on from there, and so does the next one, for
// what has not changed since.

import { existsSync, globSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Stryker } from '@stryker-mutator/core';

const ROOT = join(import.meta.dirname, '../..');
const KEPT = '.cache/mutants';

/** By the folder of a file: the tests that run in one process, in a moment. A file that has tests of its own in
 * test/FOLDER/NAME.test.ts is asked of these alone: so a mutant costs milliseconds. */
const TESTS: Readonly<Record<string, readonly string[]>> = {
  smtp: ['test/smtp/!(dialogues-sockets).test.ts', 'test/advisories/*.test.ts'],
  policy: ['test/policy/*.test.ts'],
  limits: ['test/limits/{gcra,keys,memory-store}.test.ts'],
};

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
  for (const file of wanted.length === 0 ? FILES : wanted) {
    const row = await mutateFile(file);
    console.log(row.text);
    isGood &&= row.score >= 95;
  }
  return isGood;
}

async function mutateFile(file: string): Promise<{ readonly text: string; readonly score: number }> {
  const folder = /^src\/(\w+)\//.exec(file)?.[1] ?? '';
  const tests = TESTS[folder];
  if (tests === undefined) throw new Error(`${file}: mutants are made in ${Object.keys(TESTS).join(', ')} of src/`);
  const own = join('test', folder, `${basename(file, '.ts')}.test.ts`);
  const patterns = existsSync(join(ROOT, own)) ? [own] : tests;
  process.env.POSTERN_MUTANT_TESTS = patterns
    .flatMap((pattern) => globSync(pattern, { cwd: ROOT }).toSorted())
    .join(' ');
  process.env.POSTERN_FUZZ_RUNS ??= '100';
  const kept = join(KEPT, `${folder}-${basename(file, '.ts')}`);
  await new Stryker({
    mutate: [file],
    testRunner: 'node-test',
    plugins: [join(import.meta.dirname, 'node-test-runner.ts')],
    coverageAnalysis: 'perTest',
    concurrency: 1,
    reporters: ['json'],
    jsonReporter: { fileName: `${kept}.json` },
    incremental: true,
    incrementalFile: `${kept}.incremental.json`,
    tempDirName: '.cache/stryker',
    tsconfigFile: 'none', // it would be read with an interface that TypeScript 7 has not got
    ignorePatterns: ['.cache', 'dist', 'docs', 'bench', 'deploy', 'findings', 'build', 'packages', 'test/real'],
    timeoutMS: 20_000,
    timeoutFactor: 3,
    dryRunTimeoutMinutes: 10,
    logLevel: 'warn',
    warnings: false,
  } as ConstructorParameters<typeof Stryker>[0]).runMutationTest();
  return tableRow(file, `${kept}.json`);
}

interface Report {
  readonly files: Readonly<Record<string, { readonly mutants: readonly Mutant[] }>>;
}
interface Mutant {
  readonly status: string;
  readonly replacement?: string;
  readonly location: { readonly start: { readonly line: number; readonly column: number } };
}

function tableRow(file: string, report: string): { readonly text: string; readonly score: number } {
  const { files } = JSON.parse(readFileSync(join(ROOT, report), 'utf8')) as Report;
  const all = Object.values(files).flatMap(({ mutants }) => mutants);
  const dead = all.filter(({ status }) => status === 'Killed' || status === 'Timeout').length;
  const alive = all.filter(({ status }) => status === 'Survived' || status === 'NoCoverage');
  const score = (100 * dead) / Math.max(1, dead + alive.length);
  const lines = alive.map(
    ({ location: { start }, replacement, status }) =>
      `    ${file}:${start.line}:${start.column} ${status}: ${(replacement ?? '').replace(/\s+/g, ' ').slice(0, 100)}`,
  );
  return {
    text: [`| ${file} | ${dead + alive.length} | ${dead} | ${score.toFixed(1)} % |`, ...lines].join('\n'),
    score,
  };
}
