// Stryker's test runner for node:test: all tests of a mutant in the worker's own process, stopping at the first that is red.
// First the one that killed this mutant last time, then the others, the quickest first.
//
// What is asked, and where what is known is kept, is said by POSTERN_MUTANTS (`Asked`). What is done while a file is imported
// (a static mutant) cannot be done again in one process: Stryker starts a new worker for these. What is random in tests is so
// in the same way each time: who was killed once is killed again.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin';
import {
  type DryRunOptions,
  type DryRunResult,
  DryRunStatus,
  determineHitLimitReached,
  type MutantRunOptions,
  type MutantRunResult,
  MutantRunStatus,
  type TestResult,
  type TestRunner,
  type TestRunnerCapabilities,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import fc from 'fast-check';
import { KnownMutants } from './known.ts';
import { mutationOf } from './mutation.ts';

export interface Asked {
  /** Of the tests, relative to the sandbox. */
  readonly tests: readonly string[];
  /** By file, where it is as it was before it was instrumented. */
  readonly sources: Readonly<Record<string, string>>;
  /** What is known of mutants. */
  readonly known: string;
  readonly digest: string;
  /** Where it is written how long each test takes, for the workers that come after the first. */
  readonly paces: string;
  /** Mutations that no test is asked about. */
  readonly explained: readonly string[];
}

interface Instrumented {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  mutantCoverage?: DryRunResult extends { mutantCoverage?: infer Coverage } ? Coverage : unknown;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
}

const BEHIND_FILE = ' › '; // in names of tests
const LONGEST = 15_000; // ms that a test may wait for what does not come

const shared = globalThis as { __stryker__?: Instrumented };
shared.__stryker__ ??= {};
const instrumented = shared.__stryker__;
const COLLECTED_URL = new URL('./collected.ts', import.meta.url).href;

let rejected: unknown = null; // by nobody awaited: node:test would be red
process.on('unhandledRejection', (reason) => {
  rejected = reason ?? 'rejected';
});

class NodeTestRunner implements TestRunner {
  readonly #asked = JSON.parse(process.env.POSTERN_MUTANTS ?? '') as Asked;
  readonly #sources = Object.entries(this.#asked.sources).map(([file, path]) => ({
    file,
    text: readFileSync(path, 'utf8'),
  }));
  readonly #known = new KnownMutants(this.#asked.known, this.#asked.digest);
  readonly #explained = new Set(this.#asked.explained);
  readonly #tests = new Map<string, { run(): Promise<void> }>();
  readonly #loaded = new Set<string>();
  #paces: Record<string, number> = existsSync(this.#asked.paces)
    ? JSON.parse(readFileSync(this.#asked.paces, 'utf8'))
    : {};

  capabilities(): TestRunnerCapabilities {
    return { reloadEnvironment: false };
  }

  async dryRun(_: DryRunOptions): Promise<DryRunResult> {
    const tests = await this.#load();
    const result = await this.#run([...tests.keys()], true);
    if (result.status !== DryRunStatus.Complete) return result;
    this.#paces = Object.fromEntries(result.tests.map(({ id, timeSpentMs }) => [id, timeSpentMs]));
    writeFileSync(this.#asked.paces, JSON.stringify(this.#paces));
    const { mutantCoverage } = instrumented;
    return mutantCoverage === undefined ? result : ({ ...result, mutantCoverage } as DryRunResult);
  }

  async mutantRun(options: MutantRunOptions): Promise<MutantRunResult> {
    const { fileName, location, replacement } = options.activeMutant;
    const { file, text } = this.#sources.find((source) => fileName.endsWith(`/${source.file}`)) ?? {
      file: '',
      text: '',
    };
    const mutation = `${file}: ${mutationOf(text, location, replacement)}`;
    if (this.#explained.has(mutation) || this.#known.hasLived(mutation))
      return { status: MutantRunStatus.Survived, nrOfTests: 0 };
    const result = await this.#ask(options, this.#known.killer(mutation));
    if (result.status === MutantRunStatus.Survived) this.#known.add(mutation, null);
    if (result.status === MutantRunStatus.Killed) this.#known.add(mutation, String([result.killedBy].flat()[0]));
    return result;
  }

  async #ask(
    { activeMutant, testFilter, hitLimit, mutantActivation }: MutantRunOptions,
    first: string | null,
  ): Promise<MutantRunResult> {
    instrumented.activeMutant = activeMutant.id;
    instrumented.hitCount = hitLimit === undefined ? undefined : 0;
    instrumented.hitLimit = hitLimit;
    try {
      const result =
        mutantActivation === 'static'
          ? await this.#askFileByFile(activeMutant.fileName, first)
          : await this.#askAll(testFilter, first);
      return toMutantRunResult(determineHitLimitReached(instrumented.hitCount, instrumented.hitLimit) ?? result);
    } finally {
      instrumented.activeMutant = undefined;
    }
  }

  async #askAll(only: readonly string[] | undefined, first: string | null): Promise<DryRunResult> {
    const tests = await this.#load();
    return await this.#run(this.#inOrder(only ?? [...tests.keys()], first), false);
  }

  /** This process is new and will not be used again: no more is imported than is needed to see one test red. */
  async #askFileByFile(mutated: string, first: string | null): Promise<DryRunResult> {
    const own = this.#asked.tests.find((file) => basename(file) === `${basename(mutated, '.ts')}.test.ts`);
    const likely = [first?.split(BEHIND_FILE)[0], own].filter((file) => file !== undefined);
    const files = [...new Set([...likely, ...this.#asked.tests])].filter((file) => this.#asked.tests.includes(file));
    const before = new Set<string>();
    for (const file of files) {
      let names: string[];
      try {
        names = [...(await this.#load(file)).keys()].filter((name) => !before.has(name));
      } catch (error) {
        return { status: DryRunStatus.Complete, tests: [notLoaded(file, error)] };
      }
      for (const name of names) before.add(name);
      const result = await this.#run(this.#inOrder(names, first), false);
      if (result.status !== DryRunStatus.Complete || result.tests.some(({ status }) => status === TestStatus.Failed))
        return result;
    }
    return { status: DryRunStatus.Complete, tests: [] };
  }

  #inOrder(names: readonly string[], first: string | null): string[] {
    const pace = (name: string): number => (name === first ? -1 : (this.#paces[name] ?? 0));
    return [...names].toSorted((one, other) => pace(one) - pace(other));
  }

  /** All tests that were imported, behind those of this file, or of all. */
  async #load(...wanted: readonly string[]): Promise<Map<string, { run(): Promise<void> }>> {
    if (this.#loaded.size === 0) {
      registerHooks({
        resolve: (specifier, context, next) =>
          specifier === 'node:test' ? { url: COLLECTED_URL, shortCircuit: true } : next(specifier, context),
      });
      fc.configureGlobal({ seed: 1, endOnFailure: true });
    }
    const { COLLECTED, collectFrom } = (await import(COLLECTED_URL)) as typeof import('./collected.ts');
    for (const file of wanted.length === 0 ? this.#asked.tests : wanted) {
      if (this.#loaded.has(file)) continue;
      this.#loaded.add(file);
      collectFrom(file);
      await import(pathToFileURL(join(process.cwd(), file)).href);
    }
    for (const test of COLLECTED.splice(0)) {
      let name = test.name;
      for (let times = 2; this.#tests.has(name); times++) name = `${test.name} (${times})`;
      this.#tests.set(name, test);
    }
    return this.#tests;
  }

  async #run(names: readonly string[], isDry: boolean): Promise<DryRunResult> {
    const results: TestResult[] = [];
    for (const name of names) {
      if (isDry) instrumented.currentTestId = name;
      const test = this.#tests.get(name);
      if (test === undefined) throw new Error(`there is no test ${name}`);
      Math.random = sameNumbers();
      const began = performance.now();
      const failure = await failureOf(test);
      const about = { id: name, name, timeSpentMs: performance.now() - began };
      if (failure === null) results.push({ ...about, status: TestStatus.Success });
      else results.push({ ...about, status: TestStatus.Failed, failureMessage: failure });
      if (failure !== null && !isDry) break;
    }
    instrumented.currentTestId = undefined;
    return { status: DryRunStatus.Complete, tests: results };
  }
}

function notLoaded(file: string, error: unknown): TestResult {
  const failureMessage = `${file} cannot be loaded: ${String(error).slice(0, 200)}`;
  return { id: file, name: file, timeSpentMs: 0, status: TestStatus.Failed, failureMessage };
}

async function failureOf(test: { run(): Promise<void> }): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${LONGEST} ms`)), LONGEST);
  });
  rejected = null;
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

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'node-test', NodeTestRunner)];
