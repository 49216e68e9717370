// Names of one kind and how often each came: so many of them, and then only that there are more.

import { Interned } from './transaction.ts';

const MOST = 12;
const LONGEST = 255; // characters; what a client calls itself may be longer

const names = new Interned(20_000);

export class Counted {
  /** Name, count, name, count: there are many of these, most with one name, and an array takes more than what is in it. */
  #pairs: (string | number)[] | null = null;
  /** Times that some other name came. */
  more = 0;

  add(name: string): void {
    const cut = name.length > LONGEST ? name.slice(0, LONGEST) : name;
    if (this.#pairs === null) {
      this.#pairs = [names.of(cut), 1];
      return;
    }
    const at = this.#pairs.indexOf(cut);
    if (at !== -1) this.#pairs[at + 1] = (this.#pairs[at + 1] as number) + 1;
    else if (this.#pairs.length < 2 * MOST) this.#pairs = [...this.#pairs, names.of(cut), 1];
    else this.more += 1;
  }

  /** The most frequent first. */
  list(): { readonly name: string; readonly times: number }[] {
    const pairs = this.#pairs ?? [];
    const all: { name: string; times: number }[] = [];
    for (let at = 0; at < pairs.length; at += 2)
      all.push({ name: pairs[at] as string, times: pairs[at + 1] as number });
    return all.sort((a, b) => b.times - a.times);
  }

  get isEmpty(): boolean {
    return this.#pairs === null;
  }
}
