// Long work in steps, between which others may have a turn: reading a million entries must not stop the sessions beside it.
//
// What may be long is a generator that yields every so many entries; whoever runs it decides whether it pauses there
// (config/slices.ts, for a reload) or not (`atOnce`, for a command and at the start). Nothing here knows the time.

export type Steps<T> = Generator<undefined, T, undefined>;

/** Entries between two yields: less than a millisecond of work. */
export const STEP = 256;

/** Without a pause. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** The first that it holds for; undefined: there is none. */
export function* first<T>(list: Iterable<T>, holds: (one: T) => boolean): Steps<T | undefined> {
  let looked = 0;
  for (const one of list) {
    if (holds(one)) return one;
    if (++looked % STEP === 0) yield;
  }
  return undefined;
}
