// What guides the fuzzer: whether a session showed something that none before it did.
//
// A session's tracks are runs of three events: a verb that the server read, a reply that the client heard (its code and first
// words, without what a client made up), the end. One with a new run goes into the pool from which later ones are made.
//
// Not chosen: Jazzer.js, which feeds a synchronous function with octets, needs its own loader in front of CommonJS and a native
// libFuzzer; our input is a dialogue of two sides over sockets in type-stripped modules. Nor the counters of V8 (`node:inspector`):
// they are of the whole process, so that of sixteen sessions at a time none can be given the credit; `--coverage` prints what they
// say of a run as a whole.

import type { Session } from './case.ts';
import type { Heard } from './play.ts';

/** Of those in the pool the oldest gives way. */
const POOL = 3000;

export class Novelty {
  readonly pool: Session[] = [];
  readonly #known = new Set<string>();
  #next = 0;

  /** How many different runs were seen. */
  get size(): number {
    return this.#known.size;
  }

  look(heard: Heard): void {
    const before = this.#known.size;
    for (const track of tracksOf(heard)) this.#known.add(track);
    if (this.#known.size === before) return;
    this.pool[this.#next++ % POOL] = heard.session;
  }
}

function tracksOf({ replies, servers, other, closed }: Heard): string[] {
  const commands = [...servers, ...other].flatMap(({ server }) =>
    server.commands.map((line) => /^[A-Z-]{0,8}/i.exec(line)?.[0].toUpperCase() ?? ''),
  );
  const heard = replies.map(({ text }) => wordsOf(text));
  if (closed) heard.push('closed');
  return [...threes('>', commands), ...threes('<', heard)];
}

function wordsOf(text: string): string {
  return text
    .slice(0, 60)
    .replace(/<[^>]*>?|unit=\d+/g, '')
    .split(' ')
    .slice(0, 5)
    .join(' ');
}

function threes(mark: string, events: readonly string[]): string[] {
  return events.map((_, at) => `${mark} ${events.slice(Math.max(0, at - 2), at + 1).join(' ')}`);
}
