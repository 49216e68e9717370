// Stryker's test runner for node:test: all tests of a mutant in the worker's own process, the quickest first.
//
// Which files it imports is said by POSTERN_MUTANT_TESTS, relative to the sandbox. What is done while a file is imported (a
// static mutant) cannot be done again in one process: Stryker starts a new worker for these.

import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin';
import {
  type DryRunOptions,
  type DryRunResult,
  DryRunStatus,
  determineHitLimitReached,
  type MutantRunOptions,
  type MutantRunResult,
  type TestResult,
  type TestRunner,
  type TestRunnerCapabilities,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';

interface Instrumented {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  mutantCoverage?: DryRunResult extends { mutantCoverage?: infer Coverage } ? Coverage : unknown;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
}

const shared = globalThis as { __stryker__?: Instrumented };
shared.__stryker__ ??= {};
const instrumented = shared.__stryker__;
const COLLECTED_URL = new URL('./collected.ts', import.meta.url).href;

class NodeTestRunner implements TestRunner {
  #tests: Map<string, { run(): Promise<void> }> | null = null;
  #milliseconds = new Map<string, number>();

  capabilities(): TestRunnerCapabilities {
    return { reloadEnvironment: false };
  }

  async dryRun(options: DryRunOptions): Promise<DryRunResult> {
    const tests = await this.#load();
    const result = await this.#run([...tests.keys()], options.coverageAnalysis === 'perTest', true);
    if (result.status !== DryRunStatus.Complete) return result;
    const { mutantCoverage } = instrumented;
    return mutantCoverage === undefined ? result : ({ ...result, mutantCoverage } as DryRunResult);
  }

  async mutantRun({
    activeMutant,
    mutantActivation,
    testFilter,
    hitLimit,
    disableBail,
  }: MutantRunOptions): Promise<MutantRunResult> {
    if (mutantActivation === 'static') instrumented.activeMutant = activeMutant.id;
    const tests = await this.#load();
    instrumented.activeMutant = activeMutant.id;
    instrumented.hitCount = hitLimit === undefined ? undefined : 0;
    instrumented.hitLimit = hitLimit;
    const pace = (name: string) => this.#milliseconds.get(name) ?? 0;
    const names = [...(testFilter ?? tests.keys())].toSorted((one, other) => pace(one) - pace(other));
    try {
      const result = await this.#run(names, false, disableBail);
      return toMutantRunResult(determineHitLimitReached(instrumented.hitCount, instrumented.hitLimit) ?? result);
    } finally {
      instrumented.activeMutant = undefined;
    }
  }

  async #load(): Promise<Map<string, { run(): Promise<void> }>> {
    if (this.#tests !== null) return this.#tests;
    registerHooks({
      resolve: (specifier, context, next) =>
        specifier === 'node:test' ? { url: COLLECTED_URL, shortCircuit: true } : next(specifier, context),
    });
    const { COLLECTED } = (await import(COLLECTED_URL)) as typeof import('./collected.ts');
    for (const file of (process.env.POSTERN_MUTANT_TESTS ?? '').split(' '))
      await import(pathToFileURL(join(process.cwd(), file)).href);
    this.#tests = new Map(COLLECTED.map((test, at) => [`${at} ${test.name}`, test]));
    return this.#tests;
  }

  async #run(names: readonly string[], perTest: boolean, goesOn: boolean): Promise<DryRunResult> {
    const results: TestResult[] = [];
    for (const name of names) {
      if (perTest) instrumented.currentTestId = name;
      const began = performance.now();
      const failure = await failureOf(this.#tests?.get(name));
      const timeSpentMs = performance.now() - began;
      if (perTest) this.#milliseconds.set(name, timeSpentMs);
      const about = { id: name, name, timeSpentMs };
      if (failure === null) results.push({ ...about, status: TestStatus.Success });
      else results.push({ ...about, status: TestStatus.Failed, failureMessage: failure });
      if (failure !== null && !goesOn) break;
    }
    instrumented.currentTestId = undefined;
    return { status: DryRunStatus.Complete, tests: results };
  }
}

async function failureOf(test: { run(): Promise<void> } | undefined): Promise<string | null> {
  try {
    await test?.run();
    return null;
  } catch (error) {
    return String(error).slice(0, 500);
  }
}

export const strykerPlugins = [declareClassPlugin(PluginKind.TestRunner, 'node-test', NodeTestRunner)];
