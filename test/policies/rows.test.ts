// Each row of exchange.md that is about relaying has its cases, and they would fail if it were not so (rows.txt).
//
// The change of a row is made to a copy of the preset, and the row's own cases are put to that by `postern test`: a case
// that passes either way shows nothing.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { test as testCommand } from '../../src/commands/test.ts';
import { loadPolicy } from '../../src/config/load.ts';
import { writeSettled } from '../helpers/settled.ts';

const POLICIES = fileURLToPath(new URL('../../policies/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'postern-rows-'));
after(() => rmSync(folder, { recursive: true }));
for (const name of readdirSync(POLICIES)) if (name.endsWith('.txt')) copyFileSync(POLICIES + name, join(folder, name));

interface Row {
  readonly preset: string;
  readonly says: string;
  readonly cases: readonly string[];
  readonly from: string;
  readonly to: string;
  /** What check says to the change; null where the cases say it. */
  readonly error: string | null;
}

function readRows(): Row[] {
  const rows: Row[] = [];
  const text = readFileSync(new URL('rows.txt', import.meta.url), 'utf8');
  for (const section of text.split(/^# (?=\S+$)/m).slice(1)) {
    const [preset = '', ...written] = section.split(/^## /m);
    for (const row of written) {
      const [says = '', ...lines] = row.trimEnd().split('\n');
      const behind = (mark: string): string[] =>
        lines.filter((line) => line === mark || line.startsWith(`${mark} `)).map((line) => line.slice(mark.length + 1));
      const from = behind('-').join('\n');
      const cases = lines.filter((line) => !/^([-+]|error )/.test(line));
      rows.push({
        preset: preset.trim(),
        says,
        cases,
        from,
        to: behind('+').join('\n'),
        error: behind('error')[0] ?? null,
      });
    }
  }
  return rows;
}

/** The preset with the change of the row, in its first place: what stands there again is of another connector. */
function changed({ preset, from, to }: Row): string {
  const text = readFileSync(`${POLICIES}${preset}.yaml`, 'utf8').replace(/^ *#.*\n/gm, '');
  assert.ok(from !== '' && text.includes(from), `${preset}.yaml: ${from}`);
  const file = join(folder, 'changed.yaml');
  const replaced = text.replace(from, () => to);
  writeSettled(file, replaced);
  return file;
}

function shippedCases(preset: string): Set<string> {
  const lines = readFileSync(`${POLICIES}${preset}.cases`, 'utf8').split('\n');
  return new Set(
    lines.map((line) =>
      line
        .replace(/\s#.*$/, '')
        .trim()
        .replace(/\s+/g, ' '),
    ),
  );
}

/** How many cases of the row fail when it is not so. */
async function failures(row: Row): Promise<number> {
  changed(row);
  const file = join(folder, 'changed.cases');
  writeFileSync(file, row.cases.join('\n'));
  let said = '';
  const stdout = (text: string): void => {
    said += text;
  };
  const code = await testCommand(['--json', file], { stdout, stderr: stdout, isTTY: false });
  assert.notEqual(code, 78, said);
  return JSON.parse(said).failed;
}

for (const row of readRows()) {
  if (row.error === null) {
    test(`${row.preset}: ${row.says}`, async () => {
      const shipped = shippedCases(row.preset);
      for (const one of row.cases) assert.ok(shipped.has(one), `${row.preset}.cases has no line: ${one}`);
      assert.notEqual(await failures(row), 0, 'no case shows the difference');
    });
  } else {
    test(`${row.preset}: check forbids ${row.says}`, () => {
      const { findings } = loadPolicy(changed(row));
      const errors = findings.filter(({ severity }) => severity === 'error').map(({ message }) => message);
      assert.ok(
        errors.some((message) => message.includes(row.error as string)),
        errors.join('\n'),
      );
    });
  }
}
