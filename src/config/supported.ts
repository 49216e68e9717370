// What the contract names and this version does not do yet: such a key is an error, never ignored.
//
// One row a key, with the values that mean "not used". Whoever builds the function takes its row out.

import { formatPath, type Path } from '../policy/problem.ts';
import type { Finding } from './finding.ts';
import type { PlaceOf } from './shape.ts';

interface Row {
  /** `[]` is every item of a list. */
  readonly key: string;
  readonly unused: (value: unknown) => boolean;
}

function only(...values: unknown[]): Row['unused'] {
  return (value) => values.includes(value);
}

const empty: Row['unused'] = (value) => Array.isArray(value) && value.length === 0;

export const CONFIG_ROWS: readonly Row[] = [
  { key: 'listeners[].certificates', unused: empty },
  { key: 'listeners[].implicit_tls', unused: only(false) },
  { key: 'listeners[].tls_min_version', unused: only('TLSv1.2') },
];

export const POLICY_ROWS: readonly Row[] = [{ key: 'connectors[].starttls', unused: only('hide') }];

/** A finding for each value that needs what is not built. */
export function findUnsupported(rows: readonly Row[], value: unknown, place: PlaceOf, prefix: Path = []): Finding[] {
  const findings: Finding[] = [];
  const walk = (at: unknown, steps: readonly string[], path: Path, row: Row): void => {
    if (at === undefined) return;
    const [step, ...rest] = steps;
    if (step === undefined) {
      if (row.unused(at)) return;
      const whole = [...prefix, ...path];
      findings.push({
        ...place(whole, 'key'),
        severity: 'error',
        key: formatPath(whole),
        message: `not supported by this version: leave it out`,
      });
    } else if (step === '[]') {
      if (Array.isArray(at)) for (const [i, item] of at.entries()) walk(item, rest, [...path, i], row);
    } else if (typeof at === 'object' && at !== null)
      walk((at as Record<string, unknown>)[step], rest, [...path, step], row);
  };
  for (const row of rows) walk(value, row.key.replaceAll('[]', '.[]').split('.'), [], row);
  return findings;
}
