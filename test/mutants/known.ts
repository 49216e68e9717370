// What is known of mutants, in .cache/mutants/: which test killed each, so that it is asked first when something has changed, and
// which lived through all tests. A line is added behind each mutant: a run that was cut goes on from there.

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Stands for the test that killed it, where none came to its end. */
export const NO_END = 'no end';

/** `by`: the test that killed it, or null for one that lived; `of`: with which source and tests. */
interface Known {
  readonly mutant: string;
  readonly by: string | null;
  readonly of: string;
}

export class KnownMutants {
  readonly #file: string;
  readonly #of: string;
  readonly #known = new Map<string, Known>();

  /** `of` stands for the source and the tests as they are. */
  constructor(file: string, of: string) {
    this.#file = file;
    this.#of = of;
    if (!existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) if (line.endsWith('}')) this.#learn(JSON.parse(line));
  }

  /** The test that killed it when it was asked last. */
  killer(mutant: string): string | null {
    return this.#known.get(mutant)?.by ?? null;
  }

  /** Whether it was asked with the source and the tests as they are. */
  isKnown(mutant: string): boolean {
    return this.#known.get(mutant)?.of === this.#of;
  }

  add(mutant: string, by: string | null): void {
    const known = { mutant, by, of: this.#of };
    this.#learn(known);
    appendFileSync(this.#file, `${JSON.stringify(known)}\n`);
  }

  #learn(known: Known): void {
    this.#known.set(known.mutant, known);
  }
}

/** Changes with any octet of these files. */
export function digestOf(root: string, patterns: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).toSorted())
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(root, path)));
  return hash.digest('base64url').slice(0, 16);
}
