// Stands for node:test where mutants are run: it collects the tests of the files that are imported, and runs any of them as
// often as is wanted in one process. A process for each mutant would cost a second each, and there are thousands.
//
// As much of node:test as the tests of src/smtp, src/policy and src/limits use, and no more: `mock` is missing.

type Options = { readonly skip?: boolean | string };
type Body = (t: Context) => unknown;
interface Each {
  readonly before: (() => unknown)[];
  readonly after: (() => unknown)[];
}

/** One test; its name has those of the suites around it, behind its file's. */
export interface Collected {
  readonly name: string;
  run(): Promise<void>;
}

export const COLLECTED: Collected[] = [];

let file = '';
/** What is to be done once, before the first test of the file. */
let preparations: (() => unknown)[] = [];
/** What is to be done when no test of the file is asked any more. */
export const ENDS: (() => unknown)[] = [];

/** The tests that are told of next are of this file. */
export function collectFrom(name: string): void {
  file = name;
  preparations = [];
}

export function before(step: () => unknown): void {
  preparations.push(step);
}

export function after(step: () => unknown): void {
  ENDS.push(step);
}

let suites: readonly { readonly name: string; readonly each: Each }[] = [{ name: '', each: { before: [], after: [] } }];

class Context {
  readonly name: string;
  readonly #after: (() => unknown)[] = [];

  constructor(name: string) {
    this.name = name;
  }

  async test(name: string, ...given: (Options | Body)[]): Promise<void> {
    if (!isSkipped(given)) await run(name, bodyOf(given));
  }

  after(done: () => unknown): void {
    this.#after.unshift(done);
  }

  diagnostic(_text: string): void {}

  async end(): Promise<void> {
    for (const done of this.#after) await done();
  }
}

function bodyOf(given: readonly (Options | Body)[]): Body {
  return given.at(-1) as Body;
}

function isSkipped(given: readonly (Options | Body)[]): boolean {
  const [options] = given;
  return typeof options === 'object' && options.skip !== undefined && options.skip !== false;
}

async function run(name: string, body: Body): Promise<void> {
  const context = new Context(name);
  try {
    await body(context);
  } finally {
    await context.end();
  }
}

export function test(name: string, ...given: (Options | Body)[]): void {
  if (isSkipped(given)) return;
  const around = suites;
  const body = bodyOf(given);
  const once = preparations;
  COLLECTED.push({
    name: [file, ...around.slice(1).map((suite) => suite.name), name].join(' › '),
    async run() {
      for (const step of once.splice(0)) await step();
      for (const { each } of around) for (const step of each.before) await step();
      try {
        await run(name, body);
      } finally {
        for (const { each } of around.toReversed()) for (const step of each.after) await step();
      }
    },
  });
}

export const it = test;

export function describe(name: string, ...given: (Options | (() => void))[]): void {
  if (isSkipped(given as (Options | Body)[])) return;
  suites = [...suites, { name, each: { before: [], after: [] } }];
  (given.at(-1) as () => void)();
  suites = suites.slice(0, -1);
}

export function beforeEach(step: () => unknown): void {
  suites.at(-1)?.each.before.push(step);
}

export function afterEach(step: () => unknown): void {
  suites.at(-1)?.each.after.push(step);
}
