// What a process that asks tests is handed: which mutants of which files, and which tests there are.

import type { Place } from './mutation.ts';

/** How that process ends when there are more mutants, for another one. */
export const AGAIN = 10;

export interface Work {
  /** Of the project. */
  readonly root: string;
  readonly files: readonly {
    /** As `src/smtp/path.ts`. */
    readonly file: string;
    /** Its source with all its mutants in it, of which one can be switched on. */
    readonly instrumented: string;
  }[];
  readonly mutants: readonly Mutant[];
  readonly tests: readonly string[];
  /** Where it is kept what is known of mutants, and what these stand for that are known now (known.ts). */
  readonly known: string;
  readonly digest: string;
}

export interface Mutant {
  readonly id: string;
  readonly file: string;
  /** Its file and mutation, for it to be known by. */
  readonly name: string;
  readonly place: Place;
}

/** What it says to its parent: which mutant it is at, and after how many ms without another word it has no end. */
export interface Told {
  readonly at: string;
  readonly longest: number;
}
