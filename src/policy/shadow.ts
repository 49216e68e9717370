// Whether one rule leaves nothing for a later one: everything that the later would match, the earlier has matched.
//
// Conditions are compared one by one; where that cannot be seen from the lists alone the answer is no, so that a rule is
// never called dead that is not. A deny behind an allow is dead only as far as it is written: a no holds for more than a yes
// of the same words (rules.ts).

import { foldAscii } from '../smtp/bytes.ts';
import type { Rule } from './condition.ts';
import type { ConditionsDocument } from './document.ts';
import { DomainTable, parseDomainPattern, patternAround } from './domains.ts';
import type { SourceSet } from './lists.ts';
import { NameSet } from './name-set.ts';
import { hullOf, isInside } from './ranges.ts';
import { subtractInSteps } from './spans.ts';
import { toOctets } from './spellings.ts';
import { first, STEP, type Steps } from './steps.ts';

/** What the earlier one leaves of the later. */
export type Shadow = 'nothing' | 'other spellings' | 'something';

/** `clients`: the ranges of the connector, which bound a rule that names no sources. */
export function* shadowOf(earlier: Rule, later: Rule, clients: SourceSet): Steps<Shadow> {
  if (earlier.expiresAt < later.expiresAt) return 'something';
  const wide = conditionsOf(earlier);
  const narrow = conditionsOf(later);
  for (const key of Object.keys(wide) as (keyof ConditionsDocument)[])
    if (!(yield* covers(key, wide, narrow, earlier.sources ?? clients, later.sources ?? clients))) return 'something';
  const forbids = earlier.action === 'allow' && later.action === 'deny';
  return forbids && !isExact(wide, narrow) ? 'other spellings' : 'nothing';
}

/** Whether a yes on `wide` holds for all that a no on `narrow` holds for, and not only for what is written. */
function isExact(wide: ConditionsDocument, narrow: ConditionsDocument): boolean {
  if (Object.values(narrow).some((list) => Array.isArray(list) && list.length === 0)) return true; // it never holds
  const { tls, local, authenticated, allow_unnamed, ...others } = wide;
  if (Object.values(others).some((condition) => condition !== undefined)) return false;
  return authenticated === undefined || allow_unnamed === true || narrow.authenticated !== undefined;
}

function* covers(
  key: keyof ConditionsDocument,
  wide: ConditionsDocument,
  narrow: ConditionsDocument,
  wideRanges: SourceSet,
  narrowRanges: SourceSet,
): Steps<boolean> {
  if (wide[key] === undefined) return true;
  switch (key) {
    case 'sources':
      return yield* coversRanges(wideRanges, narrowRanges);
    case 'recipient_domains':
    case 'sender_domains':
    case 'ptr':
    case 'helo':
      return yield* coversDomains(wide[key], narrow[key]);
    case 'authenticated':
      return coversLogin(wide, narrow);
    case 'allow_unnamed':
      return true; // looked at with `authenticated`
    case 'tls':
    case 'not':
      return JSON.stringify(wide[key]) === JSON.stringify(narrow[key]);
    default:
      return yield* coversList(wide[key], narrow[key]);
  }
}

function conditionsOf({ document }: Rule): ConditionsDocument {
  return document.deny ?? document.allow ?? {};
}

function* coversRanges(wide: SourceSet, narrow: SourceSet): Steps<boolean> {
  const [one] = narrow.entries;
  if (one !== undefined && !wide.holds(hullOf(one.range).lo)) return false; // so it is with most pairs of rules
  if ((yield* subtractInSteps(yield* narrow.surest(), yield* wide.surest())).length > 0) return false;
  for (const { range } of narrow.masked) {
    if ((yield* first(wide.entries, (other) => isInside(range, other.range))) === undefined) return false;
  }
  return true;
}

function* coversDomains(wide: readonly string[] | undefined, narrow: readonly string[] | undefined): Steps<boolean> {
  if (wide === undefined || narrow === undefined) return false;
  const table = new DomainTable();
  for (const [i, text] of wide.entries()) {
    if (i % STEP === STEP - 1) yield* table.makeRoom();
    const pattern = parseDomainPattern(text);
    if (typeof pattern !== 'string') table.add(pattern, true);
  }
  return (yield* first(narrow, (text) => patternAround(table, text) === null)) === undefined;
}

function coversLogin(wide: ConditionsDocument, narrow: ConditionsDocument): boolean {
  if (wide.authenticated === false) return narrow.authenticated === false;
  if (narrow.authenticated === true) return wide.allow_unnamed === true || narrow.allow_unnamed !== true;
  return narrow.users !== undefined || narrow.groups !== undefined;
}

const FEW = 8; // entries, for which a set would be more work than it saves

function* coversList(wide: unknown, narrow: unknown): Steps<boolean> {
  if (!Array.isArray(wide) || !Array.isArray(narrow)) return false;
  const keyOf = (entry: unknown): string => foldAscii(toOctets(String(entry)));
  if (wide.length <= FEW && narrow.length <= FEW) {
    const keys = wide.map(keyOf);
    return narrow.every((entry) => keys.includes(keyOf(entry)));
  }
  const held = new NameSet();
  for (const [i, entry] of wide.entries()) {
    if (i % STEP === STEP - 1) yield;
    held.add(keyOf(entry));
  }
  return (yield* first(narrow, (entry) => !held.has(keyOf(entry)))) === undefined;
}
