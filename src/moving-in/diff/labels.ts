// Classes as people read them: the shorter of those that are meant and all but those that are not.

import { ANYBODY_ELSE, BARE, CROWDED, OTHER_DOMAIN } from './candidates.ts';

const FEW = 8;

/** One of both is there. */
export interface Meant {
  readonly only?: readonly string[];
  readonly all_but?: readonly string[];
}

/** Null where all are meant, which is no place at all. */
export function meantBy(
  all: readonly { readonly labels: readonly string[] }[],
  places: readonly number[],
): Meant | null {
  if (places.length === 0) return null;
  const chosen = new Set(places);
  const labelsOf = (isMeant: boolean) =>
    all.flatMap(({ labels }, place) => (chosen.has(place) === isMeant ? labels : []));
  const only = condensed(labelsOf(true));
  const others = condensed(labelsOf(false));
  // "All but any other" is hard to read, and a few names say the same.
  const isTwisted = only.length <= FEW && (others.includes(OTHER_DOMAIN) || others.includes(ANYBODY_ELSE));
  return others.length < only.length && !isTwisted ? { all_but: others } : { only };
}

/** What goes without saying beside another is left out: look-alikes beside the name itself, or beside every other. */
function condensed(labels: readonly string[]): string[] {
  const all = new Set(labels);
  const others = all.has(OTHER_DOMAIN) || all.has(ANYBODY_ELSE);
  const kept: string[] = [];
  for (const label of all) {
    const [, kind, name] = /^(look-alikes of|look-alikes below|postmaster of|below) (.*)$/.exec(label) ?? [];
    if (name === undefined) {
      const spelled =
        label === BARE
          ? null
          : /^(.*) (without a domain|of another Windows domain|of another mail domain)$/.exec(label);
      if (others && (spelled !== null || label === CROWDED || label.startsWith(`${ANYBODY_ELSE} of `))) continue;
      kept.push(all.has(`below ${label}`) ? `*.${label}` : label);
    } else if (kind === 'below') {
      if (!all.has(name)) kept.push(label);
    } else if (kind === 'postmaster of') {
      if (!all.has(name)) kept.push(label);
    } else if (kind === 'look-alikes of') {
      if (!others && !all.has(name)) kept.push(label);
    } else if (!others && !all.has(`below ${name}`)) kept.push(label);
  }
  return kept;
}
