// A clock that only the test moves: performance.now and setTimeout, as the product uses them.
//
// Taken in hand before the first socket is opened, for a timer begun on the real clock cannot be cleared on this one.

import type { TestContext } from 'node:test';
import { settled } from './peer.ts';

export interface Clock {
  /** Resolves when what became due has been said. */
  advance(ms: number): Promise<void>;
}

export function holdClock(t: TestContext): Clock {
  let now = 1_000_000;
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.mock.method(performance, 'now', () => now);
  return {
    advance: (ms) => {
      now += ms;
      t.mock.timers.tick(ms);
      return settled();
    },
  };
}
