// What is known of mutants from earlier runs, in .cache/mutants/: which test killed each, so that it is asked first, and which
// lived through all tests of the very same source. A line is added behind each mutant: a run that was cut goes on from there.

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** `by`: the test that killed it, or null for one that lived; `of`: what it lived through. */
interface Known {
  readonly mutation: string;
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

  /** The test that killed it when it was met last. */
  killer(mutation: string): string | null {
    return this.#known.get(mutation)?.by ?? null;
  }

  hasLived(mutation: string): boolean {
    const known = this.#known.get(mutation);
    return known !== undefined && known.by === null && known.of === this.#of;
  }

  add(mutation: string, by: string | null): void {
    const known = { mutation, by, of: this.#of };
    this.#learn(known);
    appendFileSync(this.#file, `${JSON.stringify(known)}\n`);
  }

  #learn(known: Known): void {
    this.#known.set(known.mutation, known);
  }
}

/** Changes with any octet of the source or of what is under these folders of the tests. */
export function digestOf(root: string, patterns: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).toSorted())
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(root, path)));
  return hash.digest('base64url').slice(0, 16);
}
