// Yes, no, and cannot tell.
//
// What cannot be told stays itself: a condition that depends on an unanswered DNS query, on a login without a name or on
// a reverse-path that is no plain address is an `Unknown`, and a decision that meets one is made both ways. When both ways end alike that is the decision; else
// nobody knows, and the caller answers 4yz. Kleene's tables alone were not chosen: they cannot see that "x" and "not x" in
// two rules are one question.

import type { NameSet } from './name-set.ts';
import { STEP, type Steps } from './steps.ts';

/** One thing that cannot be told; the same object wherever the same question stands in the policy. */
export interface Unknown {
  readonly fact: 'ptr' | 'login' | 'sender';
}

/** A question that stands in a policy: whether one of these names is meant. */
export interface AskedFor {
  readonly names: NameSet;
  readonly unknown: Unknown;
}

/** The one `Unknown` for a question about `names`, which are all of `list` as `keyOf` makes them. */
export function* unknownFor(
  fact: Unknown['fact'],
  names: NameSet,
  list: readonly string[],
  keyOf: (text: string) => string,
  asked: AskedFor[],
): Steps<Unknown> {
  for (const { names: earlier, unknown } of asked) {
    if (unknown.fact !== fact || earlier.size !== names.size || earlier.sum !== names.sum) continue;
    let same = true;
    for (let i = 0; same && i < list.length; i++) {
      if (i % STEP === STEP - 1) yield;
      same = earlier.has(keyOf(list[i] as string));
    }
    if (same) return unknown;
  }
  const unknown = { fact };
  asked.push({ names, unknown });
  return unknown;
}

export type Truth = boolean | Unknown;

/** What each unknown is taken to be on this way through. */
export type Guess = ReadonlyMap<Unknown, boolean>;

export const NO_GUESS: Guess = new Map();

export function isUnknown(value: unknown): value is Unknown {
  return typeof value === 'object' && value !== null && 'fact' in value;
}

export function guessed(unknown: Unknown, guess: Guess): Truth {
  return guess.get(unknown) ?? unknown;
}

const WAYS_LIMIT = 512; // a policy that needs more is answered "cannot tell"

/** What `decide` comes to whichever way its unknowns turn out; the first unknown in the way if that differs. */
export function settle<Outcome extends object>(
  decide: (guess: Guess) => Outcome | Unknown,
  same: (a: Outcome, b: Outcome) => boolean,
): Outcome | Unknown {
  let ways = 0;
  const walk = (guess: Guess): Outcome | Unknown => {
    const outcome = decide(guess);
    if (!isUnknown(outcome)) return outcome;
    if (++ways > WAYS_LIMIT) return outcome;
    const yes = walk(new Map(guess).set(outcome, true));
    if (isUnknown(yes)) return yes;
    const no = walk(new Map(guess).set(outcome, false));
    if (isUnknown(no)) return no;
    return same(yes, no) ? yes : outcome;
  };
  return walk(NO_GUESS);
}
