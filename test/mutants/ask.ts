// A process that asks tests about mutants: `node ask.ts WORK.json` of all that can be switched on at any time, and `node ask.ts
// WORK.json ID` of one that is there while modules are loaded. It says to its parent which mutant it is at, and at last which
// are of the second kind. What came of it stands in the file of what is known.
//
// Nothing is written but that: the source with the mutants in it is handed to Node as it loads the file. What is random in
// tests is so in the same way each time: who was killed once is killed again.

import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { COLLECTED, type Collected, collectFrom } from './collected.ts';
import { KnownMutants, NO_END } from './known.ts';
import type { Mutant, Work } from './work.ts';

type Counts = Readonly<Record<string, number>>; // of hits, by mutant

/** What Stryker's instrumented code looks at. */
interface Switch {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  mutantCoverage?: { readonly static: Counts; readonly perTest: Readonly<Record<string, Counts>> };
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
}

const LONGEST = 15_000; // ms that a test may wait for what does not come
const MOST_HITS = 5; // times as many as without a mutant: it goes round for ever

const [workFile = '', only] = process.argv.slice(2);
const work = JSON.parse(readFileSync(workFile, 'utf8')) as Work;
const known = new KnownMutants(work.known, work.digest);
const tests = new Map<string, Collected>();
const paces = new Map<string, number>();

const lever: Switch = {};
(globalThis as { __stryker__?: Switch }).__stryker__ = lever;
fc.configureGlobal({ seed: 1, endOnFailure: true });

let rejected: unknown = null; // and awaited by nobody: node:test would be red
process.on('unhandledRejection', (reason) => {
  rejected = reason ?? 'rejected';
});

const urls = new Map(
  work.files.map(({ file, instrumented }) => [pathToFileURL(join(work.root, file)).href, instrumented]),
);
const collectedUrl = new URL('./collected.ts', import.meta.url).href;
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'node:test' ? { url: collectedUrl, shortCircuit: true } : next(specifier, context),
  load: (url, context, next) => {
    const source = urls.get(url);
    return source === undefined ? next(url, context) : { format: 'module-typescript', source, shortCircuit: true };
  },
});

if (only === undefined) await askOfAll();
else await askWhileLoading(work.mutants.find(({ id }) => id === only) as Mutant);
process.exit(0);

async function askOfAll(): Promise<void> {
  for (const file of work.tests) await load(file);
  const whileLoading = new Set(Object.keys(lever.mutantCoverage?.static ?? {})); // what is asked below is counted there as well
  for (const [name, test] of tests) {
    lever.currentTestId = name;
    const began = performance.now();
    const failure = await failureOf(test);
    if (failure !== null) throw new Error(`red without any mutant: ${name}: ${failure}`);
    paces.set(name, performance.now() - began);
  }
  lever.currentTestId = undefined;
  const { perTest = {} } = lever.mutantCoverage ?? {};
  for (const mutant of work.mutants) {
    if (known.isKnown(mutant.name)) continue;
    const covering = [...tests.keys()].filter((name) => perTest[name]?.[mutant.id] !== undefined);
    const hits = covering.reduce((sum, name) => sum + (perTest[name]?.[mutant.id] ?? 0), 0);
    process.send?.({ at: mutant.name });
    const killer = await killerOf(mutant, covering, 1000 + hits * MOST_HITS);
    if (killer !== null || !whileLoading.has(mutant.id)) known.add(mutant.name, killer);
  }
  process.send?.({ whileLoading: [...whileLoading] });
}

/** No more is loaded than is needed to see one test red. */
async function askWhileLoading(mutant: Mutant): Promise<void> {
  lever.activeMutant = mutant.id;
  const own = `${basename(mutant.file, '.ts')}.test.ts`;
  const likely = [known.killer(mutant.name)?.split(' › ')[0], work.tests.find((file) => basename(file) === own)];
  const files = new Set([...likely.filter((file) => file !== undefined && work.tests.includes(file)), ...work.tests]);
  for (const file of files as Set<string>) {
    const before = new Set(tests.keys());
    try {
      await load(file);
    } catch (error) {
      return known.add(mutant.name, `loading (${String(error).slice(0, 60)})`);
    }
    const names = [...tests.keys()].filter((name) => !before.has(name));
    const killer = await killerOf(mutant, names, Number.POSITIVE_INFINITY);
    if (killer !== null) return known.add(mutant.name, killer);
  }
  known.add(mutant.name, null);
}

async function load(file: string): Promise<void> {
  collectFrom(file);
  await import(pathToFileURL(join(work.root, file)).href);
  for (const test of COLLECTED.splice(0)) {
    let name = test.name;
    for (let times = 2; tests.has(name); times++) name = `${test.name} (${times})`;
    tests.set(name, test);
  }
}

/** The first of these tests that is red with this mutant: the one that was red last time, then the quickest. */
async function killerOf(mutant: Mutant, names: readonly string[], mostHits: number): Promise<string | null> {
  const last = known.killer(mutant.name);
  const pace = (name: string): number => (name === last ? -1 : (paces.get(name) ?? 0));
  lever.activeMutant = mutant.id;
  lever.hitCount = 0;
  lever.hitLimit = mostHits;
  try {
    for (const name of names.toSorted((one, other) => pace(one) - pace(other))) {
      const failure = await failureOf(tests.get(name) as Collected);
      if ((lever.hitCount ?? 0) > mostHits) return NO_END;
      if (failure !== null) return name;
    }
    return null;
  } finally {
    lever.activeMutant = undefined;
    lever.hitCount = undefined;
  }
}

async function failureOf(test: Collected): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${LONGEST} ms`)), LONGEST);
  });
  rejected = null;
  Math.random = sameNumbers();
  try {
    await Promise.race([test.run(), late]);
    return rejected === null ? null : String(rejected);
  } catch (error) {
    return String(error).slice(0, 500);
  } finally {
    clearTimeout(timer);
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
