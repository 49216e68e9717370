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
import { AGAIN, type Mutant, type Told, type Work } from './work.ts';

const ROOT = join(import.meta.dirname, '../..');
const KEPT = join(ROOT, '.cache/mutants');
const ASK = join(import.meta.dirname, 'ask.ts');
const GOAL = 95; // %
const FIRST = 1_800_000; // ms to load all tests, and to run each without a mutant

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

/** A file that has neither tests of its own nor any in CLOSE is asked of its folder's common ones; those that say most first. */
const COMMON: Readonly<Record<string, readonly string[]>> = {
  smtp: [
    'test/smtp/{client-octets,early-replies,session,told}.test.ts',
    'test/smtp/dialogues.test.ts',
    'test/advisories/*.test.ts',
  ],
  policy: [
    'test/{policy/{judge,decisions,selection,own-address,ranges,accounts},config/faults,commands/explain}.test.ts',
  ],
  limits: ['test/limits/memory-store.test.ts'],
};
const FAULTS = ['test/{config/faults,policy/{lint,own-address}}.test.ts'];
const ALL_OF_SMTP = COMMON.smtp as readonly string[];

/** A file is asked of the tests of its own name and of these: so a mutant costs milliseconds, and tests stand where they are
 * looked for. */
const CLOSE: Readonly<Record<string, readonly string[]>> = {
  'smtp/path': ['test/smtp/command.test.ts'],
  'smtp/mail-data': ['test/advisories/smuggling.test.ts'],
  'smtp/capabilities': ['test/smtp/dialogues.test.ts'],
  'smtp/session': ALL_OF_SMTP,
  'smtp/client-octets': ALL_OF_SMTP,
  'smtp/line-dots-code': ['test/smtp/line-dots.test.ts'],
  'policy/policy-question': ['test/policy/own-address.test.ts'],
  'policy/compile': ['test/policy/policy.test.ts'],
  'policy/lint': FAULTS,
  'policy/lint-limits': FAULTS,
  'policy/lint-senders': FAULTS,
  'policy/shadow': FAULTS,
  'policy/document': ['test/policy/compile-connector.test.ts'],
  'policy/explain': ['test/commands/explain.test.ts'],
  'policy/setting': ['test/{commands,policy}/explain.test.ts'],
  'policy/options': ['test/policy/{document,lists,policy}.test.ts'],
  'policy/range-table': ['test/policy/ranges.test.ts'],
  'limits/bans': ['test/limits/memory-store.test.ts'],
  'limits/redis-client': ['test/limits/redis-places.test.ts'],
  'limits/redis-store': ['test/limits/redis-{answers,away}.test.ts'],
  'limits/redis-scripts': ['test/limits/redis-store.test.ts'],
};
/** What decides is asked of what a policy answers; the rest of policy/ of what it says to be wrong as well. */
const DECIDES = /^policy\/(judge|rules|login-senders|connector|truth|members|accounts|certificate-subjects)$/;
const ANSWERS = [
  'test/{policy/{judge,decisions,selection,own-address,accounts,login-senders,spellings},commands/explain}.test.ts',
];

/** Asked of the tests of its own name alone. */
const ALONE =
  /^policy\/(cases|domains|ip|lists|name-set|names|pile|policy|problem|ranges|replies|spans|sorted-ips|spellings|steps|suspects)$/;

/** What else may decide whether a mutant lives. */
const AROUND = [
  'src/**/*.ts',
  'test/{helpers,transcripts}/**/*.{ts,txt}',
  'test/{policy,limits}/*.ts',
  'test/config/*.txt',
];

/** So that one that lives costs a second at most: dialogues are not cut, properties tried less often, and not all texts. */
const QUICK = {
  POSTERN_FUZZ_RUNS: '60',
  POSTERN_RUNS: '60',
  POSTERN_CUTS: '0',
  POSTERN_TEXTS: '5',
};

/** True when every file has the score that we want. `all`: the tests of the whole folder are asked. */
export async function mutate(files: readonly string[], all: boolean): Promise<boolean> {
  if (files.length === 0) throw new Error(`which files? Mutants are made in ${Object.keys(TESTS).join(', ')} of src/`);
  mkdirSync(KEPT, { recursive: true });
  const alike = Map.groupBy(files, (file) => testsFor(file, all).join()); // and in one folder: they are asked together
  let isGood = true;
  for (const group of alike.values()) isGood = (await mutateFiles(group, all)) && isGood;
  return isGood;
}

async function mutateFiles(files: readonly string[], all: boolean): Promise<boolean> {
  const [first] = files as [string];
  const { instrumented, mutants } = await instrument(files);
  const byFile = readExplained();
  const explained = files.flatMap((file) => (byFile.get(file) ?? []).map(({ mutation }) => `${file}: ${mutation}`));
  const isExplained = ({ name }: Mutant): boolean => explained.includes(name) || isPause(name);
  const tests = testsFor(first, all);
  const work: Work = {
    root: ROOT,
    files: instrumented,
    mutants: mutants.filter((mutant) => !isExplained(mutant)),
    tests,
    known: join(KEPT, `${folderOf(first)}.known.jsonl`),
    digest: digestOf(ROOT, [...tests, ...AROUND]),
  };
  await ask(work);
  const known = new KnownMutants(work.known, work.digest);
  const stale = explained.filter((name) => !mutants.some((mutant) => mutant.name === name));
  const told = files.map((file) => {
    const isOf = (mutant: Mutant): boolean => mutant.file === file;
    const old = stale.filter((name) => name.startsWith(`${file}: `));
    return tell(file, mutants.filter(isOf), work.mutants.filter(isOf), old, known);
  });
  return told.every((isGood) => isGood);
}

function folderOf(file: string): string {
  return /^src\/(\w+)\//.exec(file)?.[1] ?? '';
}

/** The tests that are asked of a file. */
function testsFor(file: string, all: boolean): string[] {
  const patterns = all ? (TESTS[folderOf(file)] ?? []) : closeTo(file);
  return [...new Set(patterns.flatMap((pattern) => globSync(pattern, { cwd: ROOT }).toSorted()))];
}

function closeTo(file: string): string[] {
  const name = file.slice('src/'.length, -'.ts'.length);
  const own = `test/${name}.test.ts`;
  const hasOwn = existsSync(join(ROOT, own));
  const folder = folderOf(file);
  const common = ALONE.test(name) || (hasOwn && folder !== 'policy') ? [] : (COMMON[folder] ?? []);
  const close = DECIDES.test(name) ? ANSWERS : (CLOSE[name] ?? common);
  return [...close, ...(hasOwn ? [own] : [])];
}

async function instrument(names: readonly string[]): Promise<Pick<Work, 'mutants'> & { instrumented: Work['files'] }> {
  const quiet = new Proxy({}, { get: () => () => false });
  const options = { ignorers: [], excludedMutations: [], plugins: null, noHeader: false };
  const instrumenter = new Instrumenter(quiet as ConstructorParameters<typeof Instrumenter>[0]);
  const sources = names.map((name) => ({ name, mutate: true, content: readFileSync(join(ROOT, name), 'utf8') }));
  const { files, mutants } = await instrumenter.instrument(sources, options);
  const known = new Set<string>();
  const made = mutants.map(({ id, fileName: file, location, replacement }): Mutant => {
    const { content } = sources.find(({ name }) => name === file) as { content: string };
    const name = `${file}: ${mutationOf(content, location, replacement)}`;
    let unique = name;
    for (let times = 2; known.has(unique); times++) unique = `${name} (${times})`; // of lines that are alike
    known.add(unique);
    return { id, file, name: unique, place: location };
  });
  return { instrumented: files.map(({ name, content }) => ({ file: name, instrumented: content })), mutants: made };
}

async function ask(work: Work): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-mutants-'));
  const workFile = join(folder, 'work.json');
  try {
    writeFileSync(workFile, JSON.stringify(work));
    while (!(await askOfAll(work, workFile, { ...QUICK, ...process.env, TMPDIR: folder })));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** False when there are more: one mutant had no end or ended the process, or it was asked to begin anew. */
function askOfAll(work: Work, workFile: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const execArgv = ['--disable-warning=ExperimentalWarning']; // types are stripped
    const child = fork(ASK, [workFile], { env, execArgv });
    let at: string | null = null;
    let timer = setTimeout(() => child.kill('SIGKILL'), FIRST);
    child.on('message', (said: Told) => {
      clearTimeout(timer);
      timer = setTimeout(() => child.kill('SIGKILL'), said.longest);
      at = said.at;
    });
    child.on('exit', (code) => {
      clearTimeout(timer);
      const isCutShort = code !== 0 && code !== AGAIN;
      if (isCutShort && at === null) reject(new Error('the tests cannot be asked'));
      if (isCutShort && at !== null) new KnownMutants(work.known, work.digest).add(at, NO_END);
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
  const score = asked.length === 0 ? 100 : (100 * dead) / asked.length;
  console.log(
    `| ${file} | ${mutants.length} | ${dead} | ${mutants.length - asked.length} | ${alive.length} | ${score.toFixed(1)} % |`,
  );
  for (const { name, place } of alive) console.log(`    ${place.start.line + 1} ${name.slice(file.length + 2)}`);
  for (const name of stale) console.log(`    explained, but there is no such mutant: ${name}`);
  return score >= GOAL && stale.length === 0;
}
