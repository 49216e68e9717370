// Lists of Postfix as steps, and how several are put together: what one lets through the others have to let through too.
// Nothing here reads a setting.

import { both, type When } from './postfix-access.ts';

export interface Step {
  readonly action: 'allow' | 'deny';
  readonly when: When;
  /** What the rule is called. */
  readonly name: string;
}

/** A list for foreign recipients. `end`: what becomes of those that no step holds. */
export interface Steps {
  readonly steps: readonly Step[];
  readonly end: 'allow' | 'deny';
}

/** Steps that let through what both lists do. */
export function allOf(one: Steps, other: Steps): Steps {
  if (other.steps.length === 0) return other.end === 'allow' ? one : { steps: [], end: 'deny' };
  const steps: Step[] = [];
  for (const step of one.steps) {
    if (step.action === 'deny') steps.push(step);
    else steps.push(...within(step, other));
  }
  if (one.end === 'deny') return { steps, end: 'deny' };
  return { steps: [...steps, ...other.steps], end: other.end };
}

/** What becomes of those whom `step` allows, in the other list. */
function within(step: Step, other: Steps): Step[] {
  const steps: Step[] = [];
  for (const next of other.steps) {
    if (JSON.stringify(next.when) === JSON.stringify(step.when)) return [...steps, { ...step, action: next.action }];
    const when = both(step.when, next.when);
    if (when !== null) steps.push({ ...next, when });
    else if (next.action === 'deny') steps.push(next);
  }
  return [...steps, { ...step, action: other.end }];
}

/** Without steps that are never reached, and without a permission that a wider one stands right behind. */
export function tidy(steps: readonly Step[]): Step[] {
  const reached = steps.filter((step, i) => !steps.slice(0, i).some((before) => isWider(before.when, step.when)));
  return reached.filter((step, i) => {
    const rest = reached.slice(i + 1);
    const other = rest.findIndex(({ action }) => action !== step.action);
    return !rest.slice(0, other === -1 ? rest.length : other).some((next) => isWider(next.when, step.when));
  });
}

/** Whatever holds for `b` holds for `a`, by their very words. */
function isWider(a: When, b: When): boolean {
  return Object.entries(a).every(([key, value]) => JSON.stringify(value) === JSON.stringify(b[key as keyof When]));
}
