// Conditions on who has logged in: whether anybody has, and whether it is one of those listed.
//
// For a yes the login has to be spelled as listed; for a no it is enough that it may be one of them (accounts.ts). Nobody
// can tell where a login shows no name.

import type { Login } from '../smtp/types.ts';
import type { Condition, Test, Vocabulary } from './condition.ts';
import type { ConditionsDocument } from './document.ts';
import { checkUsers } from './lists.ts';
import { NameSet } from './name-set.ts';
import { Pile } from './pile.ts';
import type { Path } from './problem.ts';
import { STEP, type Steps } from './steps.ts';
import { Suspects } from './suspects.ts';
import { guessed, unknownFor } from './truth.ts';

/** Whether somebody has logged in, or nobody has. */
export function authenticatedTest(document: ConditionsDocument): Condition['holds'] {
  if (document.authenticated === false) return ({ question }) => question.login === null;
  const unnamed = document.allow_unnamed === true;
  return ({ question }) => question.login !== null && (unnamed || question.login.name !== null);
}

/** A list of logins, looked through. */
export function* usersOf(list: readonly string[], path: Path, words: Vocabulary): Steps<readonly string[]> {
  for (const [i, name] of list.entries()) {
    if (i % STEP === STEP - 1) yield;
    const members = words.groups.get(name);
    if (members?.every((member) => words.users.keyOfWritten(member) !== words.users.keyOfWritten(name)) === true)
      words.notes.warn(
        [...path, i],
        `'${name}' is a group, and here it would be a login of that name: groups is meant?`,
      );
  }
  yield* checkUsers(list, path, words.notes);
  return list;
}

/** All members of the groups; a group that nobody defined is an error. */
export function* membersOf(list: readonly string[], path: Path, words: Vocabulary): Steps<readonly string[]> {
  const members = new Pile<string>();
  for (const [i, name] of list.entries()) {
    const group = words.groups.get(name);
    if (group === undefined) {
      const known = [...words.groups.keys()];
      words.notes.error(
        [...path, i],
        `no group '${name}': ${known.length === 0 ? 'none is' : `${known.join(', ')} are`} defined under groups`,
      );
    }
    for (const user of group ?? []) {
      if (members.push(user) % STEP === 0) yield;
    }
  }
  return yield* members.toArray();
}

/** Whether the login is one of `members`, for a no: whether it may be one. Nobody can tell where its name is not shown. */
export function* memberTest(members: readonly string[], opening: boolean, words: Vocabulary): Steps<Test> {
  const keys = new NameSet();
  const keyOf = (name: string): string => words.users.keyOfWritten(name);
  for (const [i, name] of members.entries()) {
    if (i % STEP === STEP - 1) yield;
    keys.add(keyOf(name));
  }
  const unknown = yield* unknownFor('login', keys, members, keyOf, words.asked);
  const suspects = opening ? null : yield* Suspects.inSteps(words.users, members);
  return {
    holds: ({ question: { login }, user }, guess) => {
      if (login === null || keys.size === 0) return false;
      if (user === null) return guessed(unknown, guess);
      return keys.has(user) || (suspects !== null && suspects.find(login) !== null);
    },
    because: ({ question: { login }, user }) => {
      if (suspects === null || login === null || user === null || keys.has(user)) return null;
      return whyMayBe(login, suspects);
    },
  };
}

/** `steven may be CORP\steven`. */
export function whyMayBe(login: Login, suspects: Suspects): string | null {
  const first = suspects.find(login);
  return first === null ? null : `${login.name} may be ${first}`;
}
