// Makes every mutant that Stryker's instrumenter knows of some files of the source, has tests asked about each (ask.ts, in a
// process of its own), and prints which live that nobody has explained.
//
// Not Stryker's own core: it copies the project for each run, starts two processes and instruments everything before it asks
// the first test, and keeps what it found only at its end. Here a file with tests of its own costs a few seconds.

import { fork } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Instrumenter } from '@stryker-mutator/instrumenter';
import { digestOf, KnownMutants, NO_END } from './known.ts';
import { isPause, mutationOf, readExplained } from './mutation.ts';
import type { Mutant, Work } from './work.ts';

const ROOT = join(import.meta.dirname, '../..');
const KEPT = join(ROOT, '.cache/mutants');
const ASK = join(import.meta.dirname, 'ask.ts');
const GOAL = 95; // %
const LONGEST = 120_000; // ms for one test: who goes round for ever says nothing

/** By the folder of a file: all tests that run in one process, for --all. */
const TESTS: Readonly<Record<string, readonly string[]>> = {
  smtp: ['test/smtp/!(dialogues-sockets).test.ts', 'test/advisories/*.test.ts'],
  policy: [
    'test/policy/*.test.ts',
    'test/config/{faults,ranges}.test.ts',
    'test/policies/{rows,recipes}.test.ts',
    'test/commands/{check,explain,test}.test.ts',
  ],
  limits: ['test/limits/{gcra,keys,memory-store,remote-store,strikes}.test.ts'],
};

/** A file is asked of the tests of its own name and of these: so a mutant costs milliseconds, and tests stand where they are
 * looked for. */
const CLOSE: Readonly<Record<string, string>> = {
  'smtp/path': 'test/smtp/command.test.ts',
  'smtp/mail-data': 'test/advisories/smuggling.test.ts',
  'smtp/capabilities': 'test/smtp/dialogues.test.ts',
  'policy/policy-question': 'test/policy/own-address.test.ts',
  'limits/bans': 'test/limits/memory-store.test.ts',
};
/** What decides is asked of what a policy answers; the rest of policy/ of what it says to be wrong as well. */
const DECIDES =
  /^policy\/(judge|rules|login-senders|connector|truth|members|accounts|suspects|spellings|certificate-subjects)$/;
const ANSWERS =
  'test/{policy/{judge,decisions,selection,own-address,accounts,login-senders,spellings},commands/explain}.test.ts';
/** A file that has none of these: of its folder's common ones. */
const COMMON: Readonly<Record<string, string>> = {
  smtp: 'test/{smtp/{dialogues,early-replies},advisories/*}.test.ts',
  policy:
    'test/{policy/{judge,decisions,selection,own-address,ranges,accounts},config/faults,commands/explain}.test.ts',
  limits: 'test/limits/memory-store.test.ts',
};

/** What else may decide whether a mutant lives. */
const AROUND = [
  'src/**/*.ts',
  'test/{helpers,transcripts}/**/*.{ts,txt}',
  'test/{policy,limits}/*.ts',
  'test/config/*.txt',
];

/** So that one that lives costs a second at most: dialogues are not cut, properties tried less often. */
const QUICK = { POSTERN_FUZZ_RUNS: '60', POSTERN_RUNS: '60', POSTERN_CUTS: '0' };

/** True when every file has the score that we want. `all`: the tests of the whole folder are asked. */
export async function mutate(files: readonly string[], all: boolean): Promise<boolean> {
  if (files.length === 0) throw new Error(`which files? Mutants are made in ${Object.keys(TESTS).join(', ')} of src/`);
  mkdirSync(KEPT, { recursive: true });
  let isGood = true;
  for (const file of files) isGood = (await mutateFile(file, all)) && isGood;
  return isGood;
}

async function mutateFile(file: string, all: boolean): Promise<boolean> {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const { instrumented, mutants } = await instrument(file, source);
  const explained = (readExplained().get(file) ?? []).map(({ mutation }) => `${file}: ${mutation}`);
  const isExplained = ({ name }: Mutant): boolean => explained.includes(name) || isPause(name);
  const patterns = all ? (TESTS[folderOf(file)] ?? []) : testsFor(file);
  const tests = patterns.flatMap((pattern) => globSync(pattern, { cwd: ROOT }).toSorted());
  const work: Work = {
    root: ROOT,
    files: [{ file, instrumented }],
    mutants: mutants.filter((mutant) => !isExplained(mutant)),
    tests: [...new Set(tests)],
    known: join(KEPT, `${folderOf(file)}.known.jsonl`),
    digest: digestOf(ROOT, [...tests, ...AROUND]),
  };
  await ask(work);
  const stale = explained.filter((name) => !mutants.some((mutant) => mutant.name === name));
  return tell(file, mutants, work.mutants, stale, new KnownMutants(work.known, work.digest));
}

function folderOf(file: string): string {
  return /^src\/(\w+)\//.exec(file)?.[1] ?? '';
}

function testsFor(file: string): string[] {
  const name = file.slice('src/'.length, -'.ts'.length);
  const own = `test/${name}.test.ts`;
  const hasOwn = existsSync(join(ROOT, own));
  const folder = folderOf(file);
  const common = hasOwn && folder !== 'policy' ? undefined : COMMON[folder];
  const close = DECIDES.test(name) ? ANSWERS : (CLOSE[name] ?? common);
  return [...(hasOwn ? [own] : []), ...(close === undefined ? [] : [close])];
}

async function instrument(file: string, content: string): Promise<{ instrumented: string; mutants: Mutant[] }> {
  const quiet = new Proxy({}, { get: () => () => false });
  const options = { ignorers: [], excludedMutations: [], plugins: null, noHeader: false };
  const instrumenter = new Instrumenter(quiet as ConstructorParameters<typeof Instrumenter>[0]);
  const { files, mutants } = await instrumenter.instrument([{ name: file, mutate: true, content }], options);
  const names = new Set<string>();
  const made = mutants.map(({ id, location, replacement }): Mutant => {
    const name = `${file}: ${mutationOf(content, location, replacement)}`;
    let unique = name;
    for (let times = 2; names.has(unique); times++) unique = `${name} (${times})`; // of lines that are alike
    names.add(unique);
    return { id, file, name: unique, place: location };
  });
  return { instrumented: files[0]?.content ?? '', mutants: made };
}

async function ask(work: Work): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-mutants-'));
  const workFile = join(folder, 'work.json');
  const env = { ...QUICK, ...process.env, TMPDIR: folder };
  try {
    writeFileSync(workFile, JSON.stringify(work));
    while (!(await askOfAll(work, workFile, env)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** False when one had no end or ended the process, and the others are to be asked. */
function askOfAll(work: Work, workFile: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const execArgv = ['--disable-warning=ExperimentalWarning']; // types are stripped
    const child = fork(ASK, [workFile], { env, execArgv });
    let at: string | null = null;
    let timer = setTimeout(() => child.kill('SIGKILL'), 10 * LONGEST);
    child.on('message', (said: { at: string }) => {
      clearTimeout(timer);
      timer = setTimeout(() => child.kill('SIGKILL'), LONGEST);
      at = said.at;
    });
    child.on('exit', (code) => {
      clearTimeout(timer);
      if (code !== 0 && at === null) reject(new Error('the tests cannot be asked'));
      if (code !== 0 && at !== null) new KnownMutants(work.known, work.digest).add(at, NO_END);
      resolve(code === 0);
    });
  });
}

/** Prints a row of the table, and under it what lives; true when the score is the one that we want. */
function tell(
  file: string,
  mutants: readonly Mutant[],
  asked: readonly Mutant[],
  stale: readonly string[],
  known: KnownMutants,
): boolean {
  const alive = asked.filter(({ name }) => known.killer(name) === null);
  const dead = asked.length - alive.length;
  const score = (100 * dead) / Math.max(1, asked.length);
  console.log(
    `| ${file} | ${mutants.length} | ${dead} | ${mutants.length - asked.length} | ${alive.length} | ${score.toFixed(1)} % |`,
  );
  for (const { name, place } of alive) console.log(`    ${place.start.line + 1} ${name.slice(file.length + 2)}`);
  for (const name of stale) console.log(`    explained, but there is no such mutant: ${name}`);
  return score >= GOAL && stale.length === 0;
}
