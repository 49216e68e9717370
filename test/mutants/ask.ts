// A process that asks tests about mutants: `node ask.ts WORK.json`. It says to its parent which mutant it is at. What came of
// it stands in the file of what is known.
//
// Of what is there while modules are loaded, modules and tests are loaded anew for each mutant, in the same process: a process
// each would cost a second.
//
// Nothing is written but that: the source with the mutants in it is handed to Node as it loads the file. What is random in
// tests is so in the same way each time: who was killed once is killed again.

import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { basename, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { COLLECTED, type Collected, collectFrom, ENDS } from './collected.ts';
import { KnownMutants, NO_END } from './known.ts';
import { AGAIN, type Mutant, type Told, type Work } from './work.ts';

type Named = readonly [name: string, test: Collected];
type Tests = ReadonlyMap<string, Collected>;
type Counts = Readonly<Record<string, number>>; // of hits, by mutant

/** What Stryker's instrumented code looks at. */
interface Switch {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  mutantCoverage?: { readonly static: Counts; readonly perTest: Readonly<Record<string, Counts>> };
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
}

const LONGEST = 15_000; // ms that a test may wait for what does not come, and some times what it took without a mutant
const FIRST = 120_000; // ms without one: the machine may be busy
const TO_TELL = 10_000; // ms more, for it to be red by itself
const MOST_HITS = 5; // times as many as without a mutant: it goes round for ever

const MOST_RECENT = 12;
const LOADED = 80; // times, in one process: nothing that was loaded is let go

const [, , workFile = ''] = process.argv;
const work = JSON.parse(readFileSync(workFile, 'utf8')) as Work;
const known = new KnownMutants(work.known, work.digest);
const paces = new Map<string, number>();
const recent: string[] = []; // tests that were red, the newest last

const lever: Switch = {};
(globalThis as { __stryker__?: Switch }).__stryker__ = lever;
fc.configureGlobal({ seed: 1, endOnFailure: true });

/** Ends the test that runs: what was thrown to nobody would make node:test red. */
let throwToTest: (reason: unknown) => void = () => {};
process.on('unhandledRejection', (reason) => throwToTest(reason));
process.on('uncaughtException', (error) => throwToTest(error));

const urls = new Map(
  work.files.map(({ file, instrumented }) => [pathToFileURL(join(work.root, file)).href, instrumented]),
);
const collectedUrl = new URL('./collected.ts', import.meta.url).href;
const rootUrl = pathToFileURL(`${work.root}/`).href;
const codes = new Map<string, string>();
let round = 0; // how often all was loaded anew
registerHooks({
  resolve: (specifier, context, next) => {
    if (specifier === 'node:test') return { url: collectedUrl, shortCircuit: true };
    const found = next(specifier, context);
    const isOurs = found.url.startsWith(rootUrl) && !found.url.includes('/node_modules/');
    return round > 0 && isOurs ? { ...found, url: `${found.url.split('?', 1)[0]}?${round}` } : found;
  },
  load: (url, context, next) => {
    if (context.format !== 'module-typescript') return next(url, context);
    return { format: 'module', source: withoutTypes(url.split('?', 1)[0] as string), shortCircuit: true };
  },
});

/** The code of a module, its types taken out once: that is most of what it costs to load it anew. */
function withoutTypes(url: string): string {
  let code = codes.get(url);
  if (code === undefined) {
    code = stripTypeScriptTypes(urls.get(url) ?? readFileSync(fileURLToPath(url), 'utf8'));
    codes.set(url, code);
  }
  return code;
}

try {
  process.exit((await askOfAll()) ? 0 : AGAIN);
} catch (error) {
  console.error(error);
  process.exit(1);
}

/** False when there are more, for another process. */
async function askOfAll(): Promise<boolean> {
  const tests = new Map<string, Collected>();
  for (const file of work.tests) await load(file, tests); // and none is ended before the process is
  const whileLoading = new Set(Object.keys(lever.mutantCoverage?.static ?? {})); // what is asked below is counted there as well
  const open = work.mutants.filter(({ name }) => !known.isKnown(name));
  if (open.some(({ id }) => !whileLoading.has(id))) await askLoaded(open, tests, whileLoading);
  for (const mutant of open) {
    if (known.isKnown(mutant.name)) continue;
    if (round === LOADED) return false;
    round++;
    tell(mutant, FIRST);
    known.add(mutant.name, await killerWhileLoading(mutant));
  }
  return true;
}

/** Of all that can be switched on at any time. */
async function askLoaded(open: readonly Mutant[], tests: Tests, whileLoading: ReadonlySet<string>): Promise<void> {
  for (const [name, test] of tests) {
    lever.currentTestId = name;
    const began = performance.now();
    const failure = await failureOf(test, FIRST);
    if (failure !== null) throw new Error(`red without any mutant: ${name}: ${failure}`);
    paces.set(name, performance.now() - began);
  }
  lever.currentTestId = undefined;
  const { perTest = {} } = lever.mutantCoverage ?? {};
  for (const mutant of open) {
    const hits = (name: string): number => perTest[name]?.[mutant.id] ?? 0;
    const covering = [...tests].filter(([name]) => hits(name) > 0);
    const killer = await killerOf(mutant, covering, (name) => 1000 + hits(name) * MOST_HITS);
    if (killer !== null || !whileLoading.has(mutant.id)) known.add(mutant.name, killer);
  }
}

/** No more is loaded than is needed to see one test red. */
async function killerWhileLoading(mutant: Mutant): Promise<string | null> {
  const own = `${basename(mutant.file, '.ts')}.test.ts`;
  const likely = [known.killer(mutant.name)?.split(' › ')[0], work.tests.find((file) => basename(file) === own)];
  const files = new Set([...likely.filter((file) => file !== undefined && work.tests.includes(file)), ...work.tests]);
  for (const file of files as Set<string>) {
    const tests = new Map<string, Collected>();
    let ends: readonly (() => unknown)[] = [];
    lever.activeMutant = mutant.id;
    try {
      ends = await load(file, tests);
    } catch (error) {
      return `loading (${String(error).slice(0, 60)})`;
    } finally {
      lever.activeMutant = undefined;
    }
    const killer = await killerOf(mutant, [...tests], () => Number.POSITIVE_INFINITY);
    await Promise.allSettled(ends.map(async (end) => end()));
    if (killer !== null) return killer;
  }
  return null;
}

/** Adds the tests of a file. Answers what is to be done when they are asked no more. */
async function load(file: string, tests: Map<string, Collected>): Promise<readonly (() => unknown)[]> {
  collectFrom(file);
  COLLECTED.length = 0;
  ENDS.length = 0;
  await import(pathToFileURL(join(work.root, file)).href);
  for (const test of COLLECTED.splice(0)) {
    let name = test.name;
    for (let times = 2; tests.has(name); times++) name = `${test.name} (${times})`;
    tests.set(name, test);
  }
  return ENDS.splice(0);
}

/** The first of these tests that is red with this mutant: the one that was red last time, then those that were with the
 * mutants before it, which stand near it, then the quickest. */
async function killerOf(
  mutant: Mutant,
  tests: readonly Named[],
  mostHits: (name: string) => number,
): Promise<string | null> {
  const last = known.killer(mutant.name);
  const pace = ([name]: Named): number => {
    const at = recent.lastIndexOf(name);
    return name === last ? -recent.length - 1 : at === -1 ? (paces.get(name) ?? 0) : -at - 1;
  };
  lever.activeMutant = mutant.id;
  try {
    for (const [name, test] of tests.toSorted((one, other) => pace(one) - pace(other))) {
      const longest = LONGEST + MOST_HITS * (paces.get(name) ?? 0);
      tell(mutant, longest + TO_TELL);
      lever.hitCount = 0;
      lever.hitLimit = mostHits(name);
      const failure = await failureOf(test, longest);
      if (lever.hitCount > lever.hitLimit) return NO_END;
      if (failure === null) continue;
      noteRed(name);
      return name;
    }
    return null;
  } finally {
    lever.activeMutant = undefined;
    lever.hitCount = undefined;
  }
}

/** `longest`: ms until this process is ended, for then it goes round for ever. */
function tell(mutant: Mutant, longest: number): void {
  process.send?.({ at: mutant.name, longest } satisfies Told);
}

function noteRed(name: string): void {
  const at = recent.indexOf(name);
  if (at !== -1) recent.splice(at, 1);
  recent.push(name);
  if (recent.length > MOST_RECENT) recent.shift();
}

/** `longest`: ms until it is red. */
async function failureOf(test: Collected, longest: number): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const ended = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${longest} ms`)), longest);
    throwToTest = reject;
  });
  Math.random = sameNumbers();
  try {
    await Promise.race([test.run(), ended]);
    clearTimeout(timer);
    await Promise.race([setImmediate(), ended]); // a turn, for what it leaves to nobody
    return null;
  } catch (error) {
    return String(error).slice(0, 500);
  } finally {
    clearTimeout(timer);
    throwToTest = () => {};
  }
}

/** A Math.random that begins anew (Park and Miller's numbers). */
function sameNumbers(): () => number {
  let last = 1;
  return () => {
    last = (last * 48_271) % 2_147_483_647;
    return last / 2_147_483_647;
  };
}
