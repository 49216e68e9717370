// Those whom a no is about, found by any spelling that may be one of them (accounts.ts).
//
// They may be half a million, and stand in the policy as written anyway. So what is kept of each is a few numbers: the hash of
// its name, and of its domain. Whoever these find is read once more, and compared as what he is: hashes only say where to
// look. A Map from names to objects was not chosen: it wants five times the memory, and stands still where it grows.

import type { Login } from '../smtp/types.ts';
import { listedKeys, mayBeOne, type Realm, saidKeys, type UserNames } from './accounts.ts';
import { hashOf } from './name-set.ts';
import { atOnce, STEP, type Steps } from './steps.ts';

// One entry: a name under which one of those listed is found. Four words.
const HASH = 0;
const NEXT = 1; //   the entry before it in the same bucket + 1; 0 = none
const MEMBER = 2; // its place in the list
const REALM = 3; //  the hash of its domain, and in the lowest bits what kind of domain it is
const ENTRY_WORDS = 4;

const KINDS: readonly Realm['kind'][] = ['none', 'dotted', 'flat', 'known'];
const NONE = 0;
const DOTTED = 1;
const KIND_BITS = 3;

export class Suspects {
  readonly #users: UserNames;
  readonly #listed: readonly string[];
  /** The last entry of each bucket + 1. */
  readonly #buckets: Int32Array;
  #entries: Int32Array;
  #used = 0; // words

  private constructor(users: UserNames, listed: readonly string[]) {
    this.#users = users;
    this.#listed = listed;
    let buckets = 4;
    while (buckets < listed.length) buckets *= 2;
    this.#buckets = new Int32Array(buckets);
    this.#entries = new Int32Array((listed.length + 1) * ENTRY_WORDS);
  }

  /** `listed` is kept. */
  static *inSteps(users: UserNames, listed: readonly string[]): Steps<Suspects> {
    const suspects = new Suspects(users, listed);
    for (const [member, written] of listed.entries()) {
      if (member % STEP === STEP - 1) yield;
      for (const { name, realm } of users.readings(written))
        for (const key of listedKeys(name)) suspects.#add(hashOf(key), member, realmWord(realm));
    }
    return suspects;
  }

  static of(users: UserNames, listed: readonly string[]): Suspects {
    return atOnce(Suspects.inSteps(users, listed));
  }

  #add(hash: number, member: number, realm: number): void {
    const at = this.#used;
    this.#used += ENTRY_WORDS;
    if (this.#used > this.#entries.length) {
      const grown = new Int32Array(this.#entries.length * 2);
      grown.set(this.#entries);
      this.#entries = grown;
    }
    const bucket = hash & (this.#buckets.length - 1);
    this.#entries[at + HASH] = hash;
    this.#entries[at + NEXT] = this.#buckets[bucket] as number;
    this.#entries[at + MEMBER] = member;
    this.#entries[at + REALM] = realm;
    this.#buckets[bucket] = at / ENTRY_WORDS + 1;
  }

  /** Those listed, as written, who may be the one that has logged in under a name. */
  *whoMayBe(login: Login): Generator<string> {
    const readings = this.#users.readingsOf(login);
    if (readings.length === 0) for (let at = 0; at < this.#used; at += ENTRY_WORDS) yield this.#writtenAt(at);
    for (const { name, realm } of readings) for (const key of saidKeys(name)) yield* this.#named(key, realm);
  }

  *#named(key: string, realm: Realm): Generator<string> {
    const hash = hashOf(key);
    const word = realmWord(realm);
    let next = this.#buckets[hash & (this.#buckets.length - 1)] as number;
    while (next !== 0) {
      const at = (next - 1) * ENTRY_WORDS;
      next = this.#entries[at + NEXT] as number;
      if (this.#entries[at + HASH] !== hash || !mayMeet(word, this.#entries[at + REALM] as number)) continue;
      const written = this.#writtenAt(at);
      if (this.#isFound(written, key, realm)) yield written;
    }
  }

  #isFound(written: string, key: string, realm: Realm): boolean {
    return this.#users
      .readings(written)
      .some((one) => mayBeOne(realm, one.realm) && listedKeys(one.name).includes(key));
  }

  #writtenAt(at: number): string {
    return this.#listed[this.#entries[at + MEMBER] as number] as string;
  }

  /** The first of them, or null. */
  find(login: Login): string | null {
    return this.whoMayBe(login).next().value ?? null;
  }
}

function realmWord({ kind, name }: Realm): number {
  return (hashOf(name) & ~KIND_BITS) | KINDS.indexOf(kind);
}

/** mayBeOne, as far as hashes tell: never no where that says yes. */
function mayMeet(a: number, b: number): boolean {
  const kind = a & KIND_BITS;
  const other = b & KIND_BITS;
  if (kind === NONE || other === NONE || (a & ~KIND_BITS) === (b & ~KIND_BITS)) return true;
  return (kind === DOTTED) !== (other === DOTTED);
}
