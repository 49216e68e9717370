// Breadth first through every order of events: each state once, and every invariant in each of them.
//
// A state is kept as 64 bits of its canonical text, its parent and the event between them: 13 octets and a place in a
// table. To go on from one, its way is walked again from where it leaves the way walked last, and a saved world is put
// back between its events. So a violation found is a shortest one. States may be taken for equal by chance: at 50 million
// of them with a probability of 7 in 100 000. `proof` of N: of every N-th state that is met again it is asked whether both
// go on to the same states, which by induction is what a canonical state means.

import type { Scenario } from './scenarios.ts';
import { canonicalState, checkFields, nameClosures, putBack, type Saved, saveState } from './state.ts';
import { Violation } from './violation.ts';
import { World } from './world.ts';

export interface Found {
  readonly violation: Error;
  /** Indexes into the scenario's events. */
  readonly way: readonly number[];
}

export interface Result {
  readonly depth: number;
  /** Nothing new was found beyond it: all of the scenario is known. */
  readonly isWhole: boolean;
  readonly states: number;
  readonly transitions: number;
  readonly seconds: number;
  readonly proofs: number;
  readonly found: Found | null;
}

export interface Bounds {
  readonly seconds: number;
  readonly depth?: number;
  readonly states?: number;
  readonly proof?: number;
}

export class Search {
  readonly scenario: Scenario;
  readonly world: World;
  readonly #visited = new Visited();
  readonly #saved: Saved[] = [];
  #way: number[] = [];
  #key = '';
  #keys: string[] = [];
  #proofs = 0;

  constructor(scenario: Scenario) {
    this.scenario = scenario;
    this.world = new World(scenario, scenario.profile);
    this.#key = this.#canonical();
    for (const [at, event] of scenario.opening.entries()) {
      if (!this.world.may(event)) throw new Error(`${scenario.name}: ${event.says} cannot happen`);
      this.#step(event, -1 - at);
    }
    checkFields(this.world.session);
    this.#saved.push(saveState(this.world));
    this.#keys.push(this.#key);
  }

  #canonical(): string {
    const session = canonicalState(this.world.session);
    return session === 'closed' ? session : `${session}\x1b${this.world.state}`;
  }

  #step(event: Scenario['events'][number], number: number): void {
    this.world.step(event);
    nameClosures(this.world.session, number, () => hashed(this.#key));
    this.#key = this.#canonical();
  }

  /** Goes to the state at the end of a way. */
  walk(way: readonly number[]): void {
    let common = 0;
    while (common < way.length && common < this.#way.length && way[common] === this.#way[common]) common++;
    this.#saved.length = common + 1;
    this.#keys.length = common + 1;
    this.#way.length = common;
    this.#putBack();
    for (const number of way.slice(common)) {
      this.#step(this.scenario.events[number] as Scenario['events'][number], number);
      this.#way.push(number);
      this.#saved.push(saveState(this.world));
      this.#keys.push(this.#key);
    }
  }

  /** Back to the end of the way. A login that waits for the judge is known to a closure alone: its way is walked again. */
  #putBack(): void {
    let from = this.#saved.length - 1;
    putBack(this.#saved[from] as Saved);
    while (this.world.asked?.protocolState === 'AUTH' && from > 0) putBack(this.#saved[--from] as Saved);
    this.#key = this.#keys[from] as string;
    for (; from < this.#way.length; from++) {
      const number = this.#way[from] as number;
      this.#step(this.scenario.events[number] as Scenario['events'][number], number);
      this.#saved[from + 1] = saveState(this.world);
    }
  }

  /** Every state that can come next, by its event. */
  *#successors(): Generator<readonly [number, string]> {
    for (const [number, event] of this.scenario.events.entries()) {
      if (!this.world.may(event)) continue;
      this.#step(event, number);
      yield [number, this.#key];
      this.#putBack();
    }
  }

  run({ seconds, depth = Number.POSITIVE_INFINITY, states = 200_000_000, proof = 0 }: Bounds): Result {
    const began = performance.now();
    const visited = this.#visited;
    const till = began + seconds * 1000;
    visited.add(this.#key, -1, 0);
    let transitions = 0;
    let deep = 0;
    let met = 0;
    let next = 0;
    let found: Found | null = null;
    const doubts: [number, number, number][] = [];
    const result = (isWhole: boolean): Result => {
      const took = (performance.now() - began) / 1000;
      return { depth: deep, isWhole, states: visited.size, transitions, seconds: took, proofs: this.#proofs, found };
    };
    for (let level = visited.size; next < level && deep < depth; level = visited.size) {
      for (; next < level; next++) {
        if ((next & 63) === 0 && (performance.now() > till || visited.size > states)) return result(false);
        const way = visited.wayTo(next);
        let last = -1;
        try {
          this.walk(way);
          for (const [number, event] of this.scenario.events.entries()) {
            if (!this.world.may(event)) continue;
            last = number;
            transitions++;
            this.#step(event, number);
            const other = visited.add(this.#key, next, number);
            if (other !== -1 && proof > 0 && this.#key !== 'closed' && ++met % proof === 0)
              doubts.push([next, number, other]);
            this.#putBack();
          }
          for (const [from, number, other] of doubts.splice(0))
            this.#prove([...visited.wayTo(from), number], visited.wayTo(other));
        } catch (error) {
          found = { violation: error as Error, way: last === -1 ? way : [...way, last] };
          return result(false);
        }
      }
      deep++;
    }
    return result(next >= visited.size);
  }

  /** Two ways to what is taken for one state lead on to the same ones. */
  #prove(one: readonly number[], other: readonly number[]): void {
    const [here, there] = [one, other].map((way) => {
      this.walk(way);
      return [...this.#successors()].map(([number, key]) => `${number} ${key}`);
    }) as [string[], string[]];
    this.#proofs++;
    const at = here.findIndex((key, index) => key !== there[index]);
    if (at !== -1 || here.length !== there.length)
      throw new Error(`not one state: ${JSON.stringify([one, other, here[at], there[at]])}`);
  }
}

/** The states that were met: what tells each of them, and how it was reached first. */
class Visited {
  size = 0;
  #one = new Uint32Array(1 << 16);
  #two = new Uint32Array(1 << 16);
  #parents = new Int32Array(1 << 16);
  #events = new Uint8Array(1 << 16);
  #table = new Int32Array(1 << 18);

  /** -1 for a state that is new, else its number. */
  add(key: string, parent: number, event: number): number {
    hash(key);
    const [one, two] = [hashOne, hashTwo];
    const mask = this.#table.length - 1;
    let place = one & mask;
    for (let index = this.#table[place] as number; index !== 0; index = this.#table[place] as number) {
      if (this.#one[index - 1] === one && this.#two[index - 1] === two) return index - 1;
      place = (place + 1) & mask;
    }
    if (this.size === this.#one.length) this.#grow();
    this.#one[this.size] = one;
    this.#two[this.size] = two;
    this.#parents[this.size] = parent;
    this.#events[this.size] = event;
    this.size++;
    this.#table[place] = this.size;
    if (this.size * 2 > this.#table.length) this.#rehash();
    return -1;
  }

  wayTo(index: number): number[] {
    const way: number[] = [];
    for (let at = index; this.#parents[at] !== -1; at = this.#parents[at] as number)
      way.push(this.#events[at] as number);
    return way.reverse();
  }

  #grow(): void {
    const length = this.#one.length * 2;
    const grown = <T extends Uint32Array | Int32Array | Uint8Array>(larger: T, old: T): T => {
      larger.set(old);
      return larger;
    };
    this.#one = grown(new Uint32Array(length), this.#one);
    this.#two = grown(new Uint32Array(length), this.#two);
    this.#parents = grown(new Int32Array(length), this.#parents);
    this.#events = grown(new Uint8Array(length), this.#events);
  }

  #rehash(): void {
    const table = new Int32Array(this.#table.length * 2);
    for (let index = 0; index < this.size; index++) {
      let place = (this.#one[index] as number) & (table.length - 1);
      while (table[place] !== 0) place = (place + 1) & (table.length - 1);
      table[place] = index + 1;
    }
    this.#table = table;
  }
}

let hashOne = 0;
let hashTwo = 0;

/** 64 bits of a text. */
function hash(text: string): void {
  let one = 0x811c9dc5;
  let two = 0x9e3779b9;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    one = Math.imul(one ^ code, 0x01000193);
    two = Math.imul(two ^ code, 0x85ebca6b);
    two = (two << 13) | (two >>> 19);
  }
  hashOne = mixed(one);
  hashTwo = mixed(two ^ text.length);
}

function mixed(value: number): number {
  let bits = Math.imul(value ^ (value >>> 16), 0x7feb352d);
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b);
  return (bits ^ (bits >>> 16)) >>> 0;
}

function hashed(text: string): string {
  hash(text);
  return `${hashOne.toString(36)}.${hashTwo.toString(36)}`;
}

export { Violation };
