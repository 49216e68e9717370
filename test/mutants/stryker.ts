// Runs Stryker over one file of the source after the other, with the tests of its folder, and prints which mutants live that
// nobody has explained.
//
// What is known is kept in .cache/mutants/ (known.ts): a run that was cut goes on.

import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Stryker } from '@stryker-mutator/core';
import { digestOf } from './known.ts';
import { type Explained, mutationOf, readExplained } from './mutation.ts';
import type { Asked } from './node-test-runner.ts';

const ROOT = join(import.meta.dirname, '../..');
const KEPT = '.cache/mutants';

/** What the sandbox does without. */
const IGNORED = [
  ...'.cache dist docs bench deploy findings build packages'.split(' '),
  ...'model torture soak peers fuzz corpus proxy observe status demo deploy'.split(' ').map((name) => `test/${name}`),
];

/** By the folder of a file: all tests that run in one process; asked with --all. */
const TESTS: Readonly<Record<string, readonly string[]>> = {
  smtp: ['test/smtp/!(dialogues-sockets).test.ts', 'test/advisories/*.test.ts'],
  policy: [
    'test/policy/*.test.ts',
    'test/config/{faults,load,ranges}.test.ts',
    'test/policies/{rows,recipes}.test.ts',
    'test/commands/{check,explain,test}.test.ts',
  ],
  limits: ['test/limits/{gcra,keys,memory-store,remote-store,strikes}.test.ts'],
};

/** Those that a file is asked of else: of its own name, and these. So a mutant costs milliseconds, and its tests stand where they are
 * looked for. */
const CLOSE: Readonly<Record<string, string>> = {
  'smtp/path': 'test/smtp/command.test.ts',
  'smtp/bytes': 'test/smtp/{path,command,sasl,capabilities,reply,said}.test.ts',
  'smtp/mail-data': 'test/advisories/smuggling.test.ts',
  'smtp/capabilities': 'test/smtp/dialogues.test.ts',
  'limits/bans': 'test/limits/memory-store.test.ts',
  'limits/open-connections': 'test/limits/memory-store.test.ts',
};
/** Of the files that have none of their own name, nor are above. */
const COMMON: Readonly<Record<string, string>> = {
  smtp: 'test/{smtp/{dialogues,early-replies},advisories/*}.test.ts',
  policy: 'test/{policy/{judge,selection,own-address,ranges,accounts},config/faults,commands/explain}.test.ts',
  limits: 'test/limits/memory-store.test.ts',
};

/** What else may decide whether a mutant lives. */
const AROUND = ['src/**/*.ts', 'test/{helpers,transcripts}/**/*.{ts,txt}', 'test/policy/*.ts', 'test/limits/*.ts'];

/** So that a mutant that lives costs a second or two: dialogues are not cut, properties tried less often. */
const QUICK = { POSTERN_FUZZ_RUNS: '60', POSTERN_RUNS: '60', POSTERN_CUTS: '0' };

/** The most dangerous first. */
const FILES = [
  ...'client-octets mail-data path command dialogue execute answers session data-commands reply reply-queue'
    .split(' ')
    .map((name) => `src/smtp/${name}.ts`),
  ...'judge domains ranges rules name-set range-table'.split(' ').map((name) => `src/policy/${name}.ts`),
  ...'transaction capabilities sasl login starttls bytes replies'.split(' ').map((name) => `src/smtp/${name}.ts`),
  ...'gcra keys memory-store'.split(' ').map((name) => `src/limits/${name}.ts`),
];

/** True when every file has the score that we want. `all`: the tests of the whole folder are asked. */
export async function mutate(wanted: readonly string[], all: boolean): Promise<boolean> {
  mkdirSync(join(ROOT, KEPT), { recursive: true });
  const files = wanted.length === 0 ? FILES : wanted;
  let isGood = true;
  for (const folder of new Set(files.map(folderOf)))
    isGood =
      (await mutateFiles(
        folder,
        files.filter((file) => folderOf(file) === folder),
        all,
      )) && isGood;
  return isGood;
}

function folderOf(file: string): string {
  const folder = /^src\/(\w+)\/[\w-]+\.ts$/.exec(file)?.[1] ?? '';
  if (folder in TESTS) return folder;
  throw new Error(`${file}: mutants are made in ${Object.keys(TESTS).join(', ')} of src/`);
}

function testsFor(file: string): string[] {
  const name = file.slice('src/'.length, -'.ts'.length);
  const own = `test/${name}.test.ts`;
  const hasOwn = existsSync(join(ROOT, own));
  const close = CLOSE[name];
  if (!hasOwn && close === undefined) return [COMMON[folderOf(file)] ?? ''];
  return [...(hasOwn ? [own] : []), ...(close === undefined ? [] : [close])];
}

async function mutateFiles(folder: string, files: readonly string[], all: boolean): Promise<boolean> {
  const patterns = all ? (TESTS[folder] ?? []) : [...new Set(files.flatMap(testsFor))];
  const tests = [...new Set(patterns.flatMap((pattern) => globSync(pattern, { cwd: ROOT }).toSorted()))];
  const explained = readExplained();
  const kept = join(KEPT, folder);
  const asked: Asked = {
    tests,
    sources: Object.fromEntries(files.map((file) => [file, join(ROOT, file)])),
    known: join(ROOT, `${kept}.known.jsonl`),
    paces: join(ROOT, `${kept}.paces.json`),
    digest: digestOf(ROOT, [...tests, ...AROUND]),
    explained: files.flatMap((file) => (explained.get(file) ?? []).map(({ mutation }) => `${file}: ${mutation}`)),
  };
  process.env.POSTERN_MUTANTS = JSON.stringify(asked);
  for (const [name, value] of Object.entries(QUICK)) process.env[name] ??= value;
  const temporary = mkdtempSync(join(tmpdir(), 'postern-mutants-'));
  process.env.TMPDIR = temporary; // tests that are cut leave their files there
  const report = join(KEPT, `${folder}-${process.pid}.json`);
  await new Stryker({
    mutate: [...files],
    testRunner: 'node-test',
    plugins: [join(import.meta.dirname, 'node-test-runner.ts')],
    coverageAnalysis: 'perTest',
    concurrency: 1,
    reporters: ['json'],
    jsonReporter: { fileName: report },
    tempDirName: `.cache/stryker-${process.pid}`,
    tsconfigFile: 'none', // it would be read with an interface that TypeScript 7 has not got
    ignorePatterns: IGNORED,
    timeoutMS: 60_000,
    timeoutFactor: 2,
    dryRunTimeoutMinutes: 20,
    logLevel: 'warn',
    warnings: false,
  } as ConstructorParameters<typeof Stryker>[0]).runMutationTest();
  rmSync(temporary, { recursive: true });
  process.env.TMPDIR = '/tmp';
  const found = (JSON.parse(readFileSync(join(ROOT, report), 'utf8')) as Report).files;
  rmSync(join(ROOT, report));
  return files.map((file) => tell(file, found[file], explained.get(file) ?? [])).every((isGood) => isGood);
}

interface Report {
  readonly files: Readonly<Record<string, FileReport>>;
}
interface FileReport {
  readonly source: string;
  readonly mutants: readonly Mutant[];
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
function tell(file: string, found: FileReport | undefined, explained: readonly Explained[]): boolean {
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
