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
const never: Row['unused'] = () => false;

const limitRows = (block: string): Row[] => [
  { key: `${block}.source.connections_percent`, unused: only(100) },
  { key: `${block}.source.connection_rate`, unused: only(null) },
  { key: `${block}.source.message_rate`, unused: only(null) },
  { key: `${block}.source.recipient_rate`, unused: only(null) },
  { key: `${block}.source.byte_rate`, unused: only(null) },
  { key: `${block}.source.rejected_recipient_rate`, unused: only(null) },
  { key: `${block}.source.auth_failure_rate`, unused: only(null) },
  { key: `${block}.source.ipv4_prefix`, unused: only(32) },
  { key: `${block}.source.ipv6_prefix`, unused: only(64) },
  { key: `${block}.login.message_rate`, unused: only(null) },
  { key: `${block}.login.recipient_rate`, unused: only(null) },
  { key: `${block}.login.auth_failure_rate`, unused: only(null) },
  { key: `${block}.sender.message_rate`, unused: only(null) },
  { key: `${block}.connector.message_rate`, unused: only(null) },
  { key: `${block}.ban.after`, unused: only(null) },
  { key: `${block}.ban.for`, unused: only(600_000) },
  { key: `${block}.ban.never_ban`, unused: empty },
  { key: `${block}.tarpit`, unused: only(0) },
];

export const CONFIG_ROWS: readonly Row[] = [
  ...limitRows('limits'),
  { key: 'state', unused: only('memory') },
  { key: 'state_password_file', unused: never },
  { key: 'workers', unused: only(1) },
];

export const POLICY_ROWS: readonly Row[] = [...limitRows('connectors[].limits')];

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
