// Whether a login may use a reverse-path: `login_must_match`, `own_address` and `others` of a connector's senders.
//
// A yes is for the spelling that the policy writes, CORP\alice or alice@corp.example.com. A login spelled otherwise may be any
// of those, or somebody else: it may send only what each whom it may be may send. So nobody gets past what holds for his
// account by logging in as corp.example.com\alice. The null reverse-path never comes here: it passes.

import { foldAscii } from '../smtp/bytes.ts';
import type { Address, Login } from '../smtp/types.ts';
import type { UserNames } from './accounts.ts';
import type { SendersDocument } from './document.ts';
import type { AddressSet } from './lists.ts';
import { whyMayBe } from './members.ts';
import type { Suspects } from './suspects.ts';
import type { Guess, Unknown } from './truth.ts';

/** The keys below `senders` that a login is held against. */
export type LoginKey = 'login_must_match' | 'own_address' | 'others';

export interface LoginSendersParts {
  /** Compared user name to the senders that are theirs. */
  readonly listed: ReadonlyMap<string, AddressSet>;
  /** For a login spelled otherwise: which of those listed it may be. */
  readonly suspects: Suspects;
  readonly ownAddress: SendersDocument['own_address'];
  readonly others: SendersDocument['others'];
  readonly users: UserNames;
}

const NAMELESS_LOGIN: Unknown = { fact: 'login' };

export class LoginSenders {
  readonly #parts: LoginSendersParts;
  /** All may send as they like. */
  readonly #areFree: boolean;
  readonly #holdsOwn: boolean;

  constructor(parts: LoginSendersParts) {
    this.#parts = parts;
    this.#holdsOwn = parts.ownAddress === 'required' && parts.users.tellsAddresses;
    this.#areFree = parts.listed.size === 0 && parts.others === 'allow' && !this.#holdsOwn;
  }

  /** The key that keeps this sender out, null: none does. `user` is the compared name of the login, null where it has none. */
  keyFor(login: Login | null, user: string | null, sender: Address | null, guess: Guess): LoginKey | null | Unknown {
    if (login === null || this.#areFree) return null;
    if (user === null) return this.#nameless(sender, guess);
    const { listed, suspects, others, users } = this.#parts;
    const senders = listed.get(user);
    const own = this.#holdsOwn ? users.addressOf(login) : null;
    if (senders !== undefined) return owns(senders, sender) || isAddress(own, sender) ? null : 'login_must_match';
    if (own === null && others === 'deny') return 'others';
    if (!this.#isOfEach(login, sender)) return 'own_address';
    for (const suspect of suspects.whoMayBe(login)) {
      const isTheirs = owns(listed.get(users.keyOfWritten(suspect)), sender) || this.#isOwn(suspect, sender);
      if (!isTheirs) return 'login_must_match';
    }
    return null;
  }

  /** Whether the sender may be used by each account with a known address that this login may be. */
  #isOfEach(login: Login, sender: Address | null): boolean {
    if (!this.#holdsOwn) return true;
    const { listed, users } = this.#parts;
    const addresses = users.addressesOf(login);
    return addresses?.every((one) => isAddress(one, sender) || owns(listed.get(one), sender)) === true;
  }

  #isOwn(written: string, sender: Address | null): boolean {
    return this.#holdsOwn && isAddress(this.#parts.users.addressOf({ mechanism: '', name: written }), sender);
  }

  /** It may be any of those named, or anybody whose address is known, or none of them. */
  #nameless(sender: Address | null, guess: Guess): LoginKey | null | Unknown {
    const { listed, others, users } = this.#parts;
    const answers = new Set([others === 'allow', ...[...listed.values()].map((senders) => owns(senders, sender))]);
    if (this.#holdsOwn) answers.add(false);
    if (this.#holdsOwn && sender !== null && users.hasAddressAt(sender.domain)) answers.add(true);
    const [answer] = answers;
    if (answers.size > 1 && !guess.has(NAMELESS_LOGIN)) return NAMELESS_LOGIN;
    const may = answers.size === 1 ? answer : guess.get(NAMELESS_LOGIN);
    return may ? null : others === 'deny' ? 'others' : this.openKey;
  }

  /** The key that would have to know the name of a login that has none. */
  get openKey(): LoginKey {
    return this.#holdsOwn ? 'own_address' : 'login_must_match';
  }

  /** What another spelling of the login had to do with it; null: nothing. */
  whySpelled(login: Login, user: string): string | null {
    const { listed, suspects, users } = this.#parts;
    if (listed.has(user)) return null;
    const listedOne = whyMayBe(login, suspects);
    if (listedOne !== null || !this.#holdsOwn || users.addressOf(login) !== null) return listedOne;
    const addresses = users.addressesOf(login);
    if (addresses === null) return `${login.name} may be anybody`;
    return addresses.length === 0 ? null : `${login.name} may be whose address is ${addresses.join(', or ')}`;
  }
}

function owns(senders: AddressSet | undefined, sender: Address | null): boolean {
  return senders !== undefined && sender !== null && senders.has(sender);
}

function isAddress(address: string | null, sender: Address | null): boolean {
  return sender?.domain != null && `${foldAscii(sender.local)}@${sender.domain}` === address;
}
