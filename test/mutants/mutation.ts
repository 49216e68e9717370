// What a mutant is, said so that it is found again when lines have moved: its file, the line as it was, and as it is with the
// mutation in it. And the list of those that nobody can see, explained.txt.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Lines and columns from 0. */
export interface Place {
  readonly start: { readonly line: number; readonly column: number };
  readonly end: { readonly line: number; readonly column: number };
}

export interface Explained {
  readonly mutation: string;
  readonly why: string;
}

const TO = ' ⇒ ';
const WHY = ' ∵ ';
const SEVERAL = ' …'; // lines, of which the first is shown

/** `if (a < b) { ⇒ if (a <= b) {`: whole lines, blanks as one. */
export function mutationOf(source: string, { start, end }: Place, replacement: string): string {
  const lines = source.split('\n');
  const first = lines[start.line] ?? '';
  const last = lines[end.line] ?? '';
  const was = start.line === end.line ? first : first + SEVERAL;
  return tidy(was) + TO + tidy(first.slice(0, start.column) + replacement + last.slice(end.column));
}

function tidy(code: string): string {
  return code.replace(/\s+/g, ' ').trim();
}

/** Where long work lets others in, no answer depends on it; test/policy/long-lists.test.ts counts how often it does. So no
 * change of such a line is asked about. */
export function isPause(mutation: string): boolean {
  return /\bif \((\+\+)?[\w() +]+ % (STEP|\(STEP \* \w+\)) === (0|STEP - 1)\) yield(\* \w+\.makeRoom\(\))?; ⇒/.test(
    mutation,
  );
}

/** By file. A file begins with its name after `##`; then a line each: mutation and reason. */
export function readExplained(): Map<string, Explained[]> {
  const byFile = new Map<string, Explained[]>();
  let of: Explained[] = [];
  for (const line of readFileSync(join(import.meta.dirname, 'explained.txt'), 'utf8').split('\n')) {
    if (line.startsWith('## ')) {
      of = [];
      byFile.set(line.slice(3), of);
    } else if (line.includes(WHY)) {
      const at = line.lastIndexOf(WHY);
      of.push({ mutation: line.slice(0, at), why: line.slice(at + WHY.length) });
    } else if (line !== '' && !line.startsWith('#')) throw new Error(`explained.txt: no reason is given: ${line}`);
  }
  return byFile;
}
