// What a reader of an old server's settings makes of them: a policy as it will be written, and what each setting became.
//
// The invariant of all readers: nothing is guessed open. A setting that nobody knows is `cannot be said` and the policy stays
// narrower; a denial that cannot be read is a fault, and with a fault nothing is written at all. A reader knows no YAML and
// no files: it is handed text, and hands back values (print-policy.ts prints them).

import type { Place } from '../policy/problem.ts';

export type Verdict = 'exact' | 'stricter' | 'cannot be said';

/** One setting of the old server, in its own words, and what it became. */
export interface Equivalence {
  readonly setting: string;
  /** As it stood there, cut to a line. Never a password. */
  readonly value: string;
  readonly where: Place;
  /** The key or rule of the policy that says it now; '' where nothing does. */
  readonly became: string;
  readonly verdict: Verdict;
  /** How it is stricter, why it cannot be said; '' where it is exact and nothing is to be added. */
  readonly why: string;
  /** What a person has to see: the old server was open here, or something is to be done by hand. */
  readonly loud?: boolean | undefined;
}

/** What is wrong with an input, so that no policy is written. */
export interface Fault extends Place {
  readonly message: string;
}

/** A value of the policy with a comment: behind a text or number, before a list or block. */
export class Noted {
  readonly value: Written;
  readonly comment: string;

  constructor(value: Written, comment: string) {
    this.value = value;
    this.comment = comment;
  }
}

export type Written = string | number | boolean | readonly Written[] | WrittenBlock | Noted;

/** Keys are those of the policy file (policy/document.ts), in the order in which they are printed; undefined is left out. */
export interface WrittenBlock {
  readonly [key: string]: Written | undefined;
}

/** A policy before its defaults: only what differs from them, and what a reader should see. */
export interface WrittenPolicy extends WrittenBlock {
  readonly version: 1;
  readonly accepted_domains: readonly Written[];
  readonly connectors: readonly Written[];
}

/** A line of the .cases file. `expected` and `asked` are as policy/cases.ts reads them: `proceed`, `203.0.113.7 login=a -> x@y`. */
export interface WrittenCase {
  readonly expected: string;
  readonly asked: string;
  readonly comment?: string | undefined;
}

export interface Imported {
  /** As `Exchange 5.5`. */
  readonly system: string;
  readonly policy: WrittenPolicy;
  readonly report: readonly Equivalence[];
  /** The old server's answers, worked out from its settings and not from the policy. Groups have a heading. */
  readonly cases: readonly { readonly heading: string; readonly cases: readonly WrittenCase[] }[];
  /** With one of these nothing is written. */
  readonly faults: readonly Fault[];
}

/** What was said beside the files. */
export interface Given {
  readonly acceptedDomains: readonly string[];
  /** The network that reaches what relays for whoever reaches it: an internal address, a server without a list. Empty: nobody
   * has said, and such a right is left out. */
  readonly inside: readonly string[];
  /** A file of valid recipients, as the policy will name it. */
  readonly validRecipients: string | null;
  /** Only with this is an open relay of the old server imported as one (`i_know_this_is_open`). */
  readonly keepOpen: boolean;
}

/** Where a reader says what it found. */
export class Report {
  readonly equivalences: Equivalence[] = [];
  readonly faults: Fault[] = [];
  readonly #said = new Set<string>();

  exact(where: Place, setting: string, value: string, became: string, why = ''): void {
    this.add(where, setting, value, 'exact', became, why);
  }

  stricter(where: Place, setting: string, value: string, became: string, why: string): void {
    this.add(where, setting, value, 'stricter', became, why);
  }

  /** Nothing says it now. */
  cannotBeSaid(where: Place, setting: string, value: string, why: string): void {
    this.add(where, setting, value, 'cannot be said', '', why);
  }

  /** As the others, and nobody shall overlook it. */
  loud(where: Place, setting: string, value: string, verdict: Verdict, became: string, why: string): void {
    this.#push({ setting, value: shown(value), where, became, verdict, why, loud: true });
  }

  add(where: Place, setting: string, value: string, verdict: Verdict, became: string, why: string): void {
    this.#push({ setting, value: shown(value), where, became, verdict, why });
  }

  /** Once: a setting of several servers is read for each. */
  #push(one: Equivalence): void {
    const key = JSON.stringify(one);
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.equivalences.push(one);
  }

  fault({ file, line, column }: Place, message: string): void {
    this.faults.push({ file, line, column, message });
  }
}

const LONGEST_VALUE = 120;

/** Whatever a file holds, what is said of it is one line and leaves the terminal alone. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}

function shown(value: string): string {
  const line = oneLine(value).trim();
  return line.length <= LONGEST_VALUE ? line : `${line.slice(0, LONGEST_VALUE - 2)} …`;
}
