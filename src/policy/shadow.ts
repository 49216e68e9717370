// Whether one rule leaves nothing for a later one: everything that the later would match, the earlier has matched.
//
// Conditions are compared one by one; where that cannot be seen from the lists alone the answer is no, so that a rule is
// never called dead that is not. A deny behind an allow is dead only as far as it is written: a no holds for more than a yes
// of the same words (rules.ts).

import { foldAscii } from '../smtp/bytes.ts';
import type { ConditionsDocument } from './document.ts';
import { DomainTable, parseDomainPattern } from './domains.ts';
import { isInside, isMasked, type Range } from './ranges.ts';
import type { Rule } from './rules.ts';
import { subtract, surestSpans } from './spans.ts';

/** What the earlier one leaves of the later. */
export type Shadow = 'nothing' | 'other spellings' | 'something';

/** `clients`: the ranges of the connector, which bound a rule that names no sources. */
export function shadowOf(earlier: Rule, later: Rule, clients: readonly Range[]): Shadow {
  if (earlier.expiresAt < later.expiresAt) return 'something';
  const wide = conditionsOf(earlier);
  const narrow = conditionsOf(later);
  if (!covers(wide, narrow, rangesOf(earlier, clients), rangesOf(later, clients))) return 'something';
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

function covers(
  wide: ConditionsDocument,
  narrow: ConditionsDocument,
  wideRanges: readonly Range[],
  narrowRanges: readonly Range[],
): boolean {
  return (Object.keys(wide) as (keyof ConditionsDocument)[]).every((key) => {
    if (wide[key] === undefined) return true;
    switch (key) {
      case 'sources':
        return coversRanges(wideRanges, narrowRanges);
      case 'recipient_domains':
      case 'sender_domains':
      case 'ptr':
      case 'helo':
        return coversDomains(wide[key], narrow[key]);
      case 'authenticated':
        return coversLogin(wide, narrow);
      case 'allow_unnamed':
        return true; // looked at with `authenticated`
      case 'tls':
      case 'not':
        return JSON.stringify(wide[key]) === JSON.stringify(narrow[key]);
      default:
        return coversList(wide[key], narrow[key]);
    }
  });
}

function conditionsOf({ document }: Rule): ConditionsDocument {
  return document.deny ?? document.allow ?? {};
}

function rangesOf(rule: Rule, clients: readonly Range[]): readonly Range[] {
  return rule.sources === null ? clients : rule.sources.entries.map(({ range }) => range);
}

export function coversRanges(wide: readonly Range[], narrow: readonly Range[]): boolean {
  const spans = narrow.filter((range) => !isMasked(range));
  const masked = narrow.filter(isMasked);
  return (
    subtract(surestSpans(spans), surestSpans(wide)).length === 0 &&
    masked.every((range) => wide.some((other) => isInside(range, other)))
  );
}

function coversDomains(wide: readonly string[] | undefined, narrow: readonly string[] | undefined): boolean {
  if (wide === undefined || narrow === undefined) return false;
  const table = new DomainTable();
  for (const text of wide) {
    const pattern = parseDomainPattern(text);
    if (typeof pattern !== 'string') table.add(pattern, true);
  }
  return narrow.every((text) => {
    const pattern = parseDomainPattern(text);
    if (typeof pattern === 'string') return false;
    // No name has a label of one star, so only a pattern with a star can hold that one.
    return pattern.forms.every((form) => table.holds(form) && (!pattern.below || table.holds(`*.${form}`)));
  });
}

function coversLogin(wide: ConditionsDocument, narrow: ConditionsDocument): boolean {
  if (wide.authenticated === false) return narrow.authenticated === false;
  if (narrow.authenticated === true) return wide.allow_unnamed === true || narrow.allow_unnamed !== true;
  return narrow.users !== undefined || narrow.groups !== undefined;
}

function coversList(wide: unknown, narrow: unknown): boolean {
  if (!Array.isArray(wide) || !Array.isArray(narrow)) return false;
  const held = new Set(wide.map((entry) => foldAscii(String(entry))));
  return narrow.every((entry) => held.has(foldAscii(String(entry))));
}
