// Yes, no, and cannot tell.
//
// What cannot be told stays itself: a condition that depends on an unanswered DNS query, on a login without a name or on
// a reverse-path that is no plain address is an `Unknown`, and a decision that meets one is made both ways. When both ways end alike that is the decision; else
// nobody knows, and the caller answers 4yz. Kleene's tables alone were not chosen: they cannot see that "x" and "not x" in
// two rules are one question.

/** One thing that cannot be told; the same object wherever the same question stands in the policy. */
export interface Unknown {
  readonly fact: 'ptr' | 'login' | 'sender';
}

/** The one `Unknown` for a question about `list`. */
export function unknownFor(fact: Unknown['fact'], list: readonly string[], unknowns: Map<string, Unknown>): Unknown {
  const text = JSON.stringify([fact, list]);
  let unknown = unknowns.get(text);
  if (unknown === undefined) {
    unknown = { fact };
    unknowns.set(text, unknown);
  }
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
