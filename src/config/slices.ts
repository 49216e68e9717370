// Runs long work in slices (policy/steps.ts), so that whoever is served by the same thread waits for none of it.

import type { Steps } from '../policy/steps.ts';

const SLICE_MS = 1;

/** Resolves with what the work comes to; rejects with what it throws. */
export async function inSlices<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const end = performance.now() + SLICE_MS;
    do {
      const { done, value } = steps.next();
      if (done === true) return value;
    } while (performance.now() < end);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
