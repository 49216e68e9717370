// Names of one kind and how often each came: so many of them, and then only that there are more.

import { Interned } from './transaction.ts';

const MOST = 12;
const LONGEST = 255; // characters; what a client calls itself may be longer

const names = new Interned(20_000);

export class Counted {
  #names: string[] | null = null;
  #counts: number[] | null = null;
  /** Times that some other name came. */
  more = 0;

  add(name: string): void {
    const cut = name.length > LONGEST ? name.slice(0, LONGEST) : name;
    this.#names ??= [];
    this.#counts ??= [];
    const at = this.#names.indexOf(cut);
    if (at !== -1) this.#counts[at] = (this.#counts[at] as number) + 1;
    else if (this.#names.length < MOST) {
      this.#names.push(names.of(cut));
      this.#counts.push(1);
    } else this.more += 1;
  }

  /** The most frequent first. */
  list(): { readonly name: string; readonly times: number }[] {
    const all = (this.#names ?? []).map((name, at) => ({ name, times: this.#counts?.[at] ?? 0 }));
    return all.sort((a, b) => b.times - a.times);
  }

  get isEmpty(): boolean {
    return this.#names === null;
  }
}
