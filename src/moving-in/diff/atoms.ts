// The conditions of a policy taken apart: one atom for each list that stands in it, also below `not`.
//
// Two clients for whom every atom says the same are one to every rule. That is what makes a comparison of two policies exact:
// an address space of 2^128 is as many classes as there are answers. The atoms are the policy's own compiled conditions, each a rule
// of its own, so that nothing of their meaning is written down twice. Not here: what is put to them.

import type { UserNames } from '../../policy/accounts.ts';
import { compileDomains, vocabulary } from '../../policy/compile.ts';
import type { Condition, Facts } from '../../policy/condition.ts';
import type { ConditionsDocument, PolicyDocument } from '../../policy/document.ts';
import { Notes } from '../../policy/lists.ts';
import { DEFAULT_OPTIONS } from '../../policy/options.ts';
import { compileRule } from '../../policy/rules.ts';
import { atOnce } from '../../policy/steps.ts';
import { Suspects } from '../../policy/suspects.ts';
import { isUnknown, NO_GUESS } from '../../policy/truth.ts';
import type { Question } from '../../smtp/types.ts';

/** What of a client, or of what it says, a condition looks at. */
export type Side = 'source' | 'local' | 'login' | 'tls' | 'ptr' | 'helo' | 'sender' | 'recipient';

const SIDE_OF: Readonly<Record<Exclude<keyof ConditionsDocument, 'not' | 'allow_unnamed'>, Side>> = {
  sources: 'source',
  local: 'local',
  authenticated: 'login',
  users: 'login',
  groups: 'login',
  tls: 'tls',
  tls_subject: 'tls',
  ptr: 'ptr',
  helo: 'helo',
  senders: 'sender',
  sender_domains: 'sender',
  recipients: 'recipient',
  recipient_domains: 'recipient',
};

export interface Atom {
  readonly side: Side;
  /** The place of its connector. */
  readonly connector: number;
  readonly holds: Condition['holds'];
}

export interface Atoms {
  readonly all: readonly Atom[];
  readonly users: UserNames;
  /** Those named under login_must_match, in all connectors. */
  readonly owners: Suspects;
  readonly ownerKeys: ReadonlySet<string>;
  /** Some connector asks whether a sender is the login's own. */
  readonly asksOwnAddress: boolean;
}

export function atomsOf(document: PolicyDocument, lostAddressGuard: 'refuse' | 'warn'): Atoms {
  const notes = new Notes(DEFAULT_OPTIONS.readList); // the policy was found sound before
  const words = atOnce(vocabulary(document, { lostAddressGuard }, notes, atOnce(compileDomains(document, notes))));
  const all: Atom[] = [];
  const take = (connector: number, conditions: ConditionsDocument, opening: boolean): void => {
    const { not, allow_unnamed, ...lists } = conditions;
    if (not !== undefined) take(connector, not, !opening);
    for (const [key, list] of Object.entries(lists) as [keyof typeof SIDE_OF, unknown][]) {
      if (list === undefined) continue;
      const alone = { [key]: list, ...(key === 'authenticated' ? { allow_unnamed } : {}) };
      const rule = atOnce(compileRule(opening ? { allow: alone } : { deny: alone }, 0, [], words));
      for (const { holds } of rule.conditions) all.push({ side: SIDE_OF[key], connector, holds });
    }
  };
  const owners: string[] = [];
  let asksOwnAddress = false;
  for (const [place, { rules, senders, submit }] of document.connectors.entries()) {
    for (const { allow, deny } of rules) take(place, deny ?? allow ?? {}, deny === undefined);
    if (typeof submit === 'object') {
      const { users, groups } = submit;
      if (users !== undefined) take(place, { users }, true);
      if (groups !== undefined) take(place, { groups }, true);
    }
    owners.push(...Object.keys(senders.login_must_match));
    asksOwnAddress ||= senders.own_address === 'required';
  }
  return {
    all,
    users: words.users,
    owners: Suspects.of(words.users, owners),
    ownerKeys: new Set(owners.map((owner) => words.users.keyOfWritten(owner))),
    asksOwnAddress,
  };
}

export type Given = Partial<Omit<Facts, 'question'>>;

/** Facts of nobody, in which one side is somebody. */
export function factsOf(users: UserNames, given: Given, said: Partial<Question>): Facts {
  const question: Question = { ...NOTHING_SAID, ...said };
  const name = question.login?.name ?? null;
  return {
    client: { ip: 0, lost: false },
    localIp: null,
    localPort: 25,
    recipient: null,
    names: [],
    ...given,
    question,
    user: name === null ? null : users.keyOfWritten(name),
  };
}

export const NOTHING_SAID: Question = {
  protocolState: 'RCPT',
  transaction: 0,
  helo: '',
  login: null,
  tls: false,
  tlsSubject: [],
  sender: '',
  senderAddress: null,
  recipient: '',
  addresses: [],
};

/** What the atoms of one side say, a character each: yes, no, cannot tell; those of other connectors are left out. */
export function truthsOf(
  { all }: Atoms,
  side: Side,
  facts: Facts,
  isMeant: (connector: number) => boolean = () => true,
): string {
  let truths = '';
  for (const atom of all) {
    if (atom.side !== side || !isMeant(atom.connector)) continue;
    const truth = atom.holds(facts, NO_GUESS);
    truths += isUnknown(truth) ? '?' : truth ? '1' : '0';
  }
  return truths;
}
