// One thing that is wrong, or worth knowing, in a configuration: where, how bad, what, and what would be right.

import type { Severity } from '../policy/problem.ts';

export interface Finding {
  /** The file, or the flag or environment variable that said it. */
  readonly file: string;
  /** Counted from 1; 0 where there are no lines (flags). */
  readonly line: number;
  readonly column: number;
  readonly severity: Severity;
  /** As `connectors[1].rules[0].allow`; '' for the whole file. */
  readonly key: string;
  readonly message: string;
}

/** `postern.yaml:3:5: error: upstream.servers: what is wrong, what would be right` */
export function formatFinding({ file, line, column, severity, key, message }: Finding): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  // Whatever a file holds, a finding is one line of text and leaves the terminal alone.
  const said = `${key === '' ? '' : `${key}: `}${message}`.replace(
    /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `${place}: ${severity}: ${said}`;
}

export function hasErrors(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === 'error');
}

/** What is no error and should be seen to, each as a line. */
export function warningsIn(findings: readonly Finding[]): string[] {
  return findings.filter(({ severity }) => severity === 'warning').map(formatFinding);
}

/** In the order of the file, as one reads it. */
export function sortFindings(findings: readonly Finding[]): Finding[] {
  const files = [...new Set(findings.map(({ file }) => file))];
  return [...findings].sort(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
  );
}
