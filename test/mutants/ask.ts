// A process that asks tests about mutants: `node ask.ts WORK.json`. It says to its parent which mutant it is at; what came of
// it stands in the file of what is known.
//
// Each test file is loaded by itself, with modules of the project that are its own, so that it is known which mutants are
// reached while it is loaded. Of these it is loaded once more, with the mutant in it, in the same process: a process for each
// would load all packages again. Workers that a test starts have no mutants in them.
//
// Nothing is written but that: the source with the mutants in it is handed to Node as it loads the file. What is random in
// tests is so in the same way each time: who was killed once is killed again.

import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { COLLECTED, type Collected, collectFrom } from './collected.ts';
import { KnownMutants, NO_END } from './known.ts';
import type { Mutant, Work } from './work.ts';

type Counts = Readonly<Record<string, number>>; // of hits, by mutant

/** What Stryker's instrumented code looks at. */
interface Switch {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  mutantCoverage?: { readonly perTest: Readonly<Record<string, Counts>> };
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
}

const LONGEST = 10_000; // ms that a test may wait for what does not come; a busy machine does not count
const MOST_HITS = 5; // times as many as without a mutant: it goes round for ever

const [workFile = ''] = process.argv.slice(2);
const work = JSON.parse(readFileSync(workFile, 'utf8')) as Work;
const known = new KnownMutants(work.known, work.digest);
const tests = new Map<string, Collected>();
const paces = new Map<string, number>();
let versions = 0; // of the project's modules

const lever: Switch = {};
(globalThis as { __stryker__?: Switch }).__stryker__ = lever;
fc.configureGlobal({ seed: 1, endOnFailure: true });

let rejected: unknown = null; // and awaited by nobody: node:test would be red
process.on('unhandledRejection', (reason) => {
  rejected = reason ?? 'rejected';
});

const project = [`${pathToFileURL(work.root)}/src/`, `${pathToFileURL(work.root)}/test/`];
const instrumented = new Map(
  work.files.map((one) => [pathToFileURL(join(work.root, one.file)).href, one.instrumented]),
);
const sources = new Map<string, string>(); // without types
const collectedUrl = new URL('./collected.ts', import.meta.url).href;
registerHooks({
  resolve(specifier, context, next) {
    if (specifier === 'node:test') return { url: collectedUrl, shortCircuit: true };
    const found = next(specifier, context);
    const version = /\?v=\d+$/.exec(context.parentURL ?? '')?.[0] ?? '';
    const isOurs = found.url.endsWith('.ts') && project.some((folder) => found.url.startsWith(folder));
    return isOurs ? { ...found, url: found.url + version } : found;
  },
  load(url, context, next) {
    const [plain, version] = url.split('?') as [string, string?];
    if (version === undefined) return next(url, context);
    let source = sources.get(plain);
    source ??= stripTypeScriptTypes(instrumented.get(plain) ?? readFileSync(fileURLToPath(plain), 'utf8'));
    sources.set(plain, source);
    return { format: 'module', source, shortCircuit: true };
  },
});

await askOfAll();
process.exit(0);

async function askOfAll(): Promise<void> {
  for (const file of work.tests) {
    lever.currentTestId = file;
    await load(file);
  }
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
    const hitsIn = (name: string): number => perTest[name]?.[mutant.id] ?? 0;
    const covering = [...tests.keys()].filter((name) => hitsIn(name) > 0);
    const loading = work.tests.filter((file) => hitsIn(file) > 0);
    const hits = [...covering, ...loading].reduce((sum, name) => sum + hitsIn(name), 0);
    const killer = await killerOf(mutant, covering, 1000 + hits * MOST_HITS);
    known.add(mutant.name, killer ?? (await killerWhileLoading(mutant, loading, 1000 + hits * MOST_HITS)));
  }
}

/** The first test of these files that is red when the mutant is there from the start. */
async function killerWhileLoading(mutant: Mutant, files: readonly string[], mostHits: number): Promise<string | null> {
  const last = known.killer(mutant.name)?.split(' › ')[0];
  for (const file of files.toSorted((one, other) => Number(other === last) - Number(one === last))) {
    const names = [...tests.keys()].filter((name) => name.startsWith(`${file} › `));
    const before = new Map(tests);
    for (const name of names) tests.delete(name);
    switchOn(mutant, mostHits);
    try {
      process.send?.({ at: mutant.name });
      await load(file);
      const killer = await killerOf(mutant, names, mostHits);
      if (killer !== null) return killer;
    } catch (error) {
      return `loading ${file} (${String(error).slice(0, 60)})`;
    } finally {
      switchOff();
      for (const [name, test] of before) tests.set(name, test);
    }
  }
  return null;
}

async function load(file: string): Promise<void> {
  collectFrom(file);
  COLLECTED.splice(0);
  await import(`${pathToFileURL(join(work.root, file))}?v=${++versions}`);
  for (const test of COLLECTED.splice(0)) {
    let name = test.name;
    for (let times = 2; tests.has(name); times++) name = `${test.name} (${times})`;
    tests.set(name, test);
  }
}

function switchOn(mutant: Mutant, mostHits: number): void {
  lever.activeMutant = mutant.id;
  lever.hitCount = 0;
  lever.hitLimit = mostHits;
}

function switchOff(): void {
  lever.activeMutant = undefined;
  lever.hitCount = undefined;
}

/** The first of these tests that is red with this mutant: the one that was red last time, then the quickest. */
async function killerOf(mutant: Mutant, names: readonly string[], mostHits: number): Promise<string | null> {
  const last = known.killer(mutant.name);
  const pace = (name: string): number => (name === last ? -1 : (paces.get(name) ?? 0));
  switchOn(mutant, mostHits);
  try {
    for (const name of names.toSorted((one, other) => pace(one) - pace(other))) {
      const test = tests.get(name);
      if (test === undefined) continue; // its name had to do with the mutant
      process.send?.({ at: mutant.name });
      const failure = await failureOf(test);
      if ((lever.hitCount ?? 0) > mostHits) return NO_END;
      if (failure !== null) return name;
    }
    return null;
  } finally {
    switchOff();
  }
}

async function failureOf(test: Collected): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const before = performance.eventLoopUtilization();
  const late = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (performance.eventLoopUtilization(before).idle > LONGEST) reject(new Error(`nothing for ${LONGEST} ms`));
    }, 1000);
  });
  rejected = null;
  Math.random = sameNumbers();
  try {
    await Promise.race([test.run(), late]);
    return rejected === null ? null : String(rejected);
  } catch (error) {
    return String(error).slice(0, 500);
  } finally {
    clearInterval(timer);
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
