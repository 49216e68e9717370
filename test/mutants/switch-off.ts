// Makes each edit of laws.ts in a copy of the project, and runs quick tests until one is red: the model's, or those that the
// law names; else more of them.

import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LAWS, type Law } from './laws.ts';

const ROOT = join(import.meta.dirname, '../..');
const MINUTES = 5; // for one of these
const MODEL = 'test/model/*.test.ts';
const OTHERS = [
  'test/smtp/bounded.test.ts',
  'test/advisories/*.test.ts',
  'test/smtp/dialogues.test.ts',
  'test/corpus/corpus.test.ts',
];
const NO_END = 'no end'; // in time: who is slow is not red

/** Prints the table; true when every law is missed. `wanted`: a part of a rule's name. */
export function switchOff(wanted = ''): boolean {
  const copy = mkdtempSync(join(tmpdir(), 'postern-laws-'));
  try {
    for (const folder of ['src', 'test', 'policies', 'package.json'])
      cpSync(join(ROOT, folder), join(copy, folder), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    console.log('| rule | switched off | red |\n|---|---|---|');
    const laws = LAWS.filter(({ rule }) => rule.includes(wanted));
    return laws.map((law) => isMissed(copy, law)).every((missed) => missed);
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function isMissed(copy: string, { rule, off, file, from, to, tests }: Law): boolean {
  const path = join(copy, file);
  const source = readFileSync(path, 'utf8');
  if (source.split(from).length !== 2) throw new Error(`${off}: ${file} must have this once: ${from}`);
  writeFileSync(
    path,
    source.replace(from, () => to),
  );
  const red = (tests ?? [MODEL, ...OTHERS])
    .map((folder) => () => firstRed(copy, folder))
    .reduce((found, run) => found || run(), '');
  writeFileSync(path, source);
  console.log(`| ${rule} | ${off} | ${red === '' ? '**none**' : red} |`);
  return red !== '';
}

/** The first test of these files that fails; '' when none does. */
function firstRed(copy: string, pattern: string): string {
  const files = globSync(pattern, { cwd: copy }).toSorted();
  const child = spawnSync(process.execPath, ['--test', '--test-reporter=tap', ...files], {
    cwd: copy,
    encoding: 'utf8',
    timeout: MINUTES * 60_000,
    maxBuffer: 1 << 28,
  });
  if (child.status === 0) return '';
  const name = /^ *not ok \d+ - (?!.*\.test\.ts$)(.*)$/m.exec(child.stdout)?.[1] ?? NO_END;
  if (child.error !== undefined || name === NO_END) return '';
  return `${pattern.replace(/^test\/|\/?\*?\.test\.ts$/g, '')}: ${name.replaceAll('\\', '')}`;
}
